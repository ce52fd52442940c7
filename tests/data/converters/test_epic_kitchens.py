from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees_other import LABEL_HEADER, epic, write_image, write_text

from faim.data.coco_vid import CocoVid
from faim.data.converters.epic_kitchens import convert_epic_kitchens
from faim.data.converters.epic_splits import default_split, read_split
from faim.errors import FaimError

ROWS = (
    '1,saucepan,P01,P01_01,31,"[(100, 200, 300, 400), (0, 0, 50, 60)]"',
    '3,tap,P01,P01_01,31,"[(10, 20, 30, 40)]"',
    "3,tap,P01,P01_01,91,[]",
    '1,pan,P01,P01_01,31,"[(100, 200, 300, 400)]"',  # the same box by another name
    '3,tap,P02,P02_07,1,"[(872, 958, 210, 140)]"',  # two pixels too low
)
IMAGES = {"P01_01": (31, 61, 91), "P02_07": (1,)}


def test_boxes_are_top_left_height_width(tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    summary = convert_epic_kitchens(epic(tmp_path / "EPIC", ROWS, IMAGES), out)
    assert (summary.videos, summary.frames, summary.empty_frames) == (2, 3, 1)
    assert summary.annotations == 4
    assert summary.problems.notes == {"box given twice": 1}
    assert summary.problems.counts == {}
    data = CocoVid(out)
    assert data.classes == ("pan", "tap")  # the nouns that have boxes
    first, second = data.videos[0].frames
    assert (first.width, first.height) == (192, 108)
    assert [each.box for each in first.annotations] == [
        (20, 10, 60, 40),
        (0, 0, 6, 5),
        (2, 1, 6, 4),
    ]
    assert [each.category_id for each in first.annotations] == [0, 0, 1]
    assert (first.frame_id, second.frame_id) == (31, 91)  # 61 is not annotated
    assert second.annotations == ()
    low = data.videos[1].frames[0].annotations[0].box
    assert low == pytest.approx((95.8, 87.2, 109.8, 108))
    assert {each.instance_id for frame in data.frames for each in frame.annotations} == {-1}
    content = json.loads(out.read_text())
    assert [each["noun_id"] for each in content["categories"]] == [1, 3]


def test_boxes_of_full_size_images_are_kept(tmp_path: Path) -> None:
    root = epic(tmp_path, ROWS[4:], {})
    write_image(root / "P02/object_detection_images/P02_07/0000000001.jpg", 1920, 1080)
    summary = convert_epic_kitchens(root, tmp_path / "a.json")
    box = CocoVid(tmp_path / "a.json").frames[0].annotations[0].box
    assert box == (958, 872, 1098, 1080)
    assert summary.problems.counts == {"box outside the image": 1}


def test_each_image_has_its_own_size(tmp_path: Path) -> None:
    """Boxes count in 1920 x 1080: a tenth in the first image, a fifth in the second."""
    boxes = '"[(100, 200, 300, 400)]"'
    rows = [f"1,pan,P01,P01_01,{frame},{boxes}" for frame in (31, 61)]
    root = epic(tmp_path, rows, {"P01_01": (31,)})
    folder = root / "object_detection_images/train/P01/P01_01"
    write_image(folder / "0000000061.jpg", 384, 216)
    convert_epic_kitchens(root, tmp_path / "a.json")
    first, second = CocoVid(tmp_path / "a.json").frames
    assert (first.width, first.height, second.width, second.height) == (192, 108, 384, 216)
    assert first.annotations[0].box == (20, 10, 60, 40)
    assert second.annotations[0].box == (40, 20, 120, 80)


def test_all_classes_and_given_annotations(tmp_path: Path) -> None:
    root = epic(tmp_path / "EPIC", ROWS, IMAGES)
    (root / "annotations").rename(tmp_path / "csv")
    with pytest.raises(FaimError, match=r"no EPIC_train_object_labels\.csv here or in"):
        convert_epic_kitchens(root, tmp_path / "a.json")
    out = tmp_path / "a.json"
    convert_epic_kitchens(root, out, annotations=tmp_path / "csv", all_classes=True)
    data = CocoVid(out)
    assert data.classes == ("Nothing", "pan", "pan:dust", "tap")
    assert data.frames[0].annotations[2].category_id == 3


def test_given_splits(tmp_path: Path) -> None:
    root = epic(tmp_path / "EPIC", ROWS, IMAGES)
    split = tmp_path / "split.csv"
    write_text(split, "video_id,split", "P01_01,train", "P02_07,S2", "P09_01,S2")
    out = tmp_path / "a.json"
    convert_epic_kitchens(root, out, split=split)
    splits = {each["name"]: each["split"] for each in json.loads(out.read_text())["videos"]}
    assert splits == {"P01_01": "train", "P02_07": "S2"}
    convert_epic_kitchens(root, out, split=split, only="S2")
    data = CocoVid(out)
    assert [video.name for video in data.videos] == ["P02_07"]
    assert data.classes == ("pan", "tap")  # of all parts
    with pytest.raises(FaimError, match=r"no video is of the split S1; expected .* \(S2, train\)"):
        convert_epic_kitchens(root, out, split=split, only="S1")
    write_text(split, "P01_01,train", "P01_01,S1")
    with pytest.raises(FaimError, match=r"split\.csv:2: is 'P01_01,S1'; expected"):
        read_split(split)
    with pytest.raises(FaimError, match=r"none\.csv: no such file"):
        read_split(tmp_path / "none.csv")


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_default_split_keeps_its_promises(sizes: list[int]) -> None:
    kitchens = {f"P{k:02}_{n:02}": f"P{k:02}" for k, size in enumerate(sizes) for n in range(size)}
    split = default_split(kitchens)
    assert split.keys() == kitchens.keys()
    unseen = {kitchens[video] for video, part in split.items() if part == "S2"}
    assert len(unseen) == int(len(sizes) / 8 + 0.5)
    for k, size in enumerate(sizes):
        parts = [split[f"P{k:02}_{n:02}"] for n in range(size)]
        if f"P{k:02}" in unseen:
            assert set(parts) == {"S2"}
        else:
            assert parts.count("S1") == size * 106 // 378
            assert parts.count("train") > 0
    assert default_split(dict(reversed(kitchens.items()))) == split


def test_default_split_is_the_same_on_any_machine() -> None:
    kitchens = {f"P{k:02}_{n:02}": f"P{k:02}" for k in range(1, 5) for n in range(4)}
    split = default_split(kitchens)
    # The smallest SHA-256 of P01 … P04 is that of P02, of P01_00 … P01_03 that of P01_01.
    assert {kitchens[video] for video, part in split.items() if part == "S2"} == {"P02"}
    assert [video for video, part in split.items() if part == "S1" and video < "P02"] == ["P01_01"]


def test_damaged_parts_are_counted(tmp_path: Path) -> None:
    root = epic(
        tmp_path,
        (
            *ROWS[:2],
            '77,ghost,P01,P01_01,31,"[(1, 2, 30, 40)]"',
            "77,ghost,P01,P01_01,31,[]",
            '1,pan,P01,P01_01,31,"[(1, 2, 30)]"',
            '1,pan,P01,P01_01,x,"[(1, 2, 30, 40)]"',
            '1,pan,P01,P01_01,31,"[(1, 2, 0, 40)]"',
            '1,pan,P01,P01_01,61,"[(1, 2000, 30, 40)]"',
            '1,pan,P01,P01_01,121,"[(1, 2, 30, 40)]"',
            '1,pan,P03,P03_01,1,"[(1, 2, 30, 40)]"',
            '1,pan,P04,P04_01,1,"[(1, 2, 30, 40)]"',
        ),
        {**IMAGES, "P03_01": (1,)},
    )
    (root / "object_detection_images/train/P03/P03_01/0000000001.jpg").write_bytes(b"no")
    summary = convert_epic_kitchens(root, tmp_path / "a.json")
    assert summary.problems.counts == {
        "unknown class": 1,
        "unreadable": 3,
        "box without area": 1,
        "box outside the image": 1,
        "missing image": 2,
    }
    assert (summary.videos, summary.frames, summary.annotations) == (1, 2, 3)
    example = summary.problems.examples["unreadable"]
    assert example == "EPIC_train_object_labels.csv:6 (31, 1, '[(1, 2, 30)]')"
    with pytest.raises(FaimError, match=r"labels\.csv:4 \(noun class 77\): unknown class"):
        convert_epic_kitchens(root, tmp_path / "b.json", strict=True)


def test_damaged_tables_are_one_sentence(tmp_path: Path) -> None:
    root = epic(tmp_path, ROWS, IMAGES)
    labels = root / "annotations/EPIC_train_object_labels.csv"
    write_text(labels, LABEL_HEADER.replace("frame", "time"), *ROWS)
    with pytest.raises(FaimError, match="has no column 'frame'; expected noun_class"):
        convert_epic_kitchens(root, tmp_path / "a.json")
    write_text(labels, LABEL_HEADER)
    with pytest.raises(FaimError, match=r"object_labels\.csv: has no rows; expected one for each"):
        convert_epic_kitchens(root, tmp_path / "a.json")
    write_text(root / "annotations/EPIC_noun_classes.csv", "noun_id,class_key")
    with pytest.raises(FaimError, match=r"noun_classes\.csv: names no class; expected at least"):
        convert_epic_kitchens(root, tmp_path / "a.json")
    write_text(root / "annotations/EPIC_noun_classes.csv", "noun_id,class_key", "one,pan")
    with pytest.raises(FaimError, match="expected the columns noun_id and class_key"):
        convert_epic_kitchens(root, tmp_path / "a.json")
