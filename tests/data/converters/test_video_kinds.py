"""The commands: each kind on a tree in its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from trees_other import davis2017, epic, mot, ovis, write_image, write_text

from faim.cli import build_parser, main
from faim.data.coco_vid import CocoVid
from faim.outputs import written

BOX = '1,pan,P01,P01_01,31,"[(100, 200, 300, 400)]"'


def _yolo(root: Path) -> None:
    write_image(root / "a/1.jpg")
    write_text(root / "a/1.txt", "1 0.5 0.5 0.5 0.5")


MAKERS: dict[str, Callable[[Path], object]] = {
    "davis2017": davis2017,
    "ovis": ovis,
    "epic-kitchens": lambda root: epic(root, [BOX], {"P01_01": (31,)}),
    "mot": lambda root: mot(root, "MOT17-02-SDP", ["1,3,11,6,20,30,1,1,1"]),
    "yolo": _yolo,
}


@pytest.mark.parametrize(
    ("kind", "options", "name", "boxes"),
    [
        ("davis2017", ["--split", "val"], "davis2017_val.json", 1),
        ("ovis", ["--hold-out", "1"], "ovis_train.json", 0),
        ("ovis", ["--hold-out", "0.5"], "ovis_train_held_out.json", 3),
        ("epic-kitchens", ["--all-classes", "--only", "train"], "epic_kitchens_train.json", 1),
        ("mot", ["--detector", "SDP", "--half", "train", "--crowds"], "mot_train.json", 1),
        ("yolo", ["--names", "cat, dog", "--strict"], "annotations.json", 1),
    ],
)
def test_commands(tmp_path: Path, kind: str, options: list[str], name: str, boxes: int) -> None:
    root, out = tmp_path / "source", tmp_path / "out"
    MAKERS[kind](root)
    arguments = ["data", "convert", kind, str(root), "--out", str(out), "--workers", "0"]
    assert main([*arguments, *options]) == 0
    data = CocoVid(out / name)
    assert sum(len(frame.annotations) for frame in data.frames) == boxes
    assert all(frame.path.is_file() for frame in data.frames)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ovis", ["--hold-out", "1.5"], "no whole number and no share below 1"),
        ("ovis", ["--hold-out", "-1"], "no whole number and no share below 1"),
        ("yolo", ["--names", "cat,,dog"], "an empty name; expected names like cat,dog"),
        ("epic-kitchens", ["--only", "S9"], "no video is of the split S9"),
    ],
)
def test_wrong_options(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    options: list[str],
    message: str,
) -> None:
    MAKERS[kind](tmp_path / "source")
    arguments = ["data", "convert", kind, str(tmp_path / "source"), "--out", str(tmp_path)]
    try:
        status = main([*arguments, *options])
    except SystemExit as stop:  # argparse
        status = int(stop.code or 0)
    assert status == 2
    assert message in capsys.readouterr().err


def test_several_processes_write_the_same_file(tmp_path: Path) -> None:
    ovis(tmp_path, videos=4)
    files = []
    for workers in (0, 2):
        out = tmp_path / f"{workers}.json"
        arguments = ["data", "convert", "ovis", str(tmp_path), "--out", str(out)]
        assert main([*arguments, "--workers", str(workers)]) == 0
        files.append(out.read_bytes())
    assert files[0] == files[1]


def test_every_file_that_is_written_is_known_before(tmp_path: Path) -> None:
    """The gateway of outputs looks at what the options say, so they have to say all of it."""
    for split in ("train", "val"):
        write_image(tmp_path / f"yolo/images/{split}/a_1.jpg")
    write_text(
        tmp_path / "yolo/data.yaml", "train: images/train", "val: images/val", "names: [cat]"
    )
    out = tmp_path / "out"

    def names(*arguments: str | Path) -> list[str]:
        line = ["data", "convert", *map(str, arguments), "--out", str(out)]
        return [path.name for path in written(build_parser().parse_args(line))]

    assert names("ovis", tmp_path) == ["ovis_train.json"]
    held_out = names("ovis", tmp_path, "--hold-out", "2")
    assert held_out == ["ovis_train.json", "ovis_train_held_out.json"]
    splits = names("yolo", tmp_path / "yolo")
    assert splits == ["annotations_train.json", "annotations_val.json"]
    assert names("yolo", tmp_path / "yolo", "--split", "val") == ["annotations.json"]
