"""Checkpoints, images and disks that fail: one sentence, and nothing named that is not there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from faim.errors import FaimError
from faim.training.checkpoints import SETTINGS
from faim.training.experiment import BaseExperiment
from faim.training.module import TrainingModule

Fit = Callable[..., Path]


@pytest.fixture
def short(base_experiment: BaseExperiment) -> BaseExperiment:
    return replace(base_experiment, max_epochs=1)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _garbage(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 nonsense")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _list(path: Path) -> None:
    torch.save([1, 2], path)


def _changed(name: str, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        content[name] = value
        torch.save(content, path)

    change.__name__ = f"{name}_{type(value).__name__}"
    return change


def _not_finite(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    next(iter(content["state_dict"].values())).fill_(float("nan"))
    torch.save(content, path)


def _other_shape(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["state_dict"] = {n: t[:0] for n, t in content["state_dict"].items() if t.ndim}
    torch.save(content, path)


class _Unknown:
    """Needs more unpickled than numbers."""


DAMAGES = [
    *(_truncated, _garbage, _empty, _list, _not_finite, _other_shape),
    _changed(SETTINGS, 5),
    _changed(SETTINGS, {"seed": torch.zeros(2)}),
    _changed("state_dict", 3),
    _changed("epoch", "one"),
    _changed("loops", {"fit_loop": 1}),
    _changed("optimizer_states", [{"state": 1}]),
    _changed("lr_schedulers", [None]),
    _changed("callbacks", {"MovingAverage": 1}),
    _changed("other", _Unknown()),
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_ends_in_one_sentence_with_a_way_out(
    damage: Callable[[Path], None], short: BaseExperiment, fit: Fit, trained: Path, tmp_path: Path
) -> None:
    last = tmp_path / "last.ckpt"
    last.write_bytes(trained.read_bytes())
    damage(last)
    with pytest.raises(FaimError) as caught:
        fit(short, tmp_path, resume=last)
    message = str(caught.value)
    assert message.startswith(f"{last}: damaged, or not a checkpoint of `faim train`; expected")
    assert message.endswith("or a new training (--overwrite)")
    assert "weights_only" not in message
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(FaimError, match=f"-c {tmp_path}/weights.safetensors"):
        fit(short, tmp_path, resume=last)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, annotations: Path) -> Path:
    """`last.ckpt` of one epoch of four steps."""
    from faim.training.request import TrainRequest
    from faim.training.run import train

    experiment = BaseExperiment(
        variant="nano",
        train_ann=str(annotations),
        model={"test_size": (64, 64)},
        input_size=(64, 64),
        multiscale_range=1,
        frame_stride=1,
        max_epochs=1,
        no_aug_epochs=1,
        batch_size=4,
        basic_lr_per_img=0.001,
        workers=0,
        accelerator="cpu",
        name="base",
    )
    out = tmp_path_factory.mktemp("trained")
    train(TrainRequest(experiment, out, None, False))
    return out / "last.ckpt"


def test_no_checkpoint(short: BaseExperiment, fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(FaimError, match="no checkpoint to resume from"):
        fit(short, tmp_path, resume=tmp_path / "last.ckpt")


def broken_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """A loss that is no number at this step."""
    losses = TrainingModule.losses

    def broken(self: TrainingModule, *batch: Any) -> dict[str, Tensor]:
        result = losses(self, *batch)
        factor = float("nan") if self.global_step == step else 1.0
        return {name: value * factor for name, value in result.items()}

    monkeypatch.setattr(TrainingModule, "losses", broken)


def test_a_loss_that_is_no_number_names_the_checkpoint_that_there_is(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_at(monkeypatch, 3)
    last = tmp_path / "last.ckpt"
    with pytest.raises(FaimError) as caught:
        fit(base_experiment, tmp_path)
    assert "the loss is nan at iteration 3" in str(caught.value)
    assert "checkpoint" not in str(caught.value)
    assert not last.exists()
    with pytest.raises(FaimError, match=f"nan at iteration 3.*; the last checkpoint is {last}$"):
        fit(replace(base_experiment, checkpoint_every=2), tmp_path)
    assert torch.load(last, weights_only=True)["global_step"] == 2


def test_an_older_trainings_checkpoint_is_not_this_ones(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(base_experiment, tmp_path)
    broken_at(monkeypatch, 1)
    with pytest.raises(FaimError) as caught:
        fit(base_experiment, tmp_path, overwrite=True)
    assert "checkpoint" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("fault", ["gone", "truncated"])
def test_an_image_that_fails_in_the_second_epoch(
    fault: str,
    workers: int,
    base_experiment: BaseExperiment,
    annotations: Path,
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = json.loads(annotations.read_text())
    for image in content["images"]:
        image["file_name"] = str(annotations.parent / image["file_name"])
    victim = tmp_path / "victim.png"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert cv2.imwrite(str(victim), noise)
    content["images"][7]["file_name"] = str(victim)
    (tmp_path / "data.json").write_text(json.dumps(content))
    from faim.training.checkpoints import SaveProgress

    save = SaveProgress.on_train_epoch_end

    def damage(self: SaveProgress, *arguments: Any) -> None:
        save(self, *arguments)
        if fault == "gone":
            victim.unlink(missing_ok=True)
        else:
            _truncated(victim)

    monkeypatch.setattr(SaveProgress, "on_train_epoch_end", damage)
    experiment = replace(base_experiment, train_ann=str(tmp_path / "data.json"), workers=workers)
    last = tmp_path / "out/last.ckpt"
    with pytest.raises(FaimError, match=f"^{victim}: .*; the last checkpoint is {last}$"):
        fit(experiment, tmp_path / "out")
    assert torch.load(last, weights_only=True)["global_step"] == 4


def test_a_worker_that_dies(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faim.data.datasets import FrameDataset

    def killed(self: FrameDataset, index: int) -> Any:
        os.kill(os.getpid(), 9)

    monkeypatch.setattr(FrameDataset, "__getitem__", killed)
    with pytest.raises(FaimError, match=r"^--workers 1: a process that loads data has died; exp"):
        fit(replace(base_experiment, workers=1), tmp_path)


def test_a_disk_that_is_full_keeps_the_old_checkpoint(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = torch.save, []

    def full(content: Any, path: Path) -> None:
        calls.append(path)
        if len(calls) > 1:
            path.write_bytes(b"part")
            raise RuntimeError("PytorchStreamWriter failed writing file data/7: no space left")
        save(content, path)

    monkeypatch.setattr(torch, "save", full)
    last = tmp_path / "last.ckpt"
    with pytest.raises(FaimError) as caught:
        fit(replace(base_experiment, checkpoint_every=2), tmp_path)
    assert str(caught.value).startswith(f"{last}: cannot be written")
    assert "space left" in str(caught.value)
    assert torch.load(last, weights_only=True)["global_step"] == 2
    assert [path.name for path in tmp_path.glob("*part*")] == []
