from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from rich.console import Console

from faim.data.coco_vid import CocoVid, read_mask
from faim.data.converters.builder import (
    PARTLY_LABELLED,
    BoxItem,
    Category,
    FrameItem,
    Problems,
    Summary,
    VideoItem,
    convert_videos,
)
from faim.data.converters.entries import video_entries
from faim.errors import FaimError

CLASSES = (Category("cat", {"wordnet_id": "n02121808"}), Category("dog"))
FILE = Path("/data/a/0.jpg")


@dataclass(frozen=True)
class Clip:
    key: str
    frames: int = 2


def read_clip(clip: Clip, log: str = "", width: int = 20) -> tuple[VideoItem | None, Problems]:
    """A cat (track 7) in every frame, and a dog of no track; "bad" has no annotation."""
    if log:
        with Path(log).open("a") as file:
            file.write(f"{clip.key}\n")
    problems = Problems()
    problems.note("other class", 2)
    if clip.key == "bad":
        problems.add("missing annotation", "bad.xml")
        return None, problems
    if clip.key == "stop":
        raise KeyboardInterrupt
    if clip.key == "locked":
        raise PermissionError("locked.xml")
    boxes = (BoxItem(0, (1, 2, 5.5, 8), 7, extra={"occluded": True}), BoxItem(1, (3, 3, 4, 4)))
    folder = Path("/data") / clip.key
    frames = (FrameItem(folder / f"{n}.jpg", width, 10, n, boxes) for n in range(clip.frames))
    return VideoItem(clip.key, tuple(frames), {"split": "S1"}), problems


def convert(out: Path, *clips: Clip, **options: Any) -> Summary:
    how = {"strict": False, "workers": 0, "console": Console(quiet=True), **options}
    return convert_videos(clips, how.pop("read", read_clip), CLASSES, out, **how)


def one_frame(*boxes: BoxItem, size: tuple[int, int] = (20, 10)) -> tuple[Any, Problems]:
    problems = Problems()
    video = VideoItem("a", (FrameItem(FILE, *size, 0, boxes),))
    entries = video_entries(video, 2, Path("/data"), problems)
    return entries and entries["frames"][0]["annotations"], problems


def test_the_file_and_its_summary(tmp_path: Path) -> None:
    out = tmp_path / "new" / "a.json"
    summary = convert(out, Clip("u"), Clip("bad"), Clip("v", 1))
    content = json.loads(out.read_text())
    assert content["categories"] == [
        {"wordnet_id": "n02121808", "id": 1, "name": "cat"},
        {"id": 2, "name": "dog"},
    ]
    assert content["videos"] == [
        {"split": "S1", "id": 1, "name": "u", "width": 20, "height": 10},
        {"split": "S1", "id": 2, "name": "v", "width": 20, "height": 10},
    ]
    assert [(i["id"], i["video_id"], i["frame_id"]) for i in content["images"]] == [
        (1, 1, 0),
        (2, 1, 1),
        (3, 2, 0),
    ]
    assert content["annotations"][4] == {
        "occluded": True,
        "id": 5,
        "image_id": 3,
        "video_id": 2,
        "category_id": 1,
        "instance_id": 2,  # track 7 again, but of another video
        "bbox": [1, 2, 4.5, 6],
        "area": 27,
        "iscrowd": 0,
    }
    data = CocoVid(out)
    assert data.exhaustive is None
    assert data.frames[0].path.resolve() == Path("/data/u/0.jpg")
    assert (summary.videos, summary.frames, summary.annotations) == (2, 3, 6)
    assert summary.annotations_by_class == {"cat": 3, "dog": 3}
    assert summary.instances_by_class == {"cat": 2}
    assert summary.problems.counts == {"missing annotation": 1}
    assert summary.problems.notes == {"other class": 6}
    assert [path.name for path in out.parent.iterdir()] == ["a.json"]


def test_a_file_says_of_itself_what_it_is_told_to(tmp_path: Path) -> None:
    convert(tmp_path / "a.json", Clip("u"))
    convert(tmp_path / "b.json", Clip("u"), info=PARTLY_LABELLED)
    silent, saying = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert saying == {"info": {"exhaustive": False}, **silent}
    assert CocoVid(tmp_path / "b.json").exhaustive is False


