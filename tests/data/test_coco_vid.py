from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger
from pycocotools import mask as coco_mask

from faim.data.coco_vid import Annotation, CocoVid, read_image, read_mask
from faim.errors import FaimError

Content = dict[str, Any]
Write = Callable[[Content], Path]


def test_reads_videos_in_order_with_dense_classes(small_set: Path) -> None:
    data = CocoVid(small_set)
    assert data.classes == ("cat", "dog")
    assert data.category_ids == (3, 7)
    assert [(video.name, len(video.frames)) for video in data.videos] == [
        ("first", 5),
        ("second", 2),
    ]
    assert [frame.frame_id for frame in data.frames] == [0, 1, 2, 3, 4, 0, 1]
    second = data.videos[0].frames[1]
    assert second.path == small_set.parent / "v1/1.png"
    assert second.annotations[0].box == (14.0, 20.0, 44.0, 36.0)
    assert [frame.annotations[0].category_id for frame in data.frames] == [1] * 5 + [0] * 2
    assert second.annotations[0].instance_id == 101
    data.check(num_classes=2, masks_required=True)


def test_plain_coco_is_videos_of_one_frame(content: Content, write: Write) -> None:
    del content["videos"]
    for image in content["images"]:
        del image["video_id"], image["frame_id"]
    data = CocoVid(write(content))
    assert [len(video.frames) for video in data.videos] == [1] * 7


def test_crowds_empty_videos_and_degradation(content: Content, write: Write) -> None:
    content["annotations"][0]["iscrowd"] = 1
    content["videos"].append({"id": 9, "name": "nothing in it"})
    content["images"][-1]["degradation"] = "defocus"
    data = CocoVid(write(content))
    assert [len(frame.annotations) for frame in data.frames] == [0, 1, 1, 1, 1, 1, 1]
    assert [len(frame.crowds) for frame in data.frames] == [1, 0, 0, 0, 0, 0, 0]
    assert [video.name for video in data.videos] == ["first", "second"]
    assert [frame.degradation for frame in data.frames][:2] == ["defocus", None]


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (None, None),
        ({}, None),
        ("of 2017", None),
        ({"exhaustive": None}, None),
        ({"exhaustive": True}, True),
        ({"year": 2016, "exhaustive": False}, False),
    ],
)
def test_a_file_may_say_whether_all_objects_have_a_label(
    content: Content, write: Write, info: Any, expected: bool | None
) -> None:
    content["info"] = info
    assert CocoVid(write(content)).exhaustive is expected
    del content["info"]
    assert CocoVid(write(content)).exhaustive is None


def test_a_box_within_a_pixel_of_the_image_is_clipped(content: Content, write: Write) -> None:
    content["annotations"][0]["bbox"] = [-0.5, -1, 101, 61.5]
    assert CocoVid(write(content)).frames[0].annotations[0].box == (0.0, 0.0, 100.0, 60.0)


def test_boxes_without_area_or_partly_outside_are_told_once(content: Content, write: Write) -> None:
    annotations = content["annotations"]
    for place, box in enumerate(([1, 2, 0, 4], [1, 2, 3, 0.0], [100.2, 2, 0.5, 4])):
        annotations[place]["bbox"] = box
    annotations[3]["bbox"] = [-10, 50, 30, 40]
    told: list[str] = []
    sink = logger.add(told.append, format="{level} {message}")
    try:
        path = write(content)
        data = CocoVid(path)
    finally:
        logger.remove(sink)
    assert [len(frame.annotations) for frame in data.frames] == [0, 0, 0, 1, 1, 1, 1]
    assert data.frames[3].annotations[0].box == (0, 50, 20, 60)
    assert told == [
        f"WARNING {path}: 3 x box without area, left out, first: annotation 1 has bbox "
        "[1, 2, 0, 4]\n",
        f"WARNING {path}: 1 x box partly outside the image, clipped, first: annotation 4 has bbox "
        "[-10, 50, 30, 40]\n",
    ]


