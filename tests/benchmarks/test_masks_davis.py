"""benchmarks/masks_davis.py, on a tiny folder in DAVIS's layout."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import masks_davis
from faim.data.coco_vid import CocoVid


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """Two sequences of two frames of 60x40: a square, and a triangle of half its box."""
    root = tmp_path / "DAVIS"
    square = np.zeros((40, 60), np.uint8)
    square[10:30, 10:30] = 255
    grey = np.full((40, 60, 3), 40, np.uint8)
    for name, mask in (("square", square), ("triangle", np.tril(square))):
        for kind, ending, image in (("JPEGImages", "jpg", grey), ("Annotations", "png", mask)):
            folder = root / kind / "480p" / name
            folder.mkdir(parents=True)
            for number in range(2):
                cv2.imwrite(str(folder / f"{number:05}.{ending}"), image)
    return root


def test_boxes_of_davis(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["--data", str(davis), "--methods", "box", "--out", str(out)]
    assert masks_davis.main(arguments) == 0
    half = 210 / 400  # 1 + 2 + … + 20 pixels
    content = json.loads((out / "figures.json").read_text())
    box = content["methods"]["box"]
    assert box["sequences"]["square"]["jaccard"] == 1
    assert box["sequences"]["triangle"]["jaccard"] == pytest.approx(half)
    assert box["jaccard"] == pytest.approx((1 + half) / 2)
    assert (box["recall"], box["made"]["counts"]["masks"]) == (1, 4)
    assert box["seconds_per_mask"] == pytest.approx(box["seconds"] / 4)
    assert content["machine"]["cores"] >= 1
    boxes = json.loads((out / "boxes.json").read_text())["annotations"]
    assert not any("segmentation" in each for each in boxes)
    assert [each["area"] for each in boxes] == [400] * 4
    table = [line.split() for line in capsys.readouterr().out.splitlines() if "│ box" in line]
    assert table[0][3::2][:6] == ["76.2", table[0][5], "100.0", "4", "0", "0"]


def test_any_file_and_settings(davis: Path, tmp_path: Path) -> None:
    assert masks_davis.main(["--data", str(davis), "--methods", "box", "--out", str(tmp_path)]) == 0
    truth = tmp_path / "truth.json"
    out, figures = tmp_path / "again", tmp_path / "again.json"
    common = ["--annotations", str(truth), "--out", str(out), "--json", str(figures)]
    settings = ["--set", "grabcut:iterations=1", "--methods", "box", "grabcut"]
    assert masks_davis.main([*common, *settings]) == 0
    methods = json.loads(figures.read_text())["methods"]
    assert list(methods) == ["box", "grabcut"]
    assert methods["grabcut"]["made"]["parameters"]["iterations"] == 1
    assert len(CocoVid(out / "grabcut.json", tmp_path).frames) == 4
    own = ["--annotations", str(out / "box.json"), "--out", str(out), "--methods", "box"]
    assert masks_davis.main(own) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "box", "box"], "--methods box box: one twice; expected each once"),
        (["--methods", "boxes"], "boxes: no such method; expected box"),
        (["--set", "box"], "--set box: expected NAME:key=value"),
        (["--set", "sam:size=3", "--methods", "box"], "sam does not run; expected one of"),
        (["--set", "grabcut:steps=3", "--methods", "grabcut"], "no field 'steps'"),
        (["--methods", "video:3"], "checkpoint missing; expected checkpoint="),
        (["--checkpoint", "gone"], "--checkpoint gone: no such file; expected weights"),
    ],
)
def test_wrong_options_are_told_before_the_work(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    status = masks_davis.main(["--data", str(tmp_path / "x"), "--out", str(tmp_path), *arguments])
    assert status == 2
    assert message in capsys.readouterr().err


def test_frames_and_settings_of_one_label() -> None:
    line = "--data D --checkpoint w --methods video:1 video:9 box"
    settings = "--set video:crop=3 --set video:9:interval=5 --set box:key=a:b=c"
    options = masks_davis._parser().parse_args([*line.split(), *settings.split()])
    found = [masks_davis.settings_of(label, options) for label in options.methods]
    assert found == [
        ("video", ["frames=1", "checkpoint=w", "crop=3"]),
        ("video", ["frames=9", "checkpoint=w", "crop=3", "interval=5"]),
        ("box", ["key=a:b=c"]),
    ]


def test_a_folder_without_sequences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(tmp_path), "--methods", "box", "--out", str(tmp_path / "out")]
    assert masks_davis.main(arguments) == 2
    assert "no sequences; expected JPEGImages/480p/<sequence>" in capsys.readouterr().err