def test_the_summary_in_words(tmp_path: Path) -> None:
    console = Console(width=60, record=True, quiet=False, file=(tmp_path / "log").open("w"))
    convert(tmp_path / "a[1].json", Clip("u"), Clip("bad"), console=console)
    text = console.export_text()
    assert "1 video, 2 frames" in text
    assert "missing annotation: 1, first bad.xml" in text
    assert "left out, other class: 4" in text
    assert f"wrote {tmp_path / 'a[1].json'}" in text
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    assert ["cat", "2", "1"] in rows
    assert ["dog", "2", "0"] in rows
    assert ["all", "4", "1"] in rows


def test_processes_write_the_same_file(tmp_path: Path) -> None:
    clips = [Clip(f"clip {number}", number % 3 + 1) for number in range(40)]
    convert(tmp_path / "a.json", *clips)
    convert(tmp_path / "b.json", *clips, workers=2)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    with pytest.raises(FaimError, match=r"bad\.xml: missing annotation; expected none with"):
        convert(tmp_path / "c.json", *clips, Clip("bad"), workers=2, strict=True)
    with pytest.raises(FaimError, match=r"locked: cannot be read \(locked\.xml\)"):
        convert(tmp_path / "d.json", *clips, Clip("locked"), workers=2)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    out, log = tmp_path / "a.json", tmp_path / "log"
    read = partial(read_clip, log=str(log))
    clips = [Clip("u"), Clip("v"), Clip("w")]
    with pytest.raises(KeyboardInterrupt):
        convert(out, *clips[:2], Clip("stop"), clips[2], read=read)
    lines = tmp_path / "a.json.part" / "videos.jsonl"
    with lines.open("ab") as file:  # as a killed process leaves it
        file.write(lines.read_bytes().splitlines()[0][:50])
    assert not out.exists()
    summary = convert(out, *clips, read=read)
    assert log.read_text().split() == ["u", "v", "stop", "w"]
    assert summary.problems.notes == {"other class": 6}
    whole = tmp_path / "b.json"
    convert(whole, *clips)
    assert out.read_bytes() == whole.read_bytes()
    assert not lines.parent.exists()


def test_other_options_read_again(tmp_path: Path) -> None:
    out, log = tmp_path / "a.json", tmp_path / "log"
    started = partial(read_clip, log=str(log), width=20)
    for width in (20, 30):
        with pytest.raises(KeyboardInterrupt):
            convert(out, Clip("u"), Clip("stop"), read=started)
        convert(out, Clip("u"), Clip("v"), read=partial(read_clip, log=str(log), width=width))
        assert {frame.width for frame in CocoVid(out).frames} == {width}
    assert log.read_text().split() == ["u", "stop", "v", "u", "stop", "u", "v"]


def test_boxes_are_clipped() -> None:
    box = BoxItem(1, (-1, -0.5, 21, 10.5), 3)
    (entry,), problems = one_frame(box)
    assert (entry["bbox"], entry["area"], problems.counts) == ([0, 0, 20, 10], 200, {})
    (entry,), problems = one_frame(BoxItem(1, (-1.5, 2, 4, 5)))
    assert (entry["bbox"], entry["area"]) == ([0, 2, 4, 3], 12)
    assert problems.examples == {
        "box outside the image": "/data/a/0.jpg (box -1.5, 2, 4, 5) of 20x10"
    }


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((20, 0, 25, 5), "box outside the image"),
        ((3, -4, 5, 0), "box outside the image"),
        ((3, 4, 3, 8), "box without area"),
        ((5, 4, 3, 8), "box without area"),
        ((3, 4, float("nan"), 8), "box without area"),
        ((3, 4, float("inf"), 8), "box without area"),
    ],
)
def test_boxes_of_nothing_are_left_out(box: tuple[float, ...], kind: str) -> None:
    entries, problems = one_frame(BoxItem(0, box))  # type: ignore[arg-type]
    assert (entries, problems.counts) == ([], {kind: 1})


@given(st.lists(st.floats(-1e6, 1e6) | st.floats(-1e-12, 1e-12), min_size=4, max_size=4))
def test_every_box_that_is_kept_can_be_read(corners: list[float]) -> None:
    x1, y1, x2, y2 = corners
    entries, problems = one_frame(BoxItem(0, (x1, y1, x2, y2)))
    assert len(entries) + sum(problems.counts.values()) >= 1
    for entry in entries:
        x, y, w, h = entry["bbox"]
        assert 0 <= x < x + w <= 20 + 1e-9
        assert 0 <= y < y + h <= 10 + 1e-9
        assert x == max(x1, 0)
        assert y == max(y1, 0)


