"""What `faim data check` finds in image files, and how it shows names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from faim.cli import main
from faim.data.check_files import check_files
from faim.data.coco_vid import CocoVid
from faim.data.findings import examine
from faim.errors import FaimError
from faim.masks.evaluation.evaluate import evaluate_masks


def test_images_that_are_claimed_too_large_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    image = {"id": 1, "file_name": "a.png", "width": 20_000, "height": 20_000}
    box = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [1, 1, 9, 9],
        "segmentation": [[1] * 6],
    }
    content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "a"}]}
    path.write_text(json.dumps(content))
    assert examine(path).findings.errors["image of too many pixels"] == 1
    with pytest.raises(FaimError, match=r"image 1: is 20000x20000 pixels; expected at most 17895"):
        evaluate_masks(path, path)


def test_every_image_is_decoded(small_set: Path, tmp_path: Path) -> None:
    root = shutil.copytree(small_set.parent, tmp_path / "copy")
    last = CocoVid(root / "annotations.json").frames[-1].path
    last.write_bytes(last.read_bytes()[:-40])
    examined = examine(root / "annotations.json")
    check_files(examined)
    assert examined.findings.errors == {"image that cannot be read": 1}
    assert f"{last.name}: " in examined.findings.examples["image that cannot be read"]


def test_what_is_odd_about_images_is_noted(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    picture.save(
        tmp_path / "moving.gif", save_all=True, append_images=[Image.new("RGB", (64, 48), 9)]
    )
    images = [
        {"id": k, "file_name": name, "width": 64, "height": 48}
        for k, name in enumerate(("turned.jpg", "moving.gif"))
    ]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    examined = examine(tmp_path / "a.json")
    check_files(examined)
    assert examined.findings.errors == {}
    assert examined.findings.notes["image that EXIF turns, annotated as it is stored"] == 1
    assert examined.findings.notes["image of several pages, of which the first is taken"] == 1


def test_names_never_steer_the_terminal(
    small_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(small_set.read_text())
    content["categories"][0]["name"] = "\x1b[2Jred\u202e\nline"
    content["images"][0]["file_name"] = "\x1b]0;title\x07.png"
    (tmp_path / "a.json").write_text(json.dumps(content))
    main(["data", "check", str(tmp_path / "a.json"), "--images", str(small_set.parent)])
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed and "\x07" not in printed and "\u202e" not in printed  # noqa: PT018
    assert r"\x1b[2Jred\u202e\nline" in printed
