from __future__ import annotations

import copy
import errno
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from faim.cli import main
from faim.data.check import run_check
from faim.data.check_files import check_files
from faim.data.coco_vid import CocoVid
from faim.data.contact_sheet import (
    CAPTION,
    CELL_HEIGHT,
    CELL_WIDTH,
    draw_sheet,
    pick_frames,
)
from faim.data.findings import examine
from faim.data.records import FrameRecord, VideoRecord
from faim.data.statistics import measure
from faim.errors import FaimError
from faim.pictures.reading import image_size
from faim.pictures.writing import write_image

Write = Callable[[dict[str, Any]], Path]


def test_what_is_sound_is_what_the_reader_gives(small_set: Path) -> None:
    data, examined = CocoVid(small_set), examine(small_set)
    assert examined.videos == tuple(data.videos)
    assert examined.classes == data.classes
    assert (examined.findings.errors, examined.findings.notes) == ({}, {})
    assert check_files(examined) == 7
    assert examined.findings.errors == {}


def test_statistics_are_counted_by_hand(small_set: Path) -> None:
    examined = examine(small_set)
    numbers = measure(examined.videos, examined.classes)
    assert (numbers.videos, numbers.frames, numbers.empty_frames) == (2, 7, 0)
    assert (numbers.boxes, numbers.masks, numbers.tracks, numbers.trackless) == (7, 7, 2, 0)
    assert numbers.most_boxes == 1
    counts = [(each.name, each.boxes, each.tracks, each.videos) for each in numbers.classes]
    assert counts == [("cat", 2, 1, 1), ("dog", 5, 1, 1)]
    assert numbers.image_sizes == (((100, 60), 7),)
    assert numbers.video_lengths == (2, 3.5, 5)
    assert numbers.box_sizes == pytest.approx([math.sqrt(30 * 16)] * 7)


def test_statistics_without_anything() -> None:
    numbers = measure([], ["cat"])
    assert (numbers.videos, numbers.boxes, numbers.classes[0].boxes) == (0, 0, 0)
    assert all(math.isnan(size) for size in numbers.box_sizes)


def _set(kind: str, index: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[kind][index].update(values)


def _drop(kind: str, index: int, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[kind][index].pop(key)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (_drop("annotations", 0, "bbox"), "`bbox` missing in `annotations`"),
        (_drop("images", 0, "file_name"), "`file_name` missing in `images`"),
        (_set("images", 0, id="x"), "id in `images` is no whole number"),
        (_set("annotations", 1, id=1), "id twice in `annotations`"),
        (_set("categories", 0, name="cat"), "category name twice"),
        (_set("images", 0, width=0), "width or height of an image"),
        (_set("images", 0, height=2**31), "width or height of an image"),
        (_set("images", 0, height=10**4000), "width or height of an image"),
        (_set("images", 0, id=2**53), "id in `images` is too large"),
        (_set("images", 0, id=-(2**53)), "id in `images` is too large"),
        (_set("images", 0, frame_id=2**53), "frame_id is too large"),
        (_set("annotations", 0, instance_id=10**4000), "instance_id is too large"),
        (_set("annotations", 0, image_id=99), "annotation of an unknown image"),
        (_set("annotations", 0, category_id=99), "annotation of an unknown category"),
        (_set("annotations", 0, bbox=[1, 2, 3]), "bbox is not four finite numbers"),
        (_set("annotations", 0, bbox=[1, 2, 10**400, 3]), "bbox is not four finite numbers"),
        (_set("annotations", 0, bbox=[1, 2, math.nan, 3]), "bbox is not four finite numbers"),
        (_set("annotations", 0, bbox=[1, 2, 3, -1]), "box of negative size"),
        (_set("annotations", 0, bbox=[180, 2, 30, 5]), "box outside the image"),
        (_set("annotations", 0, iscrowd="no"), "iscrowd is not 0 or 1"),
        (_set("annotations", 0, ignore=[]), "ignore is not 0 or 1"),
        (_set("annotations", 0, area="big"), "area is no number"),
        (_set("images", 0, video_id=9), "image of an unknown video"),
        (_set("images", 0, frame_id=0), "frame_id twice in a video"),
        (_set("images", 0, frame_id=None), "frame_id is no whole number"),
        (_drop("images", 0, "frame_id"), "`frame_id` missing in `images`"),
        (_drop("images", 0, "video_id"), "`video_id` missing in `images`"),
        (_set("videos", 0, split=3), "split of a video is no name"),
        (
            lambda content: content.update(info={"exhaustive": "no"}),
            "`info.exhaustive` is no truth value",
        ),
        (
            _set("annotations", 0, segmentation={"size": [60, 100], "counts": [1, 2]}),
            "damaged mask",
        ),
    ],
)
def test_each_mistake_is_found_and_refused_by_the_reader(
    content: dict[str, Any], write: Write, change: Callable[[dict[str, Any]], None], kind: str
) -> None:
    change(content)
    path = write(content)
    found = examine(path).findings
    assert found.errors.get(kind) == 1
    with pytest.raises(FaimError) as refused:
        CocoVid(path).check(num_classes=None, masks_required=True, images_required=False)
    if kind != "damaged mask":  # which only `check` looks at
        assert str(refused.value) == f"{path}: {found.examples[kind]}"


