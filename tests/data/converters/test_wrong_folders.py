"""Data sets with something wrong around the labels: folders, names, classes and lengths."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trees import VAL_A, VAL_B, imagenet_tree
from trees_other import davis2017, mot, ovis, write_image, write_ovis, write_text

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.data.converters.builder import Category, convert_videos
from faim.data.converters.davis import convert_davis2016
from faim.data.converters.imagenet import convert_imagenet_vid
from faim.data.converters.mot import SequenceJob, _rate, convert_mot
from faim.data.converters.ovis import convert_ovis
from faim.data.converters.yolo_folder import convert_yolo_folder
from faim.errors import FaimError


def test_each_folder_is_taken_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_image(root / "z/1.jpg")
    write_image(tmp_path / "elsewhere/1.jpg")
    (root / "z/up").symlink_to(root)
    (root / "a").symlink_to(root / "z")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    summary = convert_yolo_folder(root, tmp_path / "a.json", names=["cat"])
    assert (summary.videos, summary.frames) == (2, 2)
    assert [video.name for video in CocoVid(tmp_path / "a.json").videos] == ["linked", "z"]


def test_names_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name in ("a/1.jpg", "a/2\udcff.jpg", "b\udcff/1.jpg"):
        write_image(root / "image.jpg")
        try:
            (root / name).parent.mkdir(exist_ok=True)
            (root / "image.jpg").rename(root / name)
        except OSError:
            pytest.skip("a file system that refuses such names")
    summary = convert_yolo_folder(root, tmp_path / "a.json", names=["cat"])
    assert (summary.videos, summary.frames) == (1, 1)
    assert summary.problems.counts == {"name is not UTF-8": 2}
    assert summary.problems.examples["name is not UTF-8"] == r"a/\xff"
    assert json.loads((tmp_path / "a.json").read_text())["images"][0]["file_name"] == "root/a/1.jpg"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no class to convert; expected at least one"),
        (("cat", "dog", "cat"), "2 classes are named 'cat'; expected each name once"),
        (("cat", " "), "a class is named ' '; expected text"),
        (("cat", "\ud800"), r"a class is named '\\ud800'; expected text"),
    ],
)
def test_wrong_classes_are_one_sentence(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    jobs = [SequenceJob("a", tmp_path, None, crowds=False)]

    def read(_: Any) -> Any:
        raise AssertionError

    classes = [Category(name) for name in names]
    with pytest.raises(FaimError, match=message):
        convert_videos(jobs, read, classes, tmp_path / "a.json", strict=False, workers=0)


def test_classes_of_files(tmp_path: Path) -> None:
    write_image(tmp_path / "a/1.jpg")
    write_text(tmp_path / "classes.txt", "", " ")
    with pytest.raises(FaimError, match=r"classes\.txt: names no class; expected at least one"):
        convert_yolo_folder(tmp_path, tmp_path / "a.json")
    content = ovis(tmp_path / "ovis")
    content["categories"][0]["name"] = content["categories"][1]["name"]
    write_ovis(tmp_path / "ovis", content)
    with pytest.raises(FaimError, match="2 classes are named 'Fish'"):
        convert_ovis(tmp_path / "ovis", tmp_path / "a.json")
    davis2017(tmp_path / "davis")
    (tmp_path / "davis/labels.json").write_text('{"bus": {"coco": true}}')
    with pytest.raises(FaimError, match="sequence bus has coco True; expected a class or null"):
        convert_davis2016(tmp_path / "davis", tmp_path / "a.json")


def _yolo(root: Path) -> None:
    write_image(root / "locked/1.jpg")
    write_text(root / "classes.txt", "cat")


def _mot(root: Path) -> None:
    mot(root, "MOT20-01", ())
    (root / "train").rename(root / "locked")


@pytest.mark.parametrize(("kind", "make"), [("yolo", _yolo), ("mot", _mot)])
def test_locked_folders_are_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    make: Callable[[Path], None],
) -> None:
    make(tmp_path)
    locked = tmp_path / "locked"

    def refusing(look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(folder: Any = ".") -> Any:
            if not isinstance(folder, int) and Path(folder) == locked:
                raise PermissionError(errno.EACCES, "Permission denied", str(folder))
            return look(folder)

        return looked

    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    monkeypatch.setattr(os, "listdir", refusing(os.listdir))
    source = locked if kind == "mot" else tmp_path
    arguments = ["data", "convert", kind, str(source), "--out", str(tmp_path / "a.json")]
    assert main([*arguments, "--workers", "0"]) == 2
    told = capsys.readouterr().err
    assert f"faim: {locked}: cannot be read (Permission denied); expected readable" in told


def test_lists_of_lengths_beyond_the_folder(tmp_path: Path) -> None:
    root = imagenet_tree(tmp_path)
    write_text(tmp_path / "list.txt", f"{VAL_A} 1 0 99999999", f"{VAL_B} 100000000 0 3")
    out = tmp_path / "a.json"
    how = {"strict": False, "workers": 0}
    summary = convert_imagenet_vid(root, out, split="val", listed=tmp_path / "list.txt", **how)
    assert (summary.videos, summary.frames) == (2, 7)
    assert summary.problems.counts == {"missing image": 99999999 - 4}
    assert summary.problems.examples["missing image"].endswith(f"{VAL_A}/000004.JPEG")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("25.0", 25), ("29.97", 29.97), ("30", 30), ("fast", None), ("nan", None), ("-1", None)],
)
def test_frame_rates(tmp_path: Path, text: str, rate: float | None) -> None:
    assert _rate(text) == rate
    info = mot(tmp_path, "MOT20-01", ["1,3,11,6,20,30,1,1,1"]) / "seqinfo.ini"
    info.write_text(info.read_text().replace("frameRate=25", f"frameRate={text}"))
    convert_mot(tmp_path, tmp_path / "a.json")
    video = json.loads((tmp_path / "a.json").read_text())["videos"][0]
    assert video.get("fps") == rate


def test_empty_and_endless_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ovis(tmp_path)
    arguments = ["data", "convert", "ovis", str(tmp_path)]
    for options, message in (
        (["--out", ""], "'' is no path; expected a file or folder"),
        (["--out", str(tmp_path), "--hold-out", "inf"], "no whole number and no share below 1"),
        (["--out", str(tmp_path), "--hold-out", "nan"], "no whole number and no share below 1"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([*arguments, *options])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
    for amount in (float("inf"), float("nan")):
        with pytest.raises(FaimError, match=r"hold-out is (inf|nan); expected to hold out 1 to 1"):
            convert_ovis(tmp_path, tmp_path / "a.json", hold_out=amount)
