from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from trees_other import HEIGHT, WIDTH, write_image, write_text

from faim.data.coco_vid import CocoVid, read_image, read_mask
from faim.data.converters.yolo_data import find_data
from faim.data.converters.yolo_folder import convert_yolo_folder
from faim.data.converters.yolo_forms import LineForm
from faim.errors import FaimError


def clip(images: Path, labels: Path, frames: dict[str, tuple[str, ...]]) -> None:
    for stem, lines in frames.items():
        write_image(images / f"{stem}.jpg")
        write_text(labels / f"{stem}.txt", *lines)


FRAMES = {
    "2": ("0 0.5 0.5 0.5 0.25 7", "1 0.1 0.2 0.1 0.2"),
    "10": ("0 0.5 0.5 0.5 0.25 7",),
    "1": (),
}


@pytest.mark.parametrize(
    ("images", "labels", "name"),
    [
        ("images/cats/a", "labels/cats/a", "cats/a"),
        ("train/images/a", "train/labels/a", "train/a"),
        ("images/train/a", "labels/train/a", "train/a"),
        ("images", "labels", "yolo"),
        ("a", "a", "a"),
        ("a", "labels/a", "a"),
    ],
)
def test_layouts(tmp_path: Path, images: str, labels: str, name: str) -> None:
    root = tmp_path / "yolo"
    clip(root / images, root / labels, FRAMES)
    write_text(root / "classes.txt", "cat", "dog")
    out = tmp_path / "a.json"
    summary = convert_yolo_folder(root, out)
    assert (summary.videos, summary.frames, summary.annotations) == (1, 3, 3)
    assert summary.problems.counts == {}
    assert summary.problems.notes == {}
    data = CocoVid(out)
    assert data.classes == ("cat", "dog")
    assert data.videos[0].name == name
    assert [frame.path.stem for frame in data.frames] == ["1", "2", "10"]
    empty, second, third = data.frames
    assert empty.annotations == ()
    assert [each.box for each in second.annotations] == [
        (15, 15, 45, 25),
        pytest.approx((3, 4, 9, 12)),
    ]
    assert [each.category_id for each in second.annotations] == [0, 1]
    assert second.annotations[0].instance_id == third.annotations[0].instance_id > 0
    assert second.annotations[1].instance_id == -1


def test_several_videos_and_no_label_files(tmp_path: Path) -> None:
    for video in ("clip2", "clip10"):
        clip(tmp_path / "images" / video, tmp_path / "labels" / video, FRAMES)
    write_image(tmp_path / "images/clip2/11.png")
    summary = convert_yolo_folder(tmp_path, tmp_path / "a.json", names=("cat", "dog"))
    assert summary.problems.notes == {"no label file": 1}
    data = CocoVid(tmp_path / "a.json")
    assert [video.name for video in data.videos] == ["clip2", "clip10"]
    assert [len(video.frames) for video in data.videos] == [4, 3]
    tracks = {frame.annotations[0].instance_id for frame in data.frames if frame.annotations}
    assert len(tracks) == 2  # 7 in both videos, of two things
    with pytest.raises(FaimError, match=r"labels/clip2/11\.txt: no label file; expected none"):
        convert_yolo_folder(tmp_path, tmp_path / "b.json", names=("cat", "dog"), strict=True)


def test_polygons_become_masks(tmp_path: Path) -> None:
    lines = ("0 0.1 0.25 0.5 0.25 0.5 0.75 0.1 0.75 3", "0 0 0 1 0 0 1")
    clip(tmp_path / "a", tmp_path / "a", {"1": lines})
    convert_yolo_folder(tmp_path, tmp_path / "a.json", names=("cat",))
    square, triangle = CocoVid(tmp_path / "a.json").frames[0].annotations
    assert square.box == (6, 10, 30, 30)
    assert triangle.box == (0, 0, 60, 40)
    assert square.instance_id > 0 > triangle.instance_id
    mask = read_mask(square, HEIGHT, WIDTH)
    assert mask[10:30, 6:30].all()
    assert mask.sum() == 24 * 20
    half = read_mask(triangle, HEIGHT, WIDTH).mean()
    assert half == pytest.approx(0.5, abs=0.03)


