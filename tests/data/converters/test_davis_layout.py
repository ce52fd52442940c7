"""DAVIS as its authors give it: no `labels.json`, several resolutions, lists of two kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees_other import HEIGHT, WIDTH, rectangle, write_image, write_text

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.data.converters.davis2017 import convert_davis2017
from faim.errors import FaimError


def sequence(
    root: Path, name: str, mask: np.ndarray, *, resolution: str = "480p", masks: str = "Annotations"
) -> None:
    """Two frames with the same mask."""
    for number in range(2):
        write_image(root / f"JPEGImages/{resolution}/{name}/{number:05}.jpg")
        path = root / f"{masks}/{resolution}/{name}/{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(mask, mode="P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])  # DAVIS's own
        image.save(path)


def davis2016(root: Path, resolution: str = "480p") -> Path:
    for name in ("bear", "camel"):
        sequence(root, name, rectangle(5, 10, 20, 8), resolution=resolution)
    for split, name in (("train", "bear"), ("val", "camel")):
        lines = [
            f"/JPEGImages/480p/{name}/{n:05}.jpg /Annotations/480p/{name}/{n:05}.png "
            for n in range(2)
        ]
        write_text(root / f"ImageSets/480p/{split}.txt", *lines)
    return root


@pytest.mark.parametrize(
    ("more", "videos"),
    [([], ["bear", "camel"]), (["--split", "train"], ["bear"]), (["--split", "val"], ["camel"])],
)
def test_2016_without_labels(tmp_path: Path, more: list[str], videos: list[str]) -> None:
    davis2016(tmp_path / "DAVIS")
    out = tmp_path / "a.json"
    assert main(["data", "convert", "davis", str(tmp_path), "--out", str(out), *more]) == 0
    data = CocoVid(out)
    assert data.classes == ("object",)
    assert [video.name for video in data.videos] == videos
    assert all(frame.annotations[0].box == (5, 10, 25, 18) for frame in data.frames)


@pytest.mark.parametrize("masks", ["Annotations", "Annotations_unsupervised"])
@pytest.mark.parametrize("resolution", ["480p", "Full-Resolution"])
def test_2017_of_either_track_and_resolution(tmp_path: Path, resolution: str, masks: str) -> None:
    both = rectangle(5, 10, 20, 8) + 2 * rectangle(40, 3, 6, 30)
    sequence(tmp_path, "dogs-jump", both, resolution=resolution, masks=masks)
    write_text(tmp_path / "ImageSets/2017/val.txt", "dogs-jump")
    write_text(tmp_path / "ImageSets/2016/val.txt", "dogs-jump")
    out = tmp_path / "a.json"
    convert_davis2017(tmp_path, out, split="val")
    data = CocoVid(out)
    assert data.classes == ("object",)
    assert [len(frame.annotations) for frame in data.frames] == [2, 2]
    assert len({each.instance_id for frame in data.frames for each in frame.annotations}) == 2
    arguments = ["data", "convert", "davis", str(tmp_path), "--split", "val", "--out", str(out)]
    assert main(arguments) == 0
    (one,) = CocoVid(out).frames[0].annotations
    assert one.box == (5, 3, 46, 33)  # all that is not background
    assert (HEIGHT, WIDTH) == (40, 60)


def test_what_is_missing_is_one_sentence(tmp_path: Path) -> None:
    root = davis2016(tmp_path / "davis")
    with pytest.raises(FaimError, match=r"2017/train\.txt: no such file; expected the list of DAV"):
        convert_davis2017(root, tmp_path / "a.json")
    with pytest.raises(FaimError, match="has the resolutions 480p; expected 1080p"):
        convert_davis2017(root, tmp_path / "a.json", resolution="1080p")
    for number, more in enumerate((["--split", "test"], ["--clean-only"])):
        out = str(tmp_path / f"{number}.json")
        assert main(["data", "convert", "davis", str(root), "--out", out, *more]) == 2
    (root / "Annotations").rename(root / "Masks")
    with pytest.raises(FaimError, match="Annotations/480p: no such folder; expected DAVIS with"):
        convert_davis2017(root, tmp_path / "a.json")
