"""Levels of the base detector that never fire, and what a training says of all of them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor, nn

from faim.errors import FaimError
from faim.experiments.stage import stage_of
from faim.families.yolox import levels
from faim.families.yolox.checkpoint import load_checkpoint, save_checkpoint
from faim.families.yolox.levels import LevelNumbers, LevelTally, LevelWatch
from faim.nn.pyramid import Assignment
from faim.structures import FrameTargets
from faim.training.callbacks import TrainingStoppedError
from faim.training.experiment import BaseExperiment, FaimExperiment
from faim.training.module import TrainingModule

Fit = Callable[..., Path]
SIDES = (8, 4, 2)  # cells a side of the levels of a 64-pixel input


def maps_of(*objectness: float) -> list[Tensor]:
    """Of two images: this in one cell of the second, next to nothing elsewhere."""
    maps = [torch.full((2, 7, side, side), -20.0) for side in SIDES]
    for level, value in zip(maps, objectness, strict=True):
        level[1, 4, 0, 1] = torch.logit(torch.tensor(value))
        level[:, 5:] = 9.0  # classes count for nothing here
    return maps


def truth(*sides: float) -> FrameTargets:
    corners = torch.tensor([[3.0, 5.0, 3.0 + 2 * side, 5.0 + side / 2] for side in sides])
    labels = torch.zeros(len(sides), dtype=torch.long)
    return FrameTargets(corners.reshape(-1, 4), labels, labels)


def assigned(*anchors: int) -> Assignment:
    return Assignment(torch.tensor(anchors), *torch.zeros(2, len(anchors)))


def one_process(processes: int = 1) -> Any:
    """A trainer of so many processes that see the same."""

    def reduce(numbers: Tensor, reduce_op: str) -> Tensor:
        return numbers * processes if reduce_op == "sum" else numbers

    return SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("cpu"), reduce=reduce),
        is_global_zero=True,
    )


def test_the_numbers_are_those_of_the_losses() -> None:
    """64, 16 and 4 anchors: P3 ends before 64, P4 before 80."""
    tally = LevelTally()
    tally.add(maps_of(0.9, 0.02, 0.3), [truth(20, 63, 65), truth()], [assigned(0, 63, 64), None])
    tally.add(maps_of(0.5, 0.04, 0.1), [truth(), truth(95, 97, 257)], [None, assigned(79, 80)])
    tally.add(maps_of(0.1, 0.01, 0.1), [truth(), truth()], [None, None])
    seen = tally.numbers(one_process())
    assert seen.assigned == (2, 2, 1)
    assert (seen.objects, seen.boxes) == ((2, 4, 2), 6)
    assert seen.objectness == pytest.approx((0.9, 0.04, 0.3))
    assert str(seen) == (
        "levels: P3 40 %, P4 40 %, P5 20 % of the assignments; most objectness 0.9, 0.04, 0.3"
    )
    assert tally.numbers(one_process(3)).assigned == (6, 6, 3)
    both = seen + LevelNumbers((1, 0, 0), (0, 0, 5), 7, (0.95, 0.0, 0.0))
    assert (both.assigned, both.objects, both.boxes) == ((3, 2, 1), (2, 4, 7), 13)
    assert both.objectness == pytest.approx((0.95, 0.04, 0.3))


class Epochs:
    """A training whose every step sees the same, for a watch that saves into a list."""

    def __init__(self, steps_per_epoch: int, epochs: int, **changes: Any) -> None:
        self.saved: list[int] = []
        self.trainer = one_process()
        self.trainer.max_epochs, self.trainer.global_step = epochs, 0
        self.trainer.current_epoch = 0
        detector = SimpleNamespace(observer=None)
        self.module = SimpleNamespace(
            model=SimpleNamespace(detector=detector), steps_per_epoch=steps_per_epoch
        )
        self.watch = LevelWatch(SimpleNamespace(stop=self.stop), BaseExperiment(**changes))
        self.watch.on_train_start(self.trainer, self.module)

    def stop(self, trainer: Any, error: FaimError) -> NoReturn:
        self.saved.append(int(trainer.global_step))
        raise error

    def epoch(self, maps: list[Tensor], *objects: float) -> None:
        """One epoch; assigns an anchor of P3 and three of P5."""
        trainer, module = self.trainer, self.module
        self.watch.on_train_batch_start(trainer, module, None, 0)
        module.model.detector.observer(maps, [truth(*objects)], [assigned(5, 80, 81, 83)])
        trainer.global_step += module.steps_per_epoch
        self.watch.on_train_epoch_end(trainer, module)
        trainer.current_epoch += 1


def test_a_dead_level_stops_at_the_end_of_its_epoch(logged: list[str]) -> None:
    training = Epochs(steps_per_epoch=600, epochs=4)
    dead = maps_of(0.8, 1.6e-4, 0.7)
    training.epoch(dead, 20, 60, 100, 300)  # 600 of 2400 steps
    with pytest.raises(FaimError) as caught:
        training.epoch(dead, 20, 60, 100, 300)
    assert str(caught.value) == (
        "training: level P4 (stride 16) has not fired for 1200 steps: in this epoch its "
        "objectness was at most 0.00016, it got 0 % of the assignments, and 50 % of the objects "
        "have sizes for it (about 32 to 256 pixels of the network's input), so it has died; "
        "expected an objectness above 0.01 (try training data with more objects of these sizes, "
        "or more sizes of the input by multiscale_range; check_levels=False goes on all the same)"
    )
    assert training.saved == [1200]
    line = "P3 25 %, P4 0 %, P5 75 % of the assignments; most objectness 0.8, 0.00016, 0.7"
    assert logged == [f"epoch 1, levels: {line}", f"epoch 2, levels: {line}"]


def test_data_without_objects_of_a_levels_sizes() -> None:
    training = Epochs(steps_per_epoch=600, epochs=2)
    with pytest.raises(FaimError, match=r"level P5 .* 75 % of the assignments, and 0 % of the obj"):
        training.epoch(maps_of(0.8, 0.5, 0.005), 20, 60, 95)
    training = Epochs(steps_per_epoch=600, epochs=2)
    with pytest.raises(FaimError, match=r"\(below about 64 pixels of .*\), too few to learn from;"):
        training.epoch(maps_of(0.001, 0.5, 0.9), 65, 159)


@pytest.mark.parametrize(
    ("steps_per_epoch", "objectness"),
    [
        (600, [0.011] * 4),  # it fires, if faintly
        (600, [0.001, 0.5, 0.5, 0.5]),  # it came late, but it came
        (100, [0.001] * 4),  # too short to tell
        (100, [0.001, 0.5, *[0.001] * 4, 0.5, *[0.001] * 4, 0.5]),  # at times
    ],
)
def test_what_is_not_dead(steps_per_epoch: int, objectness: list[float]) -> None:
    training = Epochs(steps_per_epoch, len(objectness))
    for value in objectness:
        training.epoch(maps_of(0.8, value, 0.7), 60)
    assert not training.saved


def test_short_epochs_are_judged_together() -> None:
    training = Epochs(steps_per_epoch=100, epochs=12)
    training.epoch(maps_of(0.8, 0.4, 0.7), 60)
    for _ in range(4):
        training.epoch(maps_of(0.8, 0.009, 0.7), 60)
    with pytest.raises(FaimError, match="has not fired for 500 steps"):
        training.epoch(maps_of(0.8, 0.009, 0.7), 60)
    assert training.saved == [600]


def test_switched_off_it_warns_once(logged: list[str]) -> None:
    training = Epochs(steps_per_epoch=600, epochs=4, check_levels=False)
    for _ in range(4):
        training.epoch(maps_of(0.8, 1.6e-4, 0.7), 60)
    told = [line for line in logged if "has not fired" in line]
    assert len(told) == 1
    assert "level P4 (stride 16) has not fired for 1200 steps" in told[0]
    assert told[0].endswith("or more sizes of the input by multiscale_range)")
    assert not training.saved


@pytest.fixture
def dead_weights(base_weights: Path, base_experiment: BaseExperiment, tmp_path: Path) -> Path:
    """The base detector of the other tests, with P4 as dead as it can be."""
    experiment = replace(base_experiment, ckpt=str(base_weights))
    stage = stage_of(experiment)
    model = stage.starting_model(stage.read_data())
    dead = model.detector.head.obj_preds[1]
    nn.init.zeros_(dead.weight)
    nn.init.constant_(dead.bias, -12.0)
    path = tmp_path / "dead.safetensors"
    save_checkpoint(path, model)
    return path


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four steps are enough to tell."""
    monkeypatch.setattr(levels, "LEAST_STEPS", 4)