def test_all_mistakes_are_counted(content: dict[str, Any], write: Write) -> None:
    for index in range(3):
        content["annotations"][index]["bbox"] = [1, 2, -1, 3]
    content["annotations"][3]["category_id"] = 99
    content["images"] += ["no object"]
    examined = examine(write(content))
    assert examined.findings.errors == {
        "box of negative size": 3,
        "annotation of an unknown category": 1,
        "entry of `images` is no object": 1,
    }
    example = "annotation 1 has bbox [1, 2, -1, 3]; expected a width and height above 0"
    assert examined.findings.examples["box of negative size"] == example
    assert measure(examined.videos, examined.classes).boxes == 3


def test_oddities_are_notes(content: dict[str, Any], write: Write) -> None:
    annotations = content["annotations"]
    twin = copy.deepcopy(annotations[0])
    annotations.append({**twin, "id": 90, "category_id": 3, "bbox": [-0.5, 20, 30, 16]})
    annotations.append({**twin, "id": 91, "iscrowd": 1})
    annotations[1]["segmentation"] = {"size": [60, 100], "counts": [6000]}
    annotations[2]["bbox"] = [1, 2, 0, 3]
    annotations[3]["bbox"] = [80, 2, 30, 5]
    content["videos"].append({"id": 3, "name": "third"})
    examined = examine(write(content))
    assert examined.findings.errors == {}
    assert examined.findings.notes == {
        "box up to a pixel outside, clipped": 1,
        "box partly outside the image, clipped": 1,
        "box without area, left out": 1,
        "mask without a pixel": 1,
        "video without images, left out": 1,
        "track twice in a frame": 1,
        # The twin's class in frame 0, and the old one again in frame 1.
        "track changes its class": 1,
    }
    assert examined.crowds == 1


def test_crowds_need_no_box(content: dict[str, Any], write: Write) -> None:
    content["annotations"][0] = {"id": 1, "image_id": 1, "category_id": 7, "iscrowd": 1}
    path = write(content)
    examined = examine(path)
    assert (examined.crowds, examined.findings.errors) == (1, {})
    assert examined.videos == tuple(CocoVid(path).videos)


def test_first_image_is_decoded(small_set: Path, tmp_path: Path) -> None:
    """A PNG whose header is sound, and which ends there."""
    root = shutil.copytree(small_set.parent, tmp_path / "copy")
    image = root / "v1/0.png"
    image.write_bytes(image.read_bytes()[:40])
    examined = examine(root / "annotations.json")
    check_files(examined)
    assert examined.findings.errors == {"image that cannot be read": 1}
    assert examined.findings.examples["image that cannot be read"].startswith(str(image))


def test_plain_coco(content: dict[str, Any], write: Write) -> None:
    del content["videos"]
    path = write(content)
    examined = examine(path)
    assert examined.findings.notes == {"no `videos`: every image is one": 1}
    assert examined.videos == tuple(CocoVid(path).videos)


def test_image_files(small_set: Path, tmp_path: Path) -> None:
    content = json.loads(small_set.read_text())
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    for image in content["images"]:
        target = tmp_path / image["file_name"]
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((small_set.parent / image["file_name"]).read_bytes())
    (tmp_path / "v1/0.png").unlink()
    (tmp_path / "v1/1.png").write_bytes(b"no PNG")
    cv2.imwrite(str(tmp_path / "v2/0.png"), np.zeros((100, 60, 3), np.uint8))
    examined = examine(path)
    assert check_files(examined) == 6
    assert examined.findings.errors == {
        "missing image": 1,
        "image that cannot be read": 1,
        "image of another size": 1,
    }
    example = examined.findings.examples["image of another size"]
    assert example.endswith("0.png: is 60x100, the file says 100x60")
    elsewhere = examine(path, small_set.parent)
    check_files(elsewhere)
    assert elsewhere.findings.errors == {}


def _videos(*lengths: int) -> list[VideoRecord]:
    return [
        VideoRecord(k, f"v{k}", tuple(FrameRecord(f, Path("x"), 8, 8, f) for f in range(length)))
        for k, length in enumerate(lengths)
    ]


