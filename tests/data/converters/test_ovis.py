from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trees_other import HEIGHT, WIDTH, ovis, rectangle, write_ovis

from faim.data.coco_vid import CocoVid, read_mask
from faim.data.converters.ovis import convert_ovis
from faim.data.mask_encoding import rle_box
from faim.errors import FaimError


def test_boxes_masks_and_tracks(tmp_path: Path) -> None:
    ovis(tmp_path)
    out = tmp_path / "a.json"
    (summary,) = convert_ovis(tmp_path, out)
    assert (summary.videos, summary.frames, summary.empty_frames) == (2, 6, 3)
    assert (summary.annotations, summary.masks, summary.problems.counts) == (3, 3, {})
    data = CocoVid(out)
    data.check(num_classes=2, masks_required=True)
    assert data.classes == ("Fish", "Bird")
    first, second, third = data.videos[0].frames
    assert [each.box for each in first.annotations] == [(4, 5, 14, 11)]
    assert [each.box for each in second.annotations] == [(30, 20, 42, 29)]  # tight to the mask
    assert second.annotations[0].category_id == 1
    assert first.annotations[0].instance_id == third.annotations[0].instance_id
    assert second.annotations[0].instance_id != first.annotations[0].instance_id
    mask = read_mask(third.annotations[0], HEIGHT, WIDTH)
    assert np.array_equal(mask, rectangle(0, 5, 10, 6) > 0)
    content = json.loads(out.read_text())
    assert all(isinstance(each["segmentation"]["counts"], str) for each in content["annotations"])
    occlusions = [each.get("occlusion") for each in content["annotations"]]
    assert occlusions == ["no_occlusion", None, "severe_occlusion"]
    assert [image["source_id"] for image in content["images"][2:4]] == ["1_3", "2_1"]


def test_validation_has_images_alone(tmp_path: Path) -> None:
    content = ovis(tmp_path)
    (tmp_path / "train").rename(tmp_path / "valid")
    write_ovis(tmp_path, {**content, "annotations": None}, "valid")
    (summary,) = convert_ovis(tmp_path, tmp_path / "a.json", split="valid")
    assert (summary.frames, summary.empty_frames) == (6, 6)
    assert summary.problems.counts == {}


def test_held_out_videos(tmp_path: Path) -> None:
    ovis(tmp_path, videos=10)
    out = tmp_path / "a.json"
    names = {}
    for amount, count in ((3, 3), (0.5, 5)):
        kept, held = convert_ovis(tmp_path, out, hold_out=amount)
        assert (kept.videos, held.videos) == (10 - count, count)
        assert held.path == tmp_path / "a_held_out.json"
        names[amount] = {video.name for video in CocoVid(held.path).videos}
        assert not names[amount] & {video.name for video in CocoVid(out).videos}
    assert names[3] < names[0.5]
    # By the SHA-256 of "00000000" … "00000009", on any machine.
    assert names[3] == {"00000003", "00000006", "00000009"}
    for wrong in (10, 0.01):
        with pytest.raises(FaimError, match="expected to hold out 1 to 9 of the 10 videos"):
            convert_ovis(tmp_path, out, hold_out=wrong)


def test_damaged_parts_are_counted(tmp_path: Path) -> None:
    content = ovis(tmp_path)
    fish, bird = content["annotations"]
    fish["segmentations"][0] = {"size": [HEIGHT, WIDTH], "counts": [5, 10]}  # too short
    fish["bboxes"][2] = [-3.0, 5.0, 13.0, 6.0]
    bird["segmentations"] += [None]
    bird["segmentations"][1] = {"size": [WIDTH, HEIGHT], "counts": [2400]}  # no box but this
    bird["bboxes"][0] = [0.0, 0.0, 0.0, 5.0]
    bird["segmentations"][2] = 7
    content["annotations"] += [{**bird, "id": 13, "category_id": 7}]
    content["videos"][0]["file_names"][1] = "00000000/gone.jpg"
    content["videos"][1]["file_names"] = ["00000001/gone.jpg"]
    write_ovis(tmp_path, content)
    (summary,) = convert_ovis(tmp_path, tmp_path / "a.json")
    assert summary.problems.counts == {
        "damaged mask": 3,
        "masks for other than all frames": 1,
        "unknown class": 1,
        "missing image": 2,
        "box outside the image": 1,
        "box without area": 1,
    }
    assert (summary.videos, summary.frames, summary.annotations, summary.masks) == (1, 2, 2, 1)
    with pytest.raises(FaimError, match=r"object 12 \(4 of 3\): masks for other than all frames"):
        convert_ovis(tmp_path, tmp_path / "b.json", strict=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": []}, "has no `videos`"),
        ({"categories": None}, "has no `categories`"),
        ({"annotations": [{"id": 1, "video_id": 1}]}, "`category_id` of `annotations` number 0 is"),
        ({"videos": [{"id": 1, "width": 1.5}]}, r"`width` of `videos` number 0 is 1\.5; expected"),
        ({"categories": [3]}, "`id` of `categories` number 0 is None; expected a whole number"),
        ({"categories": [{"id": 1, "name": "a"}] * 2}, "`categories` has id 1 twice"),
    ],
)
def test_another_form_is_one_sentence(tmp_path: Path, change: dict, message: str) -> None:
    content = ovis(tmp_path)
    write_ovis(tmp_path, {**content, "annotations": [], **change})
    with pytest.raises(FaimError, match=message):
        convert_ovis(tmp_path, tmp_path / "a.json")


def test_objects_of_no_video_and_missing_file(tmp_path: Path) -> None:
    content = ovis(tmp_path)
    content["annotations"][0]["video_id"] = 9
    write_ovis(tmp_path, content)
    with pytest.raises(FaimError, match="object 11 is of video 9; expected one of the file's 2"):
        convert_ovis(tmp_path, tmp_path / "a.json")
    with pytest.raises(FaimError, match=r"annotations_valid\.json: no such file"):
        convert_ovis(tmp_path, tmp_path / "a.json", split="valid")


def test_box_of_a_mask() -> None:
    counts = [5 * 40 + 3, 4, 36, 4, 60 * 40 - 5 * 40 - 3 - 44]  # columns 5 and 6, rows 3 to 6
    assert rle_box({"size": [40, 60], "counts": counts}, 40, 60) == (5, 3, 7, 7)
    assert rle_box({"size": [40, 60], "counts": [2400]}, 40, 60) is None
    with pytest.raises(FaimError, match="damaged mask"):
        rle_box({"size": [40, 60], "counts": [2400]}, 60, 40)
