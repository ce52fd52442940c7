"""YouTube-VOS, on a small tree in its layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trees_other import HEIGHT, WIDTH, rectangle, write_image, write_palette

from faim.cli import main
from faim.data.coco_vid import CocoVid, read_mask
from faim.data.converters.youtube_vos import convert_youtube_vos
from faim.errors import FaimError

#: Indices of the masks by video and frame number; objects 1 and 3 of `birds` (2 is in no mask).
MASKS = {
    "0a-birds": {
        5: rectangle(5, 10, 20, 8) + 3 * rectangle(40, 3, 6, 30),
        10: 3 * rectangle(41, 3, 6, 30),
        15: rectangle(0, 0, 0, 0),
    },
    "0b-dog": {0: rectangle(1, 2, 3, 4), 5: rectangle(2, 2, 3, 4)},
}
META = {
    "videos": {
        "0a-birds": {
            "objects": {
                "1": {"category": "parrot", "frames": ["00005"]},
                "2": {"category": "owl", "frames": ["00020"]},
                "3": {"category": "duck", "frames": ["00005", "00010"]},
            }
        },
        "0b-dog": {"objects": {"1": {"category": "dog", "frames": ["00000", "00005"]}}},
    }
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The split `train`: one more image than masks in each video."""
    folder = tmp_path / "YouTube-VOS" / "train"
    for name, frames in MASKS.items():
        for number, indices in frames.items():
            write_palette(folder / "Annotations" / name / f"{number:05}.png", indices)
        for number in (*frames, 20):
            write_image(folder / "JPEGImages" / name / f"{number:05}.jpg")
    (folder / "meta.json").write_text(json.dumps(META))
    return folder.parent


