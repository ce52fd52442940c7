from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trees_other import HEIGHT, WIDTH, davis2017, rectangle, write_image, write_palette

from faim.data.coco_vid import CocoVid, read_mask
from faim.data.converters.davis2017 import convert_davis2017
from faim.errors import FaimError


def test_objects_are_the_palette_indices(tmp_path: Path) -> None:
    out = tmp_path / "out" / "a.json"
    summary = convert_davis2017(davis2017(tmp_path / "DAVIS"), out)
    assert (summary.videos, summary.frames, summary.annotations) == (2, 5, 5)
    assert (summary.empty_frames, summary.masks, summary.problems.counts) == (1, 5, {})
    data = CocoVid(out)
    data.check(num_classes=1, masks_required=True)
    assert data.exhaustive is False
    assert data.classes == ("object",)
    assert [video.name for video in data.videos] == ["dogs-jump", "train"]
    first, second, third = data.videos[0].frames
    assert [each.box for each in first.annotations] == [(5, 10, 25, 18), (40, 3, 46, 33)]
    assert [each.box for each in second.annotations] == [(41, 3, 47, 33)]
    assert third.annotations == ()
    assert second.annotations[0].instance_id == first.annotations[1].instance_id
    mask = read_mask(first.annotations[1], HEIGHT, WIDTH)
    assert np.array_equal(mask, rectangle(40, 3, 6, 30) > 0)
    tracks = {each.instance_id for frame in data.frames for each in frame.annotations}
    assert len(tracks) == 3


def test_labels_name_the_objects(tmp_path: Path) -> None:
    root = davis2017(tmp_path / "DAVIS")
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"dogs-jump": ["person", "dog"], "bus": ["bus"]}))
    out = tmp_path / "a.json"
    summary = convert_davis2017(root, out, labels=labels)
    data = CocoVid(out)
    assert data.classes == ("bus", "dog", "person")
    assert [each.category_id for each in data.frames[0].annotations] == [2, 1]
    assert summary.problems.counts == {"unknown class": 2}  # both frames of `train`
    assert "object 1 of 0 labelled" in summary.problems.examples["unknown class"]
    assert convert_davis2017(root, out, split="val", labels=labels).annotations == 1
    labels.write_text(json.dumps({"bus": "bus"}))
    with pytest.raises(FaimError, match="sequence bus has 'bus'; expected a list of classes"):
        convert_davis2017(root, out, labels=labels)


def test_damaged_parts_are_counted(tmp_path: Path) -> None:
    root = davis2017(tmp_path / "DAVIS")
    masks = root / "Annotations/480p"
    (masks / "dogs-jump/00000.png").unlink()
    (masks / "dogs-jump/00001.png").write_bytes(b"no PNG")
    write_palette(masks / "train/00001.png", np.ones((20, 30), np.uint8))
    write_image(masks / "dogs-jump/00002.png")  # three channels
    (root / "JPEGImages/480p/train/00000.jpg").write_bytes(b"no JPEG")
    with (root / "ImageSets/2017/train.txt").open("a") as file:
        file.write("bus\ngone\n")
    summary = convert_davis2017(root, tmp_path / "a.json")
    assert summary.problems.counts == {
        "missing annotation": 1,
        "unreadable": 3,
        "size differs": 1,
        "missing image": 1,
    }
    assert "is 30x20, the image 60x40" in summary.problems.examples["size differs"]
    assert (summary.videos, summary.frames, summary.annotations) == (1, 1, 1)
    with pytest.raises(FaimError, match=r"00000\.png: missing annotation; expected none"):
        convert_davis2017(root, tmp_path / "b.json", strict=True)


def test_wrong_folders_are_one_sentence(tmp_path: Path) -> None:
    root = davis2017(tmp_path / "DAVIS")
    with pytest.raises(FaimError, match=r"test\.txt: no such file"):
        convert_davis2017(root, tmp_path / "a.json", split="test")
    (root / "ImageSets/2017/val.txt").write_text("\n")
    with pytest.raises(FaimError, match=r"val\.txt: is empty"):
        convert_davis2017(root, tmp_path / "a.json", split="val")
    with pytest.raises(FaimError, match="has the resolutions 480p; expected 1080p"):
        convert_davis2017(root, tmp_path / "a.json", resolution="1080p")
