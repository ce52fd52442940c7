from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from faim.cli import main
from faim.data.coco_vid import CocoVid, read_mask
from faim.data.converters.davis import convert_davis, convert_davis2016
from faim.errors import FaimError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "davis"

LABELS = {
    "swan": {"coco": "bird", "vid": "bird", "union": False, "clean": True},
    "dancer": {"coco": "person", "vid": None, "union": False, "clean": False},
    "camel": {"coco": None, "vid": None, "union": False, "clean": True},
}


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Three sequences of two frames, 20x30; the mask of frame 1 is empty."""
    root = tmp_path / "davis"
    for name in LABELS:
        images, masks = root / "JPEGImages/360p" / name, root / "Annotations/360p" / name
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for number in range(2):
            cv2.imwrite(str(images / f"{number:05}.jpg"), np.zeros((20, 30, 3), np.uint8))
            mask = np.zeros((20, 30), np.uint8)
            if number == 0:
                mask[3:9, 5] = 255
                mask[4, 5:21] = 1  # any value above 0 is foreground
            cv2.imwrite(str(masks / f"{number:05}.png"), mask)
    (root / "labels.json").write_text(json.dumps(LABELS))
    return root


def test_tight_boxes_masks_and_relative_names(davis: Path, tmp_path: Path) -> None:
    path = convert_davis(davis, tmp_path / "out", "coco")
    assert path == tmp_path / "out" / "annotations.json"
    names = [image["file_name"] for image in json.loads(path.read_text())["images"]]
    assert names[0] == "../davis/JPEGImages/360p/dancer/00000.jpg"
    data = CocoVid(path)
    data.check(num_classes=2, masks_required=True)
    assert data.exhaustive is False
    assert data.classes == ("bird", "person")
    assert [video.name for video in data.videos] == ["dancer", "swan"]
    assert [len(frame.annotations) for frame in data.frames] == [1, 0, 1, 0]
    annotation = data.videos[1].frames[0].annotations[0]
    assert annotation.box == (5.0, 3.0, 21.0, 9.0)
    assert annotation.category_id == 0
    mask = read_mask(annotation, 20, 30)
    assert mask.sum() == 6 + 15
    assert mask[3:9, 5].all()
    assert mask[4, 5:21].all()


def test_label_sets_clean_and_given_classes(davis: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    assert convert_davis(davis, target, "vid") == target
    assert [video.name for video in CocoVid(target).videos] == ["swan"]
    convert_davis(davis, target, "coco", clean_only=True)
    assert [video.name for video in CocoVid(target).videos] == ["swan"]
    convert_davis(davis, target, "coco", classes=["person", "car", "bird"])
    data = CocoVid(target)
    assert data.classes == ("person", "car", "bird")
    assert [video.frames[0].annotations[0].category_id for video in data.videos] == [0, 2]


def test_given_sequences_need_no_labels(davis: Path, tmp_path: Path) -> None:
    (davis / "labels.json").unlink()
    chosen = {"swan": "bird", "camel": "horse"}
    path = convert_davis(
        davis, tmp_path / "a.json", classes=["bird", "cat", "horse"], sequences=chosen
    )
    data = CocoVid(path)
    assert [video.name for video in data.videos] == ["swan", "camel"]
    assert data.classes == ("bird", "cat", "horse")
    assert [video.frames[0].annotations[0].category_id for video in data.videos] == [0, 2]
    with pytest.raises(FaimError, match=r"goat \(no JPEG images\): missing image"):
        convert_davis(davis, tmp_path / "a.json", sequences={"goat": "sheep"})


def test_wrong_folders_are_one_sentence(davis: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    with pytest.raises(FaimError, match="expected a DAVIS folder with JPEGImages"):
        convert_davis(tmp_path / "none", target, "coco")
    with pytest.raises(FaimError, match=r"person occur in .* not among"):
        convert_davis(davis, target, "coco", classes=["bird"])
    with pytest.raises(FaimError, match="labels is 'voc'"):
        convert_davis(davis, target, "voc")  # type: ignore[arg-type]
    mask = davis / "Annotations/360p/swan/00001.png"
    cv2.imwrite(str(mask), np.zeros((10, 15), np.uint8))
    with pytest.raises(FaimError, match=r"is 15x10, the image 30x20\): size differs"):
        convert_davis(davis, target, "coco")
    mask.unlink()
    with pytest.raises(FaimError, match=r"00001\.png: missing annotation"):
        convert_davis(davis, target, "coco")
    (davis / "JPEGImages/full").mkdir()
    with pytest.raises(FaimError, match="has the resolutions 360p, full; expected 480p"):
        convert_davis(davis, target, "coco")
    (davis / "JPEGImages/full").rmdir()
    (davis / "labels.json").unlink()
    with pytest.raises(
        FaimError, match=r"labels\.json: no such file; expected one that says which"
    ):
        convert_davis(davis, target, clean_only=True)
    assert not target.exists()


def test_damaged_parts_and_sequences_left_out_are_counted(davis: Path, tmp_path: Path) -> None:
    masks = davis / "Annotations/360p"
    (masks / "swan/00001.png").unlink()
    cv2.imwrite(str(masks / "dancer/00000.png"), np.zeros((10, 15), np.uint8))
    (masks / "dancer/00001.png").write_bytes(b"no PNG")
    labels = {**LABELS, "boat": {"coco": "boat", "vid": None, "clean": True}}
    (davis / "labels.json").write_text(json.dumps(labels))
    out = tmp_path / "a.json"
    summary = convert_davis2016(davis, out)
    assert summary.problems.counts == {
        "missing image": 1,
        "missing annotation": 1,
        "size differs": 1,
        "unreadable": 1,
    }
    assert summary.problems.notes == {"sequence without a coco class": 1}
    assert (summary.videos, summary.frames, summary.annotations, summary.masks) == (1, 1, 1, 1)
    data = CocoVid(out)
    assert data.classes == ("bird", "boat", "person")
    assert data.frames[0].annotations[0].box == (5.0, 3.0, 21.0, 9.0)
    summary = convert_davis2016(davis, out, labels="vid", clean_only=True)
    assert summary.problems.notes == {"sequence without a vid class": 3}
    summary = convert_davis2016(davis, out, clean_only=True)
    assert summary.problems.notes["sequence that is not clean"] == 1


def test_the_function_is_silent_and_the_command_tells(
    davis: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = convert_davis(davis, tmp_path / "function")
    assert capfd.readouterr() == ("", "")
    command = ["data", "convert", "davis", str(davis), "--out", str(tmp_path / "command")]
    assert main([*command, "--workers", "0"]) == 0
    printed = capfd.readouterr().out
    assert "2 frames without a box, 2 boxes with a mask" in printed
    assert "left out, sequence without a coco class: 1" in printed
    assert (tmp_path / "command/annotations.json").read_bytes() == path.read_bytes()
    (davis / "Annotations/360p/swan/00001.png").unlink()
    assert main([*command, "--workers", "0"]) == 0
    assert "missing annotation: 1, first " in capfd.readouterr().out
    assert main([*command, "--workers", "0", "--strict"]) == 2


@pytest.mark.skipif(not SHARED.is_dir(), reason="the DAVIS frames are not beside the repository")
def test_the_real_sequences(tmp_path: Path) -> None:
    data = CocoVid(convert_davis(SHARED, tmp_path, "vid", clean_only=True))
    data.check(num_classes=None, masks_required=True)
    assert data.classes == ("bird", "car", "cattle", "dog", "motorcycle")
    assert [len(video.frames) for video in data.videos] == [50, 104, 60, 52, 40]
    frame = data.videos[0].frames[10]
    annotation = frame.annotations[0]
    assert annotation.box == (154.0, 67.0, 536.0, 379.0)
    folder = SHARED / "Annotations/480p/blackswan/00010.png"
    expected = cv2.imread(str(folder), cv2.IMREAD_GRAYSCALE) > 0
    assert np.array_equal(read_mask(annotation, frame.height, frame.width), expected)