@pytest.mark.usefixtures("soon")
def test_a_training_stops_and_goes_on_where_it_should(
    base_experiment: BaseExperiment, dead_weights: Path, fit: Fit, tmp_path: Path, logged: list[str]
) -> None:
    """Both epochs' weights are those of a training that nobody stopped."""
    experiment = replace(base_experiment, ckpt=str(dead_weights), save_history=True)
    whole, out = tmp_path / "whole", tmp_path / "out"
    fit(replace(experiment, check_levels=False), whole)
    assert len([line for line in logged if "level P4 (stride 16) has not fired" in line]) == 1
    with pytest.raises(FaimError, match=r"P4 \(stride 16\) has not fired for 4 steps: ") as caught:
        fit(experiment, out)
    assert "objectness was at most 6.2e-06" in str(caught.value)  # sigmoid(-11.99)
    assert str(caught.value).endswith(f"; the last checkpoint is {out}/last.ckpt")
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 4
    first = load_checkpoint(whole / "epoch_001.safetensors")[1]
    kept = load_checkpoint(out / "weights.safetensors")[1]
    assert all(torch.equal(kept[name], first[name]) for name in first)
    with pytest.raises(FaimError, match="has not fired for 8 steps"):
        fit(experiment, out, resume=out / "last.ckpt")
    second = load_checkpoint(whole / "weights.safetensors")[1]
    kept = load_checkpoint(out / "weights.safetensors")[1]
    assert all(torch.equal(kept[name], second[name]) for name in second)


