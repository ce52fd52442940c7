"""The second stage fits a few real frames with masks; benchmarks/fit_davis.py takes longer."""

import pytest

import fit_davis


def test_losses_fall_until_they_are_fitted(shared, capsys):
    options = fit_davis._parser().parse_args(
        ["--davis", str(shared / "data/davis_train"), "--weights",
         str(shared / "weights/yolox_nano_coco.pth"), "--frames", "2", "--size", "192",
         "--steps", "60", "--every", "15", "--lr", "0.002"]
    )  # fmt: skip
    history = fit_davis.run(options)
    first, last = history[0], history[-1]
    assert last["refined"] < 0.4 * first["refined"]
    assert last["mask"] < 0.85 * first["mask"]
    assert "steps" in capsys.readouterr().out


def test_wrong_folder_is_one_sentence(shared, tmp_path, capsys):
    weights = str(shared / "weights/yolox_nano_coco.pth")
    assert fit_davis.main(["--davis", str(tmp_path), "--weights", weights]) == 2
    assert capsys.readouterr().err.startswith("fit_davis: ")


@pytest.mark.parametrize("option", ["--davis", "--weights"])
def test_both_inputs_are_asked_for(option, capsys):
    with pytest.raises(SystemExit) as caught:
        fit_davis.main([option, "x"])
    assert caught.value.code == 2