@given(
    st.integers(0, 9),
    st.tuples(*[st.floats(0.01, 0.99)] * 4),
    st.one_of(st.none(), st.integers(0, 10**6)),
)
def test_any_box_is_read_back(
    category: int, sides: tuple[float, float, float, float], track: int | None
) -> None:
    cells = [str(category), *map(repr, sides), *([] if track is None else [str(track)])]
    form = LineForm()
    box = form.parse(cells, 640, 480)
    x1, y1, x2, y2 = box.xyxy
    assert ((x1 + x2) / 1280, (y1 + y2) / 960) == pytest.approx(sides[:2])
    assert ((x2 - x1) / 640, (y2 - y1) / 480) == pytest.approx(sides[2:])
    assert (box.category, box.track) == (category, -1 if track is None else track)
    assert form.parse([*cells[:5], "-7"], 640, 480).track == -1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: [cat, dog]", ["cat", "dog"]),
        ("nc: 2\nnames:\n  1: dog\n  0: cat\n", ["cat", "dog"]),
        ("names: [1, 'yes']", ["1", "yes"]),
    ],
)
def test_names_of_data_yaml(tmp_path: Path, text: str, names: list[str]) -> None:
    (tmp_path / "data.yaml").write_text(text)
    (tmp_path / "classes.txt").write_text("other\n")
    assert list(find_data(tmp_path / "train" / "images").names) == names


WRONG = (
    "names: {1: dog}",
    "names: {0: dog, x: cat}",
    "names: []",
    "names: [yes]",
    "names: [null]",
    "names: [[cat]]",
    f"names: [{'1' * 5000}]",
)


@pytest.mark.parametrize("text", [*WRONG, "nc: 2", "- a", "a: [", ""])
def test_wrong_data_yaml_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(FaimError, match=r"data\.yaml: .*expected"):
        find_data(tmp_path)


def test_damaged_parts_are_counted(tmp_path: Path) -> None:
    lines = (
        "0 0.5 0.5 0.5 0.25",
        "0 0.5 0.5  0.5 0.25",  # the same again
        "2 0.5 0.5 0.5 0.25",  # no such class
        "-1 0.5 0.5 0.5 0.25",
        "0 0.5 0.5 0 0.25",  # no width
        "0 0.5 0.5 1.5 0.25",  # beyond the image
        "0 0.5 0.5 0.5",
        "0 nan 0.5 0.5 0.25",
        "cat 0.5 0.5 0.5 0.25",
        "0",
    )
    clip(tmp_path / "a", tmp_path / "a", {"1": lines, "2": (), "3": ()})
    write_image(tmp_path / "a/2.png")
    (tmp_path / "a/3.jpg").write_bytes(b"no JPEG")
    summary = convert_yolo_folder(tmp_path, tmp_path / "a.json", names=("cat", "dog"))
    assert summary.problems.counts == {
        "duplicate line": 1,
        "unknown class": 2,
        "box without area": 1,
        "box outside the image": 1,
        "unreadable": 5,
        "duplicate frame": 1,
    }
    assert (summary.frames, summary.annotations) == (2, 2)
    assert CocoVid(tmp_path / "a.json").frames[0].annotations[1].box == (0, 15, 60, 25)


def test_turned_photographs_have_the_size_they_are_shown_in(tmp_path: Path) -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT))
    exif = image.getexif()
    exif[0x0112] = 6
    (tmp_path / "a").mkdir()
    image.save(tmp_path / "a/1.jpg", exif=exif)
    write_text(tmp_path / "a/1.txt", "0 0.5 0.5 0.5 0.5")
    convert_yolo_folder(tmp_path, tmp_path / "a.json", names=("cat",))
    frame = CocoVid(tmp_path / "a.json").frames[0]
    assert read_image(frame.path).shape == (frame.height, frame.width, 3) == (60, 40, 3)
    assert frame.annotations[0].box == (10, 15, 30, 45)


def test_a_damaged_image_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"a/{number}.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "a/1.png").write_bytes(b"no picture")
    convert_yolo_folder(tmp_path, tmp_path / "a.json", names=("cat",))
    assert [frame.frame_id for frame in CocoVid(tmp_path / "a.json").frames] == [0, 2, 3]


def test_wrong_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FaimError, match="none: no such folder"):
        convert_yolo_folder(tmp_path / "none", tmp_path / "a.json")
    (tmp_path / "x" / "y" / "z").mkdir(parents=True)
    with pytest.raises(FaimError, match=r"no class names; expected data\.yaml or classes\.txt"):
        convert_yolo_folder(tmp_path / "x/y/z", tmp_path / "a.json")
    with pytest.raises(FaimError, match="no images in it"):
        convert_yolo_folder(tmp_path / "x", tmp_path / "a.json", names=("cat",))
    cv2.imwrite(str(tmp_path / "x/1.png"), np.zeros((4, 4, 3), np.uint8))
    assert convert_yolo_folder(tmp_path / "x", tmp_path / "a.json", names=("cat",)).frames == 1