def test_objects_and_their_classes(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out/a.json"
    summary = convert_youtube_vos(root, out, strict=True)
    assert (summary.videos, summary.frames, summary.annotations, summary.masks) == (2, 5, 5, 5)
    assert summary.problems.counts == {}
    assert summary.problems.notes == {"frame without annotation": 2}
    data = CocoVid(out)
    data.check(num_classes=4, masks_required=True)
    assert data.classes == ("dog", "duck", "owl", "parrot")
    birds, dog = data.videos
    assert (birds.name, dog.name) == ("0a-birds", "0b-dog")
    assert [frame.frame_id for frame in birds.frames] == [5, 10, 15]
    assert [frame.frame_id for frame in dog.frames] == [0, 5]
    first, second, third = birds.frames
    assert [each.box for each in first.annotations] == [(5, 10, 25, 18), (40, 3, 46, 33)]
    assert [each.category_id for each in first.annotations] == [3, 1]
    assert [each.box for each in second.annotations] == [(41, 3, 47, 33)]
    assert second.annotations[0].instance_id == first.annotations[1].instance_id
    assert third.annotations == ()
    mask = read_mask(first.annotations[1], HEIGHT, WIDTH)
    assert np.array_equal(mask, rectangle(40, 3, 6, 30) > 0)
    tracks = {each.instance_id for frame in data.frames for each in frame.annotations}
    assert len(tracks) == 3


def test_all_frames_give_the_same(root: Path, tmp_path: Path) -> None:
    convert_youtube_vos(root, tmp_path / "a.json")
    every = root / "train_all_frames/JPEGImages"
    for name in MASKS:
        for number in range(21):
            write_image(every / name / f"{number:05}.jpg")
    convert_youtube_vos(root, tmp_path / "both.json")
    assert (tmp_path / "both.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    (root / "train/JPEGImages").rename(root / "elsewhere")
    summary = convert_youtube_vos(root, tmp_path / "all.json")
    assert summary.problems.notes == {"frame without annotation": 2 * 21 - 5}
    before, after = CocoVid(tmp_path / "a.json"), CocoVid(tmp_path / "all.json")
    assert after.frames[0].path.parent == every / "0a-birds"
    assert [f.frame_id for f in after.frames] == [f.frame_id for f in before.frames]
    assert [f.annotations for f in after.frames] == [f.annotations for f in before.frames]


def test_without_classes(root: Path, tmp_path: Path) -> None:
    content = json.loads(json.dumps(META))
    del content["videos"]["0b-dog"]["objects"]["1"]["category"]
    (root / "train/meta.json").write_text(json.dumps(content))
    convert_youtube_vos(root, tmp_path / "a.json")
    data = CocoVid(tmp_path / "a.json")
    assert data.classes == ("duck", "object", "owl", "parrot")
    assert data.videos[1].frames[0].annotations[0].category_id == 1
    (root / "train/meta.json").unlink()
    convert_youtube_vos(root, tmp_path / "a.json")
    data = CocoVid(tmp_path / "a.json")
    assert data.classes == ("object",)
    assert [len(frame.annotations) for frame in data.frames] == [2, 1, 0, 1, 1]


def test_damaged_parts_are_counted(root: Path, tmp_path: Path) -> None:
    masks = root / "train/Annotations"
    (masks / "0a-birds/00005.png").write_bytes(b"no PNG")
    write_palette(masks / "0a-birds/00010.png", np.ones((20, 30), np.uint8))
    write_palette(masks / "0b-dog/00005.png", rectangle(2, 2, 3, 4) + 7 * rectangle(20, 2, 3, 4))
    content = json.loads(json.dumps(META))
    content["videos"]["0c-gone"] = {"objects": {}}
    (root / "train/meta.json").write_text(json.dumps(content))
    summary = convert_youtube_vos(root, tmp_path / "a.json")
    assert summary.problems.counts == {
        "unreadable": 1,
        "size differs": 1,
        "unknown object": 1,
        "missing image": 1,
    }
    assert "(object 7, which meta.json has not)" in summary.problems.examples["unknown object"]
    assert summary.problems.notes == {"frame without annotation": 2, "video without annotation": 1}
    assert (summary.videos, summary.frames, summary.annotations) == (2, 3, 2)
    with pytest.raises(FaimError, match=r"00005\.png: cannot be decoded.*unreadable; expected"):
        convert_youtube_vos(root, tmp_path / "b.json", strict=True)


def test_frame_numbers_beyond_2_to_the_53_are_counted(root: Path, tmp_path: Path) -> None:
    for number in (2**53 - 1, 2**53, 10**30 - 1):
        write_palette(root / f"train/Annotations/0b-dog/{number}.png", rectangle(1, 2, 3, 4))
        write_image(root / f"train/JPEGImages/0b-dog/{number}.jpg")
    summary = convert_youtube_vos(root, tmp_path / "a.json")
    assert summary.problems.counts == {"frame number too large": 2}
    assert f"{2**53}.jpg (expected below 2^53)" in summary.problems.examples.popitem()[1]
    frames = CocoVid(tmp_path / "a.json").videos[1].frames
    assert [frame.frame_id for frame in frames] == [0, 5, 2**53 - 1]
    with pytest.raises(FaimError, match="frame number too large"):
        convert_youtube_vos(root, tmp_path / "b.json", strict=True)


def test_wrong_folders_are_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FaimError, match="valid/JPEGImages: no such folder; expected YouTube-VOS"):
        convert_youtube_vos(root, tmp_path / "a.json", split="valid")
    meta = root / "train/meta.json"
    for content in ({"videos": []}, {}, {"videos": {"a": {"objects": {"x": {}}}}},
                    {"videos": {"a": {"objects": {"1": {"category": 3}}}}}):  # fmt: skip
        meta.write_text(json.dumps(content))
        with pytest.raises(FaimError, match=r"meta\.json: is no list of objects"):
            convert_youtube_vos(root, tmp_path / "a.json")
    (root / "train/Annotations").rename(root / "train/elsewhere")
    with pytest.raises(FaimError, match="Annotations: no such folder; expected YouTube-VOS with"):
        convert_youtube_vos(root, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()


def test_the_command(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "train").rename(root / "valid")
    command = ["data", "convert", "youtube-vos", str(root), "--out", str(tmp_path)]
    assert main([*command, "--split", "valid", "--workers", "2", "--strict"]) == 0
    printed = capsys.readouterr().out
    assert "1 frame without a box, 5 boxes with a mask" in printed
    assert "left out, frame without annotation: 2" in printed
    assert len(CocoVid(tmp_path / "youtube_vos_valid.json").frames) == 5
    assert main(command) == 2
    assert "train/JPEGImages: no such folder" in capsys.readouterr().err
