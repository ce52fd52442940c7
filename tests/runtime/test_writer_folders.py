"""Annotated frames, crops and YOLO labels."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv
import yaml
from writer_helpers import HEIGHT, NAMES, WIDTH, Row, fill, result, results

from faim.data.coco_vid import CocoVid
from faim.data.converters.yolo_folder import convert_yolo_folder
from faim.errors import FaimError
from faim.pictures.reading import read_image
from faim.runtime.writers.crops import CropsSink
from faim.runtime.writers.folder import OutputFolder
from faim.runtime.writers.frames import FramesSink
from faim.runtime.writers.names import folder_names, safe_name
from faim.runtime.writers.yolo import YoloSink


def files_in(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_frames_are_named_by_number_or_as_their_file(tmp_path: Path) -> None:
    given = [
        *results()[:2],
        result(2, [], file="b/c.png"),
        result(3, [], file="scan.tif"),
        result(4, [], file="caf\udce9.JPG"),
    ]
    fill(FramesSink(tmp_path / "new" / "out"), given)
    out = tmp_path / "new" / "out"
    assert files_in(out) == ["000000.jpg", "000001.jpg", "b/c.png", "caf\udce9.JPG", "scan.tif.jpg"]
    drawn = read_image(out / "000000.jpg")
    assert drawn.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(drawn[24, 20].astype(int) - 90).max() < 12  # inside of the box
    assert np.abs(drawn[24, 10].astype(int) - 90).max() > 60  # its left side
    assert (read_image(out / "b" / "c.png") == 90).all()


def test_crops_by_class_and_track(tmp_path: Path) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[8:40, 10:30] = (200, 100, 50)
    rows: list[Row] = [
        (1, 0, 0.9, (10.2, 8.4, 29.5, 39.9)),
        (-1, 2, 0.8, (40, 8, 90, 40)),
        (3, 0, 0.7, (64, 0, 70, 9)),
    ]
    given = [
        result(12, rows, image=image),
        result(13, rows[:1], image=image, file="x/a.png", tracks=False),
        result(14, rows[:1], image=image, file="x/a.jpg", tracks=False),
    ]
    fill(CropsSink(tmp_path / "out", NAMES), given)
    assert files_in(tmp_path / "out") == [
        "a_b_ c/000012_1.jpg",
        "dog/000012_0_id1.jpg",
        "dog/x/a.jpg_0.jpg",
        "dog/x/a_0.jpg",
    ]
    crop = read_image(tmp_path / "out/dog/000012_0_id1.jpg")
    assert crop.shape == (32, 20, 3)
    assert np.abs(crop.astype(int) - (200, 100, 50)).max() < 8
    assert read_image(tmp_path / "out/a_b_ c/000012_1.jpg").shape == (32, 24, 3)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("../../etc", "_.._etc"),
        ("..", "_"),
        ("NUL.txt", "_NUL.txt"),
        ("собака", "собака"),
        ("a\nb", "a_nb"),
        ("dog ", "dog"),
        ("x" * 500, "x" * 200),
        ("猫" * 100, "猫" * 66),
    ],
)
def test_class_names_are_safe_file_names(text: str, name: str) -> None:
    assert safe_name(text) == name
    assert len(set(folder_names([text, text, text.upper()]))) == 3


def yolo(folder: Path, *, tracks: bool) -> Path:
    """Labels, and images beside them."""
    given = results(tracks=tracks)
    fill(YoloSink(folder, NAMES), [*given, result(5, [])])
    (folder / "images").mkdir()
    for each in range(6):
        picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        cv2.imwrite(str(folder / f"images/{each:06d}.png"), picture)
    return folder


def test_yolo_is_read_by_supervision(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "out", tracks=False)
    data = sv.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml")
    )
    assert data.classes == list(NAMES)
    read = {Path(name).stem: found for name, _, found in data}
    np.testing.assert_allclose(read["000000"].xyxy, [[10, 8, 30, 40], [32, 0, 64, 24]], atol=1e-3)
    assert read["000000"].class_id.tolist() == [0, 1]
    assert len(read["000005"]) == 0


def test_yolo_with_tracks_is_read_by_the_converter(tmp_path: Path) -> None:
    folder = yolo(tmp_path / "out", tracks=True)
    lines = (folder / "labels/000000.txt").read_text().splitlines()
    assert lines[0] == "0 0.312500 0.500000 0.312500 0.666667 0.9000 1"
    assert (folder / "labels/000002.txt").read_text().split()[5:] == ["0.4000"]
    assert (folder / "labels/000005.txt").read_text() == ""
    data = yaml.safe_load((folder / "data.yaml").read_text())
    assert data["names"] == dict(enumerate(NAMES))
    convert_yolo_folder(folder, tmp_path / "all.json", labels="box+confidence+track")
    [video] = CocoVid(tmp_path / "all.json").videos
    first = video.frames[0].annotations
    assert [(each.category_id, each.instance_id) for each in first] == [(0, 1), (1, 2)]
    assert first[0].box == pytest.approx((10, 8, 30, 40), abs=1e-3)


def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = [tmp_path / "file", tmp_path / "file" / "in", Path("/proc/nowhere")]
    if os.geteuid() != 0:
        (tmp_path / "sealed").mkdir(mode=0o500)
        places.append(tmp_path / "sealed")
    for place in places:
        with pytest.raises(FaimError, match=f"{place}: cannot be written .*; expected a folder"):
            OutputFolder(place)


def test_a_folder_without_files_goes_and_older_files_stay(tmp_path: Path) -> None:
    OutputFolder(tmp_path / "new").close()
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    OutputFolder(tmp_path / "old").close()
    assert (tmp_path / "old").is_dir()
    (tmp_path / "old" / "a").write_text("1")
    folder = OutputFolder(tmp_path / "old")
    folder.write("b/c", b"2")
    folder.close()
    assert files_in(tmp_path / "old") == ["a", "b/c"]


def test_a_disk_that_fills_leaves_whole_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = OutputFolder(tmp_path / "out")
    folder.write("a", b"1")

    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FaimError, match=r"out/b: cannot be written \(No space left on device\)"):
        folder.write("b", b"2")
    folder.close()
    assert files_in(tmp_path / "out") == ["a"]
