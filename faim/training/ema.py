"""The exponential moving average of the weights, with YOLOX's ramp."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn


def ramped_decay(decay: float, ramp: int, updates: int) -> float:
    """The decay of the average at its update number `updates`, from 1 on."""
    return decay * (1 - math.exp(-updates / ramp))


class MovingAverage(WeightAveraging):
    """Keeps the averaged model; Lightning saves it, and swaps it in when the training ends."""

    def __init__(self, decay: float, ramp: int) -> None:
        """See `ramped_decay`."""
        super().__init__(multi_avg_fn=_average_with(decay, ramp))

    @property
    def model(self) -> nn.Module:
        """The averaged model, on the training's device."""
        assert self._average_model is not None
        return self._average_model.module.model


def _average_with(
    decay: float, ramp: int
) -> Callable[[tuple[Tensor, ...], tuple[Tensor, ...], Tensor], None]:
    @torch.no_grad()
    def average(averaged: tuple[Tensor, ...], current: tuple[Tensor, ...], updates: Tensor) -> None:
        if averaged[0].is_floating_point():
            # lerp leaves equal tensors bit by bit as they are: frozen weights stay.
            weight = 1 - ramped_decay(decay, ramp, int(updates) + 1)
            torch._foreach_lerp_(averaged, current, weight)
        else:
            # Counters of batch norm.
            torch._foreach_copy_(averaged, current)

    return average
