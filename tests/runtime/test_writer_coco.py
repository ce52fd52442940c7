"""COCO files, read by pycocotools and by `faim data check`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from writer_helpers import HEIGHT, NAMES, WIDTH, fill, image_source, result, results, source

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.runtime.writers.coco import CocoSink


def test_pycocotools_reads_a_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    fill(CocoSink(path, source(), NAMES), results())
    coco = COCO(str(path))
    assert coco.loadCats(coco.getCatIds()) == [
        {"id": 1, "name": "dog"},
        {"id": 2, "name": "cat"},
        {"id": 3, "name": "a/b: c"},
    ]
    assert coco.loadImgs(3) == [
        {
            "id": 3,
            "video_id": 1,
            "frame_id": 2,
            "file_name": "walk/000002.jpg",
            "width": WIDTH,
            "height": HEIGHT,
        }
    ]
    first, second = coco.loadAnns(coco.getAnnIds(imgIds=[1]))
    assert first["bbox"] == [10, 8, 20, 32]
    assert (first["area"], first["category_id"], first["score"]) == (640, 1, 0.9)
    assert (first["track_id"], second["track_id"], second["instance_id"]) == (1, 2, 2)
    [unknown] = coco.loadAnns(coco.getAnnIds(imgIds=[3]))
    assert "track_id" not in unknown
    # Against itself everything is found: also as a file of results.
    rows = json.loads(path.read_text())["annotations"]
    evaluation = COCOeval(coco, coco.loadRes(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[1] == pytest.approx(1.0)


def test_images_are_found_from_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    out = tmp_path / "labels" / "out.json"
    out.parent.mkdir()
    given = [
        result(n, [(4, 0, 0.9, (2, 2, 20, 20))], file=name)
        for n, name in enumerate(("a.png", "b.png"))
    ]
    fill(CocoSink(out, image_source(folder), NAMES), given)
    [video] = CocoVid(out).videos
    assert video.name == "clip"
    assert [frame.path.resolve() for frame in video.frames] == [folder / "a.png", folder / "b.png"]
    assert [frame.annotations[0].instance_id for frame in video.frames] == [4, 4]
    assert main(["data", "check", str(out)]) == 0


def test_a_box_without_an_area_is_no_annotation(tmp_path: Path) -> None:
    rows = [(-1, 0, 0.9, (64, 2, 70, 20)), (-1, 0, 0.8, (-5, 2, 10, 60))]
    fill(CocoSink(tmp_path / "o.json", source(), NAMES), [result(0, rows)])
    [one] = json.loads((tmp_path / "o.json").read_text())["annotations"]
    assert one["bbox"] == [0, 2, 10, 46]


def test_the_file_is_replaced_at_the_end_alone(tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    path.write_text("old")
    sink = CocoSink(path, source(), NAMES)
    sink.write(results()[0])
    assert path.read_text() == "old"
    sink.close()
    assert len(json.loads(path.read_text())["images"]) == 1
    fill(CocoSink(path, source(), NAMES), [])
    assert len(json.loads(path.read_text())["images"]) == 1
    with pytest.raises(FaimError, match=r"gone/o\.json: cannot be written"):
        CocoSink(tmp_path / "gone" / "o.json", source(), NAMES)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_sentence() -> None:
    sink = CocoSink("/dev/full", source(), NAMES)
    sink.write(results()[0])
    with pytest.raises(FaimError, match=r"/dev/full: cannot be written \(No space left"):
        sink.close()
