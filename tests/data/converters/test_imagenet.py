from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console
from trees import (
    CAT,
    DOG,
    IMAGE_A,
    IMAGE_B,
    IMAGE_C,
    PERSON,
    VAL_A,
    VIDEO_A,
    VIDEO_B,
    add_frame,
    add_image,
    annotation_xml,
    imagenet_tree,
)

from faim.class_names import IMAGENET_VID_CLASSES
from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.data.converters.builder import Summary
from faim.data.converters.imagenet import (
    convert_imagenet,
    convert_imagenet_det,
    convert_imagenet_vid,
)
from faim.data.converters.imagenet_xml import ImageAnnotation, read_annotation
from faim.errors import FaimError

QUIET: dict[str, Any] = {"workers": 0, "console": Console(quiet=True), "strict": False}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return imagenet_tree(tmp_path)


def vid(root: Path, **options: Any) -> tuple[Summary, Path]:
    out = root.parent / "out" / "a.json"
    return convert_imagenet_vid(root, out, **{**QUIET, **options}), out


def test_train_takes_a_tenth(root: Path) -> None:
    out = root.parent / "out" / "a.json"
    summary = convert_imagenet_vid(root.parent, out, **QUIET)  # the parent of ILSVRC2015 will do
    assert not summary.problems.counts
    content = json.loads(out.read_text())
    assert [(video["name"], video["width"]) for video in content["videos"]] == [
        (VIDEO_A, 64),
        (VIDEO_B, 64),
    ]
    names = [image["file_name"] for image in content["images"]]
    assert names == [
        f"../ILSVRC2015/Data/VID/{VIDEO_A}/000000.JPEG",
        f"../ILSVRC2015/Data/VID/{VIDEO_A}/000010.JPEG",
        f"../ILSVRC2015/Data/VID/{VIDEO_B}/000000.JPEG",
    ]
    assert [image["frame_id"] for image in content["images"]] == [0, 10, 0]
    assert all(image["is_vid_train_frame"] for image in content["images"])
    assert content["categories"][8] == {"id": 9, "name": "dog", "wordnet_id": DOG}
    assert content["annotations"][1] == {
        "id": 2,
        "image_id": 2,
        "video_id": 1,
        "category_id": 9,
        "instance_id": 1,
        "bbox": [12, 3, 10, 20],  # width xmax - xmin
        "area": 200,
        "iscrowd": 0,
        "occluded": True,
        "generated": False,
    }
    assert [entry["instance_id"] for entry in content["annotations"]] == [1, 1, 2, 3]
    data = CocoVid(out)
    data.check(num_classes=30, masks_required=False)
    assert data.classes == IMAGENET_VID_CLASSES
    assert data.frames[2].annotations[0].box == (0, 0, 63, 47)


def test_val_keeps_all_and_empty_frames(root: Path) -> None:
    summary, out = vid(root, split="val")
    assert (summary.videos, summary.frames, summary.empty_frames) == (2, 7, 2)
    assert (summary.annotations, summary.masks) == (5, 0)
    boxes = {name: count for name, count in summary.annotations_by_class.items() if count}
    assert boxes == {"dog": 3, "domestic_cat": 2}
    assert summary.instances_by_class == {"dog": 1, "domestic_cat": 1}
    assert not any(image["is_vid_train_frame"] for image in json.loads(out.read_text())["images"])
    assert [len(video.frames) for video in CocoVid(out).videos] == [4, 3]


def test_det_keeps_images_of_the_thirty_classes(root: Path) -> None:
    out = root.parent / "det.json"
    summary = convert_imagenet_det(root, out, **QUIET)
    assert (summary.videos, summary.frames, summary.annotations) == (2, 2, 2)
    assert summary.problems.notes == {"image of other classes": 1, "other class": 1}
    assert not summary.problems.counts
    content = json.loads(out.read_text())
    assert [video["name"] for video in content["videos"]] == [IMAGE_B, IMAGE_A]
    assert content["images"][1] == {
        "id": 2,
        "video_id": 2,
        "frame_id": 0,
        "file_name": f"ILSVRC2015/Data/DET/{IMAGE_A}.JPEG",
        "width": 64,
        "height": 48,
        "is_vid_train_frame": False,
    }
    assert [entry["instance_id"] for entry in content["annotations"]] == [-1, -1]
    assert "occluded" not in content["annotations"][0]


