"""A family that the training has never heard of: what it must bring, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_training import WANTED, ToyExperiment, ToyStage

from faim.cli import main
from faim.errors import FaimError

Fit = Callable[..., Path]
#: Ten steps of two items.
TEN = ToyExperiment(name="toy", max_epochs=1, batch_size=2, ema=False, workers=0, accelerator="cpu")


def after(steps: int) -> float:
    """What gradient descent makes of 0: each step leaves 0.8 of the way."""
    return WANTED * (1 - 0.8**steps)


def test_ten_steps(fit: Fit, tmp_path: Path, logged: list[str]) -> None:
    validated = replace(TEN, val_ann="anything", max_epochs=2)
    kept = load_file(fit(validated, tmp_path))
    assert float(kept["value"]) == pytest.approx(after(20))
    assert float(load_file(tmp_path / "best.safetensors")["value"]) == pytest.approx(after(20))
    first = "toy: a number from 20 numbers; 2 epochs of 10 steps, learning rate 0.1; writes to"
    assert logged[0] == f"{first} {tmp_path}"
    assert [line for line in logged if "NEAR" in line] == [
        "before the first step: NEAR 70.0",
        f"epoch 1: NEAR {100 - 10 * (WANTED - after(10)):.1f}",
        f"epoch 2: NEAR {100 - 10 * (WANTED - after(20)):.1f}",
    ]


def test_a_resumed_one(fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = ToyStage.losses

    def failing(self: ToyStage, model, batch, moment):  # type: ignore[no-untyped-def]
        if moment.step == 7:
            raise FaimError("enough")
        return losses(self, model, batch, moment)

    experiment = replace(TEN, checkpoint_every=5)
    with monkeypatch.context() as patch:
        patch.setattr(ToyStage, "losses", failing)
        with pytest.raises(FaimError, match=r"enough; the last checkpoint is .*last.ckpt"):
            fit(experiment, tmp_path)
    last = tmp_path / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 5
    resumed = load_file(fit(experiment, tmp_path, resume=last))
    assert float(resumed["value"]) == pytest.approx(after(10))
    with pytest.raises(FaimError, match=r"learning_rate=0.1, not 0.2"):
        fit(replace(experiment, learning_rate=0.2), tmp_path, resume=last)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "toy.py", tmp_path / "out"
    file.write_text("from toy_training import ToyExperiment\nexp = ToyExperiment(ema=False)\n")
    command = ["train", "-f", str(file), "-o", str(out), "-b", "2", "--workers", "0"]
    assert main([*command, "max_epochs=1", "accelerator=cpu", "learning_rate=0.05"]) == 0
    value = float(load_file(out / "weights.safetensors")["value"])
    assert value == pytest.approx(WANTED * (1 - 0.9**10))
    assert main(["eval", "-f", str(file), "-c", "none.safetensors"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "toy.py: is a ToyExperiment; expected the experiment of a detector" in error