@pytest.mark.parametrize(
    ("lengths", "count", "picked"),
    [
        ((10,), 2, [(0, 2), (0, 7)]),
        ((4, 4), 3, [(0, 1), (0, 3), (1, 2)]),
        ((4, 4, 4, 4), 2, [(0, 2), (2, 2)]),
        ((1, 4), 4, [(0, 0), (1, 1), (1, 3)]),
        ((), 4, []),
    ],
)
def test_frames_are_spread(
    lengths: tuple[int, ...], count: int, picked: list[tuple[int, int]]
) -> None:
    found = pick_frames(_videos(*lengths), count)
    assert [(video.video_id, frame.frame_id) for video, frame in found] == picked


def test_sheet_shows_box_mask_and_image(small_set: Path) -> None:
    """Frame 0 of `first`, 100x60 at 4.8 times: box and mask at 10, 20, 30 x 16."""
    examined = examine(small_set)
    video = examined.videos[0]
    sheet, problems = draw_sheet([(video, video.frames[0])], examined.classes)
    assert problems == []
    assert sheet.shape == (CELL_HEIGHT + CAPTION + 12, CELL_WIDTH + 12, 3)
    bare = FrameRecord(0, video.frames[0].path, 100, 60, 0)
    plain, _ = draw_sheet([(video, bare)], examined.classes)
    changed = (sheet != plain).any(axis=2)[6 : 6 + CELL_HEIGHT, 6 : 6 + CELL_WIDTH]
    top = (CELL_HEIGHT - 288) // 2
    inside = changed[top + 97 : top + 171, 49:191]
    assert inside.mean() > 0.99  # the mask
    assert not changed[top + 180 :].any()
    assert not changed[:, 200:].any()
    assert not changed[: top + 40].any()  # the label ends above the box


def test_command_prints_draws_and_refuses(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "new" / "sheet.png"
    assert main(["data", "check", str(small_set), "--out", str(picture), "--frames", "5"]) == 0
    printed = capsys.readouterr().out
    assert "no mistakes" in printed
    assert "7 of 7 images" in printed
    assert cv2.imread(str(picture)).shape == (2 * 332 + 6, 3 * 486 + 6, 3)
    content = json.loads(small_set.read_text())
    content["annotations"][0]["bbox"] = [1, 2, -1, 3]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    arguments = ["data", "check", str(path), "--images", str(small_set.parent)]
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert "mistake: 1 x box of negative size, first: annotation 1 has" in output.out
    assert output.err.strip().endswith("annotations.json: mistakes: 1, listed above; expected none")


def test_set_without_annotations_is_allowed(
    small_set: Path, content: dict[str, Any], write: Write
) -> None:
    content["annotations"] = []
    console = Console(record=True, width=120)
    numbers = run_check(write(content), images=small_set.parent, console=console)
    assert numbers.frames == numbers.empty_frames == 7
    assert "no annotations: for prediction only" in console.export_text()


def test_set_without_images_is_a_mistake(content: dict[str, Any], write: Write) -> None:
    content["annotations"] = []
    content["images"] = []
    assert examine(write(content)).findings.errors == {"no images": 1}


def test_a_sheet_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    path = tmp_path / "sheet.png"
    sheet, _ = draw_sheet([], ())
    write_image(path, sheet)
    before = path.read_bytes()
    assert np.array_equal(cv2.imread(str(path)), sheet)
    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    with pytest.raises(FaimError, match=r"sheet\.png: cannot be written \(No space left on device"):
        write_image(path, sheet)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["sheet.png"]


def test_an_image_of_too_many_pixels_is_one_sentence(
    small_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = CocoVid(small_set).frames[0].path
    assert image_size(path) == (100, 60)
    monkeypatch.setenv("FAIM_MAX_IMAGE_PIXELS", "5999")
    with pytest.raises(FaimError, match=r"is 100x60 pixels; expected at most 5999 in all"):
        image_size(path)


def test_wrong_files_are_one_sentence(tmp_path: Path, small_set: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": {}}))
    with pytest.raises(FaimError, match="the file has no `categories`"):
        examine(path)
    path.write_text(json.dumps({"categories": {}}))
    with pytest.raises(FaimError, match="`categories` is a dict; expected a list"):
        examine(path)
    with pytest.raises(FaimError, match="no such file"):
        run_check(tmp_path / "none.json")
    sheet, _ = draw_sheet([], ())
    with pytest.raises(FaimError, match=r"sheet\.txt: cannot be written; expected a name ending"):
        write_image(tmp_path / "sheet.txt", sheet)


def test_undrawable_images_are_told(small_set: Path) -> None:
    frame = FrameRecord(1, small_set, 100, 60, 0)
    sheet, problems = draw_sheet([(VideoRecord(1, "häst", (frame,)), frame)], ())
    assert problems == [f"{small_set}: cannot be decoded; expected an image"]
    assert not sheet[6 : 6 + CELL_HEIGHT, 6 : 6 + CELL_WIDTH].any()