def test_the_tests_own_trainings_are_too_short_to_tell(
    base_experiment: BaseExperiment, dead_weights: Path, fit: Fit, tmp_path: Path, logged: list[str]
) -> None:
    fit(replace(base_experiment, ckpt=str(dead_weights)), tmp_path / "out")
    assert not [line for line in logged if "has not fired" in line]


@pytest.mark.usefixtures("soon")
def test_a_training_that_stopped_says_the_same_of_its_epochs(
    base_experiment: BaseExperiment,
    base_weights: Path,
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: list[str],
) -> None:
    """What was seen before Ctrl-C in the middle of the second epoch counts too."""
    experiment = replace(base_experiment, ckpt=str(base_weights))

    def lines() -> list[str]:
        found = [line for line in logged if ", levels: " in line]
        logged.clear()
        return found

    fit(experiment, tmp_path / "whole")
    whole = lines()
    assert [line.split(",")[0] for line in whole] == ["epoch 1", "epoch 2"]
    losses = TrainingModule.losses

    def interrupted(self: TrainingModule, *batch: Any) -> dict[str, Tensor]:
        if self.training and self.global_step == 5:
            signal.raise_signal(signal.SIGINT)
        return losses(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "losses", interrupted)
        with pytest.raises(TrainingStoppedError):
            fit(experiment, tmp_path / "out")
    fit(experiment, tmp_path / "out", resume=tmp_path / "out/last.ckpt")
    assert lines() == whole


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("parts", "stops"), [(("ticam",), False), (("base", "ticam"), True)])
def test_a_second_stage_looks_where_it_trains_the_base(
    parts: tuple[str, ...],
    stops: bool,
    faim_experiment: FaimExperiment,
    dead_weights: Path,
    fit: Fit,
    tmp_path: Path,
    logged: list[str],
) -> None:
    model = {**faim_experiment.model, "train_parts": parts, "mask_weight": 0.0}
    experiment = replace(faim_experiment, ckpt=str(dead_weights), model=model)
    if not stops:
        fit(experiment, tmp_path / "out")
        assert not [line for line in logged if "levels" in line]
        return
    with pytest.raises(FaimError, match=r"P4 .* more sizes of the input by sizes; check_levels"):
        fit(experiment, tmp_path / "out")