def test_listed_images_stay_and_repeated_ones_count_once_even_strictly(root: Path) -> None:
    listed = root / "ImageSets" / "DET" / "DET_train_30classes.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text(f"{IMAGE_C} 1\n{IMAGE_B} 1\n{IMAGE_C} 1\n")
    summary = convert_imagenet_det(root, root.parent / "det.json", **{**QUIET, "strict": True})
    assert (summary.frames, summary.empty_frames) == (2, 1)
    assert summary.problems.notes == {"image listed before": 1, "other class": 1}


def test_both_in_one_file(root: Path) -> None:
    out = root.parent / "both.json"
    summary = convert_imagenet(root, out, every=6, **QUIET)
    assert (summary.videos, summary.frames, summary.annotations) == (4, 5, 6)
    data = CocoVid(out)
    data.check(num_classes=30, masks_required=False)
    assert [video.name for video in data.videos] == [VIDEO_A, VIDEO_B, IMAGE_B, IMAGE_A]
    ids = [annotation.instance_id for frame in data.frames for annotation in frame.annotations]
    assert Counter(ids) == {1: 2, 2: 1, 3: 1, -1: 2}


def spoil(root: Path) -> Path:
    """A list, and a tree with every kind of damage but in VIDEO_B's frames 0 and 1."""
    images, annotations = (root / kind / "VID" / VIDEO_A for kind in ("Data", "Annotations"))
    (annotations / "000000.xml").unlink()
    add_frame(root, VIDEO_A, 1, [(DOG, 50, 40, 70, 60, 0), (DOG, -1, 0, 65, 48.5, 1)])
    add_frame(root, VIDEO_A, 2, [(PERSON, 1, 1, 5, 5, 0), (CAT, 1, 1, 5, 5, 1)])
    add_frame(root, VIDEO_A, 3, [(DOG, 7, 3, 7, 9, 0), (DOG, 64, 0, 70, 9, 1)])
    (images / "000004.JPEG").unlink()
    (annotations / "000005.xml").write_text("not <xml")
    (annotations / "000006.xml").write_text("<annotation></annotation>")
    lines = [f"{VIDEO_A} 1 {number} 12" for number in (0, 1, 2, 3, 4, 5, 6, 7, 7)]
    listed = root.parent / "list.txt"
    listed.write_text("\n".join([*lines, f"{VIDEO_B} 1 1 5"]))
    return listed


def test_damage_is_counted_by_kind(root: Path) -> None:
    summary, out = vid(root, listed=spoil(root))
    assert summary.problems.counts == {
        "missing annotation": 1,
        "box outside the image": 2,
        "unknown class": 1,
        "box without area": 1,
        "missing image": 1,
        "unreadable": 2,
        "duplicate frame": 1,
    }
    examples = summary.problems.examples
    assert examples["missing annotation"].endswith("000000.xml")
    assert examples["box outside the image"].endswith("000001.JPEG (box 50, 40, 70, 60) of 64x48")
    assert examples["unknown class"].endswith(f"000002.xml ({PERSON})")
    assert "000005.xml (no XML: syntax error" in examples["unreadable"]
    frames = CocoVid(out).videos[0].frames
    assert [frame.frame_id for frame in frames] == [1, 2, 3, 7]
    assert [[a.box for a in frame.annotations] for frame in frames] == [
        [(50, 40, 64, 48), (0, 0, 64, 48)],
        [(1, 1, 5, 5)],
        [],
        [(9, 3, 19, 23), (30, 30, 40, 44)],
    ]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (0, r"000000\.xml: missing annotation; expected none with --strict"),
        (1, r"000001\.JPEG \(box 50, 40, 70, 60\) of 64x48: box outside the image"),
        (2, rf"000002\.xml \({PERSON}\): unknown class"),
        (3, r"000003\.JPEG \(box 7, 3, 7, 9\): box without area"),
        (4, r"000004\.JPEG: missing image"),
        (5, r"000005\.xml \(no XML: .*\): unreadable"),
        (6, r"000006\.xml \(no <size> in <annotation>\): unreadable"),
    ],
)
def test_strict_names_the_first_problem(root: Path, number: int, message: str) -> None:
    listed = spoil(root)
    listed.write_text(f"{VIDEO_A} 1 {number} 12\n{VIDEO_A} 1 11 12")
    with pytest.raises(FaimError, match=message):
        vid(root, listed=listed, strict=True)
    assert not (root.parent / "out" / "a.json").exists()