def _set(*path: str | int, value: Any) -> Callable[[Content], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def _drop(*path: str | int) -> Callable[[Content], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


BOX = ("annotations", 0, "bbox")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop("images"), "the file has no `images`"),
        (_drop("annotations"), "the file has no `annotations`"),
        (_drop("images", 6, "width"), "image 1 has no `width`"),
        (_drop("images", 6, "file_name"), "image 1 has no `file_name`"),
        (_drop("images", 6, "frame_id"), "image 1 has no `frame_id`"),
        (_drop("annotations", 0, "bbox"), "annotation 1 has no `bbox`"),
        (_drop("categories", 0, "name"), "category 7 has no `name`"),
        (_set("images", value={}), "`images` is a dict; expected a list"),
        (_set("images", 6, "height", value=0), "image 1 has height 0"),
        (_set("images", 6, "id", value=2), "`images` has id 2 twice"),
        (_set("images", 6, "id", value="a"), "`images` has id 'a'"),
        (_set("annotations", 1, "id", value=1), "`annotations` has id 1 twice"),
        (_set("categories", 1, "id", value=7), "`categories` has id 7 twice"),
        (_set("categories", 1, "name", value="dog"), "category 3 has another's name 'dog'"),
        (_set("images", 6, "video_id", value=5), "image 1 refers to video 5"),
        (_set("images", 6, "video_id", value=[1]), "image 1 refers to video [1]"),
        (_set("images", 6, "frame_id", value=1), "image 1 has frame_id 1"),
        (_set("annotations", 0, "image_id", value=99), "annotation 1 refers to image 99"),
        (_set("annotations", 0, "category_id", value=4), "annotation 1 refers to category 4"),
        (_set(*BOX, value=[1, 2, 3]), "expected four finite numbers"),
        (_set(*BOX, value=[float("nan"), 2, 3, 4]), "expected four finite numbers"),
        (_set(*BOX, value=[1, float("inf"), 3, 4]), "expected four finite numbers"),
        (_set(*BOX, value=[1, 2, 3, -4]), "expected a width and height above 0"),
        (_set(*BOX, value=[-31, 2, 30, 4]), "outside image 1; expected it within 100x60"),
        (_set(*BOX, value=[100.2, 2, 1, 4]), "outside image 1"),
        (_set("annotations", 0, "iscrowd", value="yes"), "has iscrowd 'yes'; expected 0 or 1"),
        (_set("annotations", 0, "iscrowd", value=[1]), "has iscrowd [1]; expected 0 or 1"),
        (_set("annotations", 0, "iscrowd", value=2), "has iscrowd 2; expected 0 or 1"),
        (_set("annotations", 0, "ignore", value={}), "has ignore {}; expected 0 or 1"),
        (_set("annotations", 0, "area", value=[]), "has area []; expected a finite number"),
        (_set("annotations", 0, "area", value="big"), "has area 'big'; expected a finite number"),
        (_set("info", value={"exhaustive": 1}), "`info` has exhaustive 1; expected true or false"),
    ],
)
def test_wrong_content_is_one_sentence(
    change: Callable[[Content], None], message: str, content: Content, write: Write
) -> None:
    change(content)
    path = write(content)
    with pytest.raises(FaimError) as caught:
        CocoVid(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file"),
        ("", "is empty"),
        ("{", "is not JSON"),
        ("[]", "holds a list"),
        (b"\xff\xd8\xff\xe0", "cannot be read as text"),
    ],
)
def test_wrong_file_is_one_sentence(tmp_path: Path, text: Any, message: str) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FaimError, match=message):
        CocoVid(path)


def test_check_finds_what_would_stop_a_training(
    small_set: Path, content: Content, write: Write
) -> None:
    with pytest.raises(FaimError, match=r"2 classes \(cat, dog\); expected 30"):
        CocoVid(small_set).check(num_classes=30, masks_required=False)
    data = CocoVid(write(content))
    with pytest.raises(FaimError, match=r"image 1 was looked for at .*v1/0\.png"):
        data.check(num_classes=2, masks_required=False)
    data.check(num_classes=2, masks_required=True, images_required=False)
    del content["annotations"][3]["segmentation"]
    with pytest.raises(FaimError, match="image 4 has no mask"):
        CocoVid(write(content)).check(num_classes=2, masks_required=True, images_required=False)
    content["annotations"][3]["segmentation"] = {"size": [5, 5], "counts": [25]}
    with pytest.raises(FaimError, match=r"mask of size \[5, 5\]; expected \[60, 100\]"):
        CocoVid(write(content)).check(num_classes=2, masks_required=True, images_required=False)
    content["annotations"] = []
    with pytest.raises(FaimError, match="no annotations"):
        CocoVid(write(content)).check(num_classes=2, masks_required=False)
    content["images"] = []
    with pytest.raises(FaimError, match="no images"):
        CocoVid(write(content)).check(num_classes=2, masks_required=False)


def test_check_finds_damaged_masks(content: Content, write: Write) -> None:
    good = content["annotations"][3]["segmentation"]["counts"]
    for counts in (good[:-1], good + "1", "~" + good, [1, 2], [True] * 6000, 7, None):
        content["annotations"][3]["segmentation"]["counts"] = counts
        with pytest.raises(FaimError, match=r"image 4: annotation with box .*: damaged mask"):
            CocoVid(write(content)).check(num_classes=2, masks_required=True, images_required=False)
    content["annotations"][3]["segmentation"] = [[1, 2, 3, 4]]
    with pytest.raises(FaimError, match=r"image 4: annotation with box .*: damaged mask"):
        CocoVid(write(content)).check(num_classes=2, masks_required=True, images_required=False)


def test_an_image_name_too_long_for_a_file(content: Content, write: Write) -> None:
    content["images"][-1]["file_name"] = "a" * 5000
    with pytest.raises(FaimError, match="image 1 was looked for"):
        CocoVid(write(content)).check(num_classes=2, masks_required=False)


