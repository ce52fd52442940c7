from __future__ import annotations

import math

import pytest
from torch import nn

from faim.experiments.stage import stage_of
from faim.families.yolox.base import BaseDetector
from faim.nn.schedule import Steps, WarmupCosine, parameter_groups
from faim.training.experiment import BaseExperiment, FaimExperiment


def test_warmup_is_quadratic_and_ends_at_one() -> None:
    schedule = WarmupCosine(total=100, warmup=10, flat=20, min_ratio=0.05)
    assert [schedule(i) for i in (0, 4, 9)] == pytest.approx([0.01, 0.25, 1.0])


def test_cosine_closed_form_and_flat_end() -> None:
    schedule = WarmupCosine(total=100, warmup=10, flat=20, min_ratio=0.05)
    assert schedule(10) == pytest.approx(1.0)
    assert schedule(45) == pytest.approx(0.05 + 0.95 / 2)  # half of the 70 iterations
    quarter = 10 + 70 // 4
    expected = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (quarter - 10) / 70))
    assert schedule(quarter) == pytest.approx(expected)
    assert [schedule(i) for i in (80, 99, 100)] == [0.05, 0.05, 0.05]


def test_the_papers_base_training() -> None:
    schedule = stage_of(BaseExperiment(variant="s")).schedule(100)
    assert schedule == WarmupCosine(total=700, warmup=100, flat=200, min_ratio=0.05)


def test_the_papers_second_stage_warms_up_for_15000_iterations() -> None:
    schedule = stage_of(FaimExperiment(variant="s")).schedule(7000)
    assert schedule == WarmupCosine(total=49_000, warmup=15_000, flat=0, min_ratio=0.05)


def test_a_warmup_longer_than_the_training_is_shortened() -> None:
    schedule = stage_of(FaimExperiment(variant="s")).schedule(3)
    assert schedule.warmup == 7
    assert schedule(6) == 1.0


@pytest.mark.parametrize(("epochs", "plain"), [(1, 1), (2, 2), (3, 2), (7, 2)])
def test_the_end_without_strong_augmentation(epochs: int, plain: int) -> None:
    """Of a training that is shorter than it, all; but half of the steps learn at more than 5 %."""
    experiment = BaseExperiment(variant="s", max_epochs=epochs)
    experiment.validate()
    strong = [experiment.strong_augmentation(epoch) for epoch in range(epochs)]
    assert strong == [True] * (epochs - plain) + [False] * plain
    schedule = stage_of(experiment).schedule(100)
    smallest = [i for i in range(100 * epochs) if schedule(i) == 0.05]
    assert len(smallest) == min(200, 50 * epochs)
    assert max(schedule(i) for i in range(100 * epochs)) == 1.0


def test_learning_rates() -> None:
    assert BaseExperiment(variant="s").learning_rate == pytest.approx(0.005)
    assert BaseExperiment(variant="x").learning_rate == pytest.approx(0.00125)
    assert FaimExperiment(variant="s").learning_rate == pytest.approx(0.0005)
    assert FaimExperiment(variant="s", batch_size=4).learning_rate == pytest.approx(0.002)
    correction = FaimExperiment(variant="s", model={"join": "correction"})
    assert correction.learning_rate == pytest.approx(0.00005)
    correction.basic_lr_per_img = 0.002 / 64
    assert correction.learning_rate == pytest.approx(0.0005)


def test_every_trained_parameter_is_in_one_group_and_only_weights_decay() -> None:
    model = BaseDetector("nano", 3)
    model.head.stems.requires_grad_(False)
    groups = parameter_groups(model, 5e-4)
    decays = [group["weight_decay"] for group in groups]
    assert decays == [0.0, 5e-4, 0.0]
    listed = [id(p) for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in model.parameters() if p.requires_grad}
    norms, weights, biases = (group["params"] for group in groups)
    trained = [m for m in model.modules() if all(p.requires_grad for p in m.parameters(False))]
    convolutions = [m for m in trained if isinstance(m, nn.Conv2d)]
    batch_norms = [m for m in trained if isinstance(m, nn.BatchNorm2d)]
    assert {id(p) for p in weights} == {id(m.weight) for m in convolutions}
    assert {id(p) for p in norms} == {id(m.weight) for m in batch_norms}
    assert len(biases) == len(batch_norms) + sum(m.bias is not None for m in convolutions)


def test_steps_after_a_warmup() -> None:
    schedule = Steps((30_000, 60_000), 0.2, warmup=10)
    assert [schedule(i) for i in (0, 4, 9, 29_999)] == pytest.approx([0.01, 0.25, 1, 1])
    assert [schedule(i) for i in (30_000, 59_999, 60_000)] == pytest.approx([0.2, 0.2, 0.04])
    assert Steps((), 0.2)(0) == 1.0