def test_images_are_compared_on_demand(root: Path) -> None:
    image = root / "Data" / "VID" / VAL_A / "000001.JPEG"
    image.write_bytes(cv2.imencode(".jpg", np.zeros((20, 30, 3), np.uint8))[1].tobytes())
    (image.parent / "000002.JPEG").write_bytes(b"no image")
    assert not vid(root, split="val")[0].problems.counts
    summary, out = vid(root, split="val", check_images=True)
    assert summary.problems.counts == {"size differs": 1, "unreadable": 1}
    assert summary.problems.examples["size differs"].endswith("(is 30x20, annotated 64x48)")
    frames = CocoVid(out).videos[0].frames
    assert [(frame.frame_id, frame.width, frame.height) for frame in frames] == [
        (0, 64, 48),
        (1, 30, 20),
        (3, 64, 48),
    ]


def test_images_without_annotation_or_file(root: Path) -> None:
    add_image(root, IMAGE_B, [])
    (root / "Annotations" / "DET" / f"{IMAGE_A}.xml").write_text(annotation_xml([], 0, 0))
    (root / "Data" / "DET" / f"{IMAGE_C}.JPEG").unlink()
    listed = root.parent / "list.txt"
    listed.write_text(f"{IMAGE_A} 1\n{IMAGE_B} 1\n{IMAGE_C} 1\nnone/such 1\n")
    summary = convert_imagenet_det(root, root.parent / "a.json", listed=listed, **QUIET)
    assert (summary.frames, summary.empty_frames) == (1, 1)
    assert summary.problems.counts == {
        "unreadable": 1,  # a size of 0x0
        "video without frames": 1,
        "missing image": 2,
    }


def test_ctrl_c_and_the_same_command_again(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "convert", "imagenet-vid", str(root), "--out", str(root.parent / "a.json")]

    def stop(path: Path, tracks: dict[str, int]) -> ImageAnnotation:
        if VIDEO_B in path.as_posix():
            raise KeyboardInterrupt
        return read_annotation(path, tracks)

    monkeypatch.setattr("faim.data.converters.imagenet.read_annotation", stop)
    assert main([*command, "--workers", "0"]) == 130
    assert len((root.parent / "a.json.part" / "videos.jsonl").read_text().splitlines()) == 1
    monkeypatch.undo()
    (root / "Annotations" / "VID" / VIDEO_A / "000000.xml").unlink()  # is not read again
    assert main([*command, "--workers", "0"]) == 0
    written = capsys.readouterr()
    assert "2 videos, 3 frames" in written.out
    assert "faim: goes on after 1 of 2 videos; to start anew, delete" in written.err
    assert not (root.parent / "a.json.part").exists()


def test_the_commands(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = root.parent / "coco"

    def run(*arguments: str | Path) -> str:
        assert main(["data", "convert", *map(str, arguments), "--workers", "1"]) == 0
        return capsys.readouterr().out

    text = run("imagenet-vid", root, "--out", out, "--every", "5")
    assert "2 videos, 4 frames" in text
    assert text.splitlines()[-1] == f"wrote {out / 'imagenet_vid_train.json'}"
    text = run("imagenet-vid", root, "--out", out, "--split", "val", "--check-images", "--strict")
    assert "2 frames without a box" in text
    assert "left out, other class: 1" in run("imagenet-det", root, "--out", out)
    run("imagenet", root, "--out", out / "x.json", "--every", "12")
    names = sorted(path.name for path in out.iterdir())
    assert names == [
        "imagenet_det_train.json",
        "imagenet_vid_train.json",
        "imagenet_vid_val.json",
        "x.json",
    ]
    assert main(["data", "convert", "imagenet-vid", str(out), "--out", str(out)]) == 2
    assert "has no Data and Annotations; expected the folder ILSVRC2015" in capsys.readouterr().err
