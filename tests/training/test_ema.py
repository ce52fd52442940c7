from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from faim.training.ema import _average_with, ramped_decay


def test_the_ramp_closed_form() -> None:
    assert ramped_decay(0.9998, 2000, 2000) == pytest.approx(0.9998 * (1 - math.exp(-1)))
    assert ramped_decay(0.9998, 2000, 10**6) == pytest.approx(0.9998)


def test_average_by_hand_and_counters_are_copied() -> None:
    model = nn.BatchNorm2d(1)
    average = AveragedModel(model, multi_avg_fn=_average_with(0.5, 10), use_buffers=True)
    expected = 0.0
    for update, value in enumerate([1.0, 3.0, 2.0]):
        model.running_mean.fill_(value)
        model.num_batches_tracked.fill_(update + 7)
        average.update_parameters(model)
        decay = 0.5 * (1 - math.exp(-(update + 1) / 10)) if update else 0.0  # the first is copied
        expected = decay * expected + (1 - decay) * value
    assert average.module.running_mean.item() == pytest.approx(expected)
    assert average.module.num_batches_tracked.item() == 9


def test_what_does_not_change_stays_bit_by_bit() -> None:
    model = nn.Conv2d(8, 8, 3)
    average = AveragedModel(model, multi_avg_fn=_average_with(0.9998, 2000), use_buffers=True)
    for _ in range(50):
        average.update_parameters(model)
    assert torch.equal(average.module.weight, model.weight)
