"""Learning rate over a training, and which weights decay."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class WarmupCosine:
    """YOLOX's schedule: quadratic warm-up, cosine, and a flat end.

    Attributes:
        total: iterations.
        warmup: iterations of the warm-up.
        flat: last iterations at the smallest rate.
        min_ratio: the smallest rate, relative to the largest.
    """

    total: int
    warmup: int
    flat: int
    min_ratio: float

    def __call__(self, iteration: int) -> float:
        """The factor on the learning rate, for iterations from 0 on."""
        if iteration < self.warmup:
            # YOLOX starts at 0 and so wastes its first step; one further each.
            return ((iteration + 1) / self.warmup) ** 2
        if iteration >= self.total - self.flat:
            return self.min_ratio
        progress = (iteration - self.warmup) / max(self.total - self.warmup - self.flat, 1)
        return self.min_ratio + (1 - self.min_ratio) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Steps:
    """A constant rate that falls at given iterations, after a quadratic warm-up.

    Attributes:
        at: the iterations.
        factor: what is left of the rate at each.
        warmup: iterations of the warm-up.
    """

    at: tuple[int, ...]
    factor: float
    warmup: int = 0

    def __call__(self, iteration: int) -> float:
        """The factor on the learning rate, for iterations from 0 on."""
        rise = min((iteration + 1) / self.warmup, 1.0) ** 2 if self.warmup else 1.0
        return rise * self.factor ** sum(iteration >= step for step in self.at)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """What trains, in YOLOX's three groups: norms, weights (the only ones to decay), biases."""
    norms: list[nn.Parameter] = []
    weights: list[nn.Parameter] = []
    biases: list[nn.Parameter] = []
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            if name == "bias":
                biases.append(parameter)
            elif isinstance(module, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)):
                norms.append(parameter)
            else:
                weights.append(parameter)
    groups = [(norms, 0.0), (weights, weight_decay), (biases, 0.0)]
    return [{"params": chosen, "weight_decay": decay} for chosen, decay in groups if chosen]
