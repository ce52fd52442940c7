"""Batch norms that an export folded into the convolutions, put back so that training is sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from faim.training.steps import TrainingModule

#: Images that the statistics are taken of.
IMAGES = 64


@dataclass
class _Statistics:
    """Sums over all that a norm was given, by channel."""

    count: int
    total: Tensor
    squares: Tensor

    def add(self, values: Tensor) -> None:
        """Take (N, C, H, W) into the sums."""
        channels = values.detach().double().transpose(0, 1).flatten(1)
        self.count += channels.shape[1]
        self.total += channels.sum(dim=1)
        self.squares += channels.square().sum(dim=1)


def unfold_norms(module: TrainingModule, batches: Iterable[tuple[Any, ...]]) -> int:
    """Put back the norms of all that trains in `module` and has folded ones.

    A folded norm adds a bias and does nothing else, so its convolution's weights have whatever
    scale the export left them, from hundredths to hundreds: one learning rate cannot fit them all,
    and in training mode the norm would divide by statistics that it does not stand for. Here every
    filter is scaled to a norm of 1 (how far a step of given length turns it then does not depend on
    the export), and the norm gets the statistics of its input, and the weight and bias with which
    it makes of them what it made before: in eval mode the network's output stays the same.

    Args:
        module: in the mode that it is to train in.
        batches: of the training data; at least `IMAGES` images are looked at where there are so
            many.

    Returns:
        How many norms were put back.
    """
    pairs = list(_folded(module.model))
    if not pairs:
        return 0
    module.eval()
    with torch.no_grad(), _measured([norm for _, norm in pairs]) as statistics:
        seen = 0
        for batch in batches:
            module.losses(*batch)
            seen += batch[0].shape[:-3].numel()
            if seen >= IMAGES:
                break
    for (conv, norm), measured in zip(pairs, statistics, strict=True):
        if measured.count:
            _put_back(conv, norm, measured)
    module.train()
    return len(pairs)


def _folded(model: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions that train with norms that do nothing but add a bias (YOLOX's blocks)."""
    for block in model.modules():
        conv, norm = getattr(block, "conv", None), getattr(block, "bn", None)
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        # No trained norm has a mean of exactly 0 everywhere; a fresh one has no bias either.
        assert norm.running_mean is not None
        if conv.weight.requires_grad and not norm.running_mean.any() and norm.bias.any():
            yield conv, norm


@contextmanager
def _measured(norms: list[nn.BatchNorm2d]) -> Iterator[list[_Statistics]]:
    """Statistics of what each norm is given inside."""
    empty = [norm.weight.new_zeros(norm.num_features, dtype=torch.float64) for norm in norms]
    statistics = [_Statistics(0, zeros, zeros.clone()) for zeros in empty]

    def listener(measured: _Statistics) -> Any:
        return lambda norm, inputs: measured.add(inputs[0])

    hooks = [
        norm.register_forward_pre_hook(listener(measured))
        for norm, measured in zip(norms, statistics, strict=True)
    ]
    try:
        yield statistics
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def _put_back(conv: nn.Conv2d, norm: nn.BatchNorm2d, measured: _Statistics) -> None:
    """Scale the filters to 1, and give the norm the statistics of what they then make."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean = measured.total / measured.count
    variance = (measured.squares / measured.count - mean.square()).clamp(min=0)
    length = conv.weight.double().flatten(1).norm(dim=1)
    scale = torch.where(length > 0, 1 / length, 1.0)
    # Before: y = gain (x - running_mean) + bias.
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() + gain * (mean - norm.running_mean.double())
    variance = variance * scale.square()
    conv.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    norm.running_mean.copy_(mean * scale)
    norm.running_var.copy_(variance)
    norm.weight.copy_(gain / scale * (variance + norm.eps).sqrt())
    norm.bias.copy_(bias)
