"""The second stage fits a few real frames with masks; benchmarks/fit_davis.py takes longer."""

import runpy
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[3] / "benchmarks" / "fit_davis.py"


def test_losses_fall_until_they_are_fitted(shared, capsys):
    program = runpy.run_path(str(BENCHMARK))
    options = program["_parser"]().parse_args(
        ["--davis", str(shared / "data/davis_train"), "--weights",
         str(shared / "weights/yolox_nano_coco.pth"), "--frames", "2", "--size", "192",
         "--steps", "60", "--every", "15", "--lr", "0.002"]
    )  # fmt: skip
    history = program["run"](options)
    first, last = history[0], history[-1]
    assert last["refined"] < 0.4 * first["refined"]
    assert last["mask"] < 0.85 * first["mask"]
    assert "steps" in capsys.readouterr().out


def test_wrong_folder_is_one_sentence(shared, tmp_path, capsys):
    program = runpy.run_path(str(BENCHMARK))
    weights = str(shared / "weights/yolox_nano_coco.pth")
    assert program["main"](["--davis", str(tmp_path), "--weights", weights]) == 2
    assert capsys.readouterr().err.startswith("fit_davis: ")


@pytest.mark.parametrize("option", ["--davis", "--weights"])
def test_both_inputs_are_asked_for(option, capsys):
    program = runpy.run_path(str(BENCHMARK))
    with pytest.raises(SystemExit) as caught:
        program["main"]([option, "x"])
    assert caught.value.code == 2
