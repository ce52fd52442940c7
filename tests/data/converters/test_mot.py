from __future__ import annotations

import json
from pathlib import Path

import pytest
from trees_other import mot

from faim.data.coco_vid import CocoVid
from faim.data.converters.mot import convert_mot
from faim.errors import FaimError

ROWS = (
    "1,3,11,6,20,30,1,1,0.75",
    "2,3,12,6,20,30,1,1,1",
    "4,3,-9,6,20,30,1,1,0.5",  # sticks out on the left
    "4,9,1,1,10,10,0,1,1",  # not considered
    "5,9,1,1,10,10,0,7,1",  # a static person
    "5,4,1,1,10,10,0,3,1",  # a car
)


def test_boxes_start_at_zero_and_keep_their_visibility(tmp_path: Path) -> None:
    mot(tmp_path / "MOT20", "MOT20-01", ROWS)
    out = tmp_path / "a.json"
    summary = convert_mot(tmp_path / "MOT20", out)
    assert (summary.videos, summary.frames, summary.empty_frames) == (1, 5, 2)
    assert summary.annotations == 3
    assert summary.problems.counts == {}
    assert summary.problems.notes == {"not considered": 1, "static person": 1, "car": 1}
    data = CocoVid(out)
    assert data.classes == ("pedestrian",)
    boxes = [[each.box for each in frame.annotations] for frame in data.frames]
    assert boxes == [[(10, 5, 30, 35)], [(11, 5, 31, 35)], [], [(0, 5, 10, 35)], []]
    assert [frame.frame_id for frame in data.frames] == [0, 1, 2, 3, 4]
    content = json.loads(out.read_text())
    assert [each["visibility"] for each in content["annotations"]] == [0.75, 1, 0.5]
    assert len({each["instance_id"] for each in content["annotations"]}) == 1
    assert content["videos"][0]["fps"] == 25


def test_people_not_considered_may_be_crowds(tmp_path: Path) -> None:
    mot(tmp_path, "MOT20-01", ROWS)
    summary = convert_mot(tmp_path / "train", tmp_path / "a.json", crowds=True)
    content = json.loads((tmp_path / "a.json").read_text())
    assert [each["iscrowd"] for each in content["annotations"]] == [0, 0, 0, 1, 1]
    assert summary.problems.notes == {"car": 1}
    assert sum(len(frame.annotations) for frame in CocoVid(tmp_path / "a.json").frames) == 3


@pytest.mark.parametrize(("frames", "first"), [(5, 3), (6, 4), (2, 2)])
def test_halves(tmp_path: Path, frames: int, first: int) -> None:
    """⌊n/2⌋ + 1 frames, and the rest."""
    mot(tmp_path, "MOT20-01", (), frames)
    mot(tmp_path, "MOT20-02", (), 7)
    counts = {}
    for half in ("train", "val"):
        convert_mot(tmp_path, tmp_path / "a.json", half=half)
        videos = {video.name: video for video in CocoVid(tmp_path / "a.json").videos}
        found = videos.get("MOT20-01")
        counts[half] = [frame.frame_id for frame in found.frames] if found else []
    assert counts == {"train": list(range(first)), "val": list(range(first, frames))}


def test_one_of_three_detectors(tmp_path: Path) -> None:
    for detector in ("DPM", "FRCNN", "SDP"):
        mot(tmp_path, f"MOT17-02-{detector}", ROWS)
    names = {}
    for detector in ("FRCNN", "SDP"):
        convert_mot(tmp_path, tmp_path / "a.json", detector=detector)
        names[detector] = [video.name for video in CocoVid(tmp_path / "a.json").videos]
    assert names == {"FRCNN": ["MOT17-02-FRCNN"], "SDP": ["MOT17-02-SDP"]}
    (tmp_path / "other").mkdir()
    with pytest.raises(FaimError, match=r"no sequence with seqinfo\.ini of the detector DPM"):
        convert_mot(tmp_path / "other", tmp_path / "a.json", detector="DPM")
    with pytest.raises(FaimError, match="none: no such folder; expected MOT17 or MOT20"):
        convert_mot(tmp_path / "none", tmp_path / "a.json")


def test_damaged_parts_are_counted(tmp_path: Path) -> None:
    folder = mot(
        tmp_path,
        "MOT20-01",
        (
            *ROWS[:2],
            "1,3,11,6,20,30,1,1,0.75",  # the same track again
            "1,5,70,6,20,30,1,1,1",  # wholly beyond the image
            "1,6,11,6,0,30,1,1,1",  # no width
            "9,6,11,6,20,30,1,1,1",  # a frame that there is not
            "1,7,11,6,20,30,1,99,1",
            "1,8,11,x,20,30,1,1,1",
            "1,8,11",
            "1,8,11,6,20,30,1,1,nan",
            "",
        ),
    )
    (folder / "img1/000003.jpg").unlink()
    mot(tmp_path, "MOT20-02", ())
    (tmp_path / "train/MOT20-02/gt/gt.txt").unlink()
    (mot(tmp_path, "MOT20-03", ()) / "seqinfo.ini").write_text("[Sequence]\nseqLength=x\n")
    summary = convert_mot(tmp_path, tmp_path / "a.json")
    assert summary.problems.counts == {
        "track twice in a frame": 1,
        "box without area": 1,
        "unknown frame": 1,
        "unknown class": 1,
        "unreadable": 4,
        "missing image": 1,
        "missing annotation": 1,
    }
    assert summary.problems.notes == {"person beyond the image": 1}
    assert (summary.videos, summary.frames, summary.annotations) == (1, 4, 2)
    with pytest.raises(FaimError, match=r"gt\.txt:3 \(track 3\): track twice in a frame"):
        convert_mot(tmp_path, tmp_path / "b.json", strict=True)