def test_one_missing_or_resized_image_is_found(small_set: Path, tmp_path: Path) -> None:
    root = shutil.copytree(small_set.parent, tmp_path / "copy")
    (root / "v2" / "1.png").unlink()
    with pytest.raises(FaimError, match="image 7 was looked for"):
        CocoVid(root / "annotations.json").check(num_classes=None, masks_required=False)
    elsewhere = CocoVid(root / "annotations.json", image_root=small_set.parent)
    elsewhere.check(num_classes=None, masks_required=False)
    shutil.copy(small_set.parent / "v2" / "1.png", root / "v2" / "1.png")
    cv2.imwrite(str(root / "v1" / "0.png"), np.zeros((30, 50, 3), np.uint8))
    with pytest.raises(FaimError, match="is 50x30; expected 100x60"):
        CocoVid(root / "annotations.json").check(num_classes=None, masks_required=False)


def test_read_image_gives_bgr_of_any_png(tmp_path: Path) -> None:
    grey, alpha = np.array([[7, 9]], np.uint8), np.array([[[1, 2, 3, 4]]], np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "alpha.png"), alpha)
    assert read_image(tmp_path / "grey.png").tolist() == [[[7, 7, 7], [9, 9, 9]]]
    assert read_image(tmp_path / "alpha.png").tolist() == [[[1, 2, 3]]]
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(FaimError, match="cannot be decoded"):
        read_image(tmp_path / "empty.jpg")
    with pytest.raises(FaimError, match="no such image"):
        read_image(tmp_path / "none.jpg")


def _annotation(segmentation: Any) -> Annotation:
    return Annotation((0.0, 0.0, 1.0, 1.0), 0, segmentation=segmentation)


def test_read_mask_in_each_form() -> None:
    expected = np.zeros((4, 6), bool)
    expected[1:3, 2:5] = True
    # Column by column: 2 columns of 4, then 1 off, 2 on, 2 off, 2 on, 2 off, 2 on, and the rest.
    counts = [9, 2, 2, 2, 2, 2, 5]
    uncompressed = read_mask(_annotation({"size": [4, 6], "counts": counts}), 4, 6)
    polygon = read_mask(_annotation([[2, 1, 5, 1, 5, 3, 2, 3]]), 4, 6)
    assert np.array_equal(uncompressed, expected)
    assert np.array_equal(polygon, expected)
    assert uncompressed.dtype == bool


def test_read_mask_compressed(small_set: Path) -> None:
    mask = read_mask(CocoVid(small_set).frames[1].annotations[0], 60, 100)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 35, 14, 43)
    assert mask.sum() == 30 * 16


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_read_mask_agrees_with_pycocotools(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    share = data.draw(st.sampled_from([0.0, 0.01, 0.5, 1.0]))
    mask = rng.random((height, width)) < share
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    text = rle["counts"].decode()
    segmentation = {"size": [height, width], "counts": text}
    assert np.array_equal(read_mask(_annotation(segmentation), height, width), mask)
    with pytest.raises(FaimError, match="damaged mask"):
        read_mask(_annotation({**segmentation, "counts": text[:-1]}), height, width)


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        {"size": [4, 6]},
        {"size": [4, 6], "counts": "abc"},
        {"size": [4, 6], "counts": "4"},
        {"size": [4, 6], "counts": "\xff\xff"},
        {"size": [4, 6], "counts": "~"},
        {"size": [4, 6], "counts": "h" * 50},
        {"size": [4, 6], "counts": "h" * 50 + "1"},
        {"size": [4, 6], "counts": [2**70, 5]},
        {"size": [4, 6], "counts": 5},
        {"size": [4, 6], "counts": ""},
        {"size": [4, 6], "counts": [5]},
        {"size": [4, 6], "counts": [-1, 25]},
        {"size": [6, 4], "counts": [24]},
        {"size": "x", "counts": [1]},
        ["a"],
        [[1, 2]],
        [[1, 1, 2, 2, 3, 1e9]],
        [[1, 1, 2, 2, 3, float("nan")]],
    ],
)
def test_damaged_masks_are_one_sentence(segmentation: Any) -> None:
    with pytest.raises(FaimError, match="annotation with box"):
        read_mask(_annotation(segmentation), 4, 6)


def test_numbers_of_too_many_digits_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"images": [{"9" * 5000}]}}')
    with pytest.raises(FaimError, match=r"a\.json: is not JSON that can be read \(a number is too"):
        CocoVid(path)


def test_json_of_a_float_nan_is_refused_not_read(content: Content, write: Write) -> None:
    content["annotations"][0]["bbox"][2] = float("nan")
    path = write(content)
    assert "NaN" in path.read_text()
    assert json.loads(path.read_text())["annotations"][0]["bbox"][2] != 0
    with pytest.raises(FaimError, match="finite"):
        CocoVid(path)
