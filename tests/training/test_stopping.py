"""Trainings that are asked to stop: by Ctrl-C, by SIGTERM, by another training."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from faim.cli import main
from faim.families.yolox.checkpoint import load_checkpoint
from faim.training.experiment import BaseExperiment
from faim.training.module import TrainingModule

ROOT = Path(__file__).parents[2]
Fit = Callable[..., Path]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def sent_at(monkeypatch: pytest.MonkeyPatch, step: int, number: int) -> None:
    """A signal while this step is computed."""
    losses = TrainingModule.losses

    def interrupted(self: TrainingModule, *batch: Any) -> dict[str, Tensor]:
        if self.training and self.global_step == step:
            signal.raise_signal(number)
        return losses(self, *batch)

    monkeypatch.setattr(TrainingModule, "losses", interrupted)


def write_experiment(experiment: BaseExperiment, file: Path, **changes: Any) -> Path:
    fields = asdict(replace(experiment, **changes))
    file.write_text(
        f"from faim.training.experiment import BaseExperiment\nexp = BaseExperiment(**{fields!r})\n"
    )
    return file


def start(file: Path, out: Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "faim.cli", "train", "-f", str(file), "-o", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, **options
    )


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    while not file.exists() and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_writes_a_checkpoint_and_resuming_ends_in_the_same_weights(
    number: int,
    status: int,
    base_experiment: BaseExperiment,
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = load_checkpoint(fit(base_experiment, tmp_path / "whole"))[1]
    handler = signal.getsignal(number)
    file, out = write_experiment(base_experiment, tmp_path / "exp.py"), tmp_path / "out"
    with monkeypatch.context() as patch:
        sent_at(patch, 5, number)
        assert main(["train", "-f", str(file), "-o", str(out)]) == status
    assert f"stopped; go on with --resume ({out}/last.ckpt)" in capsys.readouterr().err
    assert signal.getsignal(number) is handler
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 6
    resumed = load_checkpoint(fit(base_experiment, out, resume=out / "last.ckpt"))[1]
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_ignored_signal_stays_ignored(
    number: int,
    base_experiment: BaseExperiment,
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        sent_at(monkeypatch, 1, number)
        fit(replace(base_experiment, max_epochs=1), tmp_path)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


def test_a_second_signal_does_not_wait(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = TrainingModule.losses

    def twice(self: TrainingModule, *batch: Any) -> dict[str, Tensor]:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        return losses(self, *batch)

    monkeypatch.setattr(TrainingModule, "losses", twice)
    with pytest.raises(KeyboardInterrupt):
        fit(base_experiment, tmp_path)


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_process_group_with_workers_ends_in_order(
    number: int, status: int, base_experiment: BaseExperiment, tmp_path: Path
) -> None:
    """As systemd and Ctrl-C in a terminal send it: to the workers too."""
    changes = {"workers": 1, "checkpoint_every": 1, "max_epochs": 200}
    file, out = write_experiment(base_experiment, tmp_path / "e.py", **changes), tmp_path / "out"
    process = start(file, out, start_new_session=True)
    wait_for(out / "last.ckpt", process)
    os.killpg(process.pid, number)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == status, told
    assert "Traceback" not in told
    assert told.splitlines()[-1] == f"faim: stopped; go on with --resume ({out}/last.ckpt)"
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] >= 1


def test_stopped_before_the_first_checkpoint(
    base_experiment: BaseExperiment,
    annotations: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the first evaluation: no checkpoint is named that is not there."""
    from faim.evaluation import in_hand

    monkeypatch.setattr(in_hand, "evaluate_model", lambda *_: signal.raise_signal(signal.SIGTERM))
    experiment = write_experiment(base_experiment, tmp_path / "e.py", val_ann=str(annotations))
    out = tmp_path / "out"
    assert main(["train", "-f", str(experiment), "-o", str(out)]) == 143
    assert capsys.readouterr().err.splitlines()[-1] == "faim: stopped before the first checkpoint"
    assert not (out / "last.ckpt").exists()


def test_a_signal_during_an_evaluation_ends_at_once(
    base_experiment: BaseExperiment,
    annotations: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The epoch is on the disk by then."""
    from faim.evaluation import in_hand

    def evaluate(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on")

    monkeypatch.setattr(in_hand, "evaluate_model", evaluate)
    changes = {"val_ann": str(annotations), "val_start": 0}
    file, out = write_experiment(base_experiment, tmp_path / "e.py", **changes), tmp_path / "out"
    assert main(["train", "-f", str(file), "-o", str(out)]) == 143
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"faim: stopped; go on with --resume ({out}/last.ckpt)"
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 4


def test_two_trainings_into_one_folder(
    base_experiment: BaseExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second is refused, and a kill of the first frees the folder at once."""
    changes = {"workers": 1, "checkpoint_every": 1, "max_epochs": 200}
    file, out = write_experiment(base_experiment, tmp_path / "e.py", **changes), tmp_path / "out"
    process = start(file, out)
    wait_for(out / "last.ckpt", process)
    command = ["train", "-f", str(file), "-o", str(out)]
    for option in ("--resume", "--overwrite"):
        assert main([*command, option]) == 2
        assert "another run is writing it" in capsys.readouterr().err
    process.kill()
    process.communicate()
    assert main([*command, "--overwrite", "max_epochs=1"]) == 0