def test_frames_that_cannot_be_kept() -> None:
    frame = FrameItem(FILE, 20, 10, 4)
    flat = FrameItem(FILE, 20, 0, 5)
    problems = Problems()
    kept = video_entries(VideoItem("a", (frame, frame, flat)), 2, Path("/data"), problems)
    assert kept is not None
    assert [entry["frame_id"] for entry in kept["frames"]] == [4]
    assert problems.counts == {"duplicate frame": 1, "unreadable": 1}
    assert problems.examples["unreadable"] == "/data/a/0.jpg (size 20x0)"
    assert video_entries(VideoItem("b", (flat,)), 2, Path("/data"), problems) is None
    assert problems.examples["video without frames"] == "b"
    entries, problems = one_frame(BoxItem(2, (1, 1, 2, 2)))
    assert (entries, problems.counts) == ([], {"unknown class": 1})


def test_masks_are_compressed_and_checked(tmp_path: Path) -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[2:5, 3:9] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    packed = {"size": [10, 20], "counts": rle["counts"].decode("ascii")}
    column, runs = mask.T.ravel(), []
    while len(column):
        same = int((np.append(column, 2) != column[0]).argmax())
        runs.append(same)
        column = column[same:]
    for segmentation in (packed, {"size": [10, 20], "counts": runs}):
        (entry,), problems = one_frame(BoxItem(0, (3, 2, 9, 5), 1, segmentation))
        assert (entry["segmentation"], entry["area"]) == (packed, 18)
        assert not problems.counts
    for damaged in ({"size": [10, 20], "counts": "zz"}, {**packed, "size": [20, 10]}, {}):
        (entry,), problems = one_frame(BoxItem(0, (3, 2, 9, 5), 1, damaged))
        assert "segmentation" not in entry
        assert problems.counts == {"damaged mask": 1}


def read_masked(clip: Clip) -> tuple[VideoItem | None, Problems]:
    rle = {"size": [10, 20], "counts": [10, 10, 180]}
    crowd = BoxItem(1, (0, 0, 20, 10), crowd=True)
    boxes = (BoxItem(0, (1, 0, 2, 10), 1, rle), crowd)
    return VideoItem(clip.key, (FrameItem(FILE, 20, 10, 0, boxes),)), Problems()


def test_masks_and_crowds_in_the_file(tmp_path: Path) -> None:
    summary = convert(tmp_path / "a.json", Clip("u"), read=read_masked)
    assert (summary.annotations, summary.masks) == (2, 1)
    data = CocoVid(tmp_path / "a.json")
    data.check(num_classes=2, masks_required=True, images_required=False)
    (annotation,) = data.frames[0].annotations
    assert np.flatnonzero(read_mask(annotation, 10, 20).any(axis=0)).tolist() == [1]


def test_problems_add_up_or_stop() -> None:
    first, second = Problems(), Problems()
    first.add("missing image", "a.jpg")
    second.add("missing image", "b.jpg")
    second.add("unreadable", "c.xml")
    second.note("other class")
    first.merge(second)
    assert first.counts == {"missing image": 2, "unreadable": 1}
    assert first.examples == {"missing image": "a.jpg", "unreadable": "c.xml"}
    assert first.notes == {"other class": 1}
    with pytest.raises(FaimError, match=r"a\.jpg: missing image; expected none with --strict"):
        Problems(strict=True).add("missing image", "a.jpg")


def test_wrong_calls_are_one_sentence(tmp_path: Path) -> None:
    out = tmp_path / "a.json"
    with pytest.raises(FaimError, match="nothing to convert; expected at least one video"):
        convert(out)
    with pytest.raises(FaimError, match="2 videos are named u; expected each name once"):
        convert(out, Clip("u"), Clip("u", 3))
    with pytest.raises(
        FaimError, match=r"no video was left to write \(missing annot.*: 1, first bad"
    ):
        convert(out, Clip("bad"))
    (tmp_path / "file").write_text("")
    with pytest.raises(FaimError, match=r"b\.json: cannot be written"):
        convert(tmp_path / "file" / "b.json", Clip("u"))
    out.mkdir()
    with pytest.raises(FaimError, match=r"a\.json: cannot be written"):
        convert(out, Clip("u"))
