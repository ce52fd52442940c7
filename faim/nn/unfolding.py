"""Batch norms that an export folded into the convolutions, put back so that training is sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

#: Images that the statistics are taken of.
IMAGES = 64
#: By how much what a filter makes varies, relative to how large what it sees is: 1 in a new
#: network, more where a step should turn the filters less, as when they are trained already.
GAIN = 2.0
#: Smallest and largest norm of a filter that is scaled.
FILTER_NORMS = (0.1, 20.0)

#: A convolution and the norm behind it.
_Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


@dataclass
class _Moments:
    """Sums over all that a layer was given, by channel.

    Attributes:
        count: how many values of each channel.
        total: (C,) double, their sum.
        squares: (C,) double, the sum of their squares.
    """

    count: int
    total: Tensor
    squares: Tensor

    @classmethod
    def of_none(cls, channels: int) -> Self:
        """Nothing seen yet."""
        return cls(0, *torch.zeros(2, channels, dtype=torch.float64))

    def add(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Take the input (N, C, H, W) of a layer into the sums; a hook."""
        channels = inputs[0].double().transpose(0, 1).flatten(1)
        self.count += channels.shape[1]
        self.total += channels.sum(dim=1)
        self.squares += channels.square().sum(dim=1)


class Learning(Protocol):
    """A network with its losses, such as a training module."""

    model: nn.Module

    def losses(self, *batch: Any) -> dict[str, Tensor]:
        """The losses of a batch."""
        ...

    def train(self, mode: bool = True) -> Any:
        """As `nn.Module.train`."""
        ...

    def eval(self) -> Any:
        """As `nn.Module.eval`."""
        ...


def unfold_norms(module: Learning, batches: Iterable[tuple[Any, ...]]) -> int:
    """Put back the norms of all that trains in `module` and has folded ones.

    A folded norm adds a bias and does nothing else, so its convolution's weights have whatever
    scale the export left them, from hundredths to hundreds: one learning rate cannot fit them all,
    and in training mode the norm would divide by statistics that it does not stand for. Here every
    filter is scaled until what it makes varies as much as what it sees is large, times `GAIN`:
    then a step of the optimiser changes no output out of proportion.
    The norm gets the statistics of its input, and the weight and bias with which it makes of them
    what it made before: in eval mode the network's output stays the same.

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
    with torch.no_grad(), _measured(pairs) as moments:
        seen = 0
        for batch in batches:
            module.losses(*batch)
            seen += batch[0].shape[:-3].numel()
            if seen >= IMAGES:
                break
    module.train()
    used = [(pair, both) for pair, both in zip(pairs, moments, strict=True) if both[1].count]
    for (conv, norm), (seen_by_conv, seen_by_norm) in used:
        _put_back(conv, norm, seen_by_conv, seen_by_norm)
    return len(used)


def has_folded_norms(model: nn.Module) -> bool:
    """Whether `unfold_norms` would find something to put back."""
    return next(_folded(model), None) is not None


def _folded(model: nn.Module) -> Iterator[_Pair]:
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
def _measured(pairs: list[_Pair]) -> Iterator[list[tuple[_Moments, _Moments]]]:
    """What each convolution and each norm is given inside."""
    moments = [
        (_Moments.of_none(conv.in_channels), _Moments.of_none(norm.num_features))
        for conv, norm in pairs
    ]
    hooks = [
        layer.register_forward_pre_hook(seen.add)
        for pair, both in zip(pairs, moments, strict=True)
        for layer, seen in zip(pair, both, strict=True)
    ]
    try:
        yield moments
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def _put_back(
    conv: nn.Conv2d, norm: nn.BatchNorm2d, seen_by_conv: _Moments, seen_by_norm: _Moments
) -> None:
    """Scale the filters, and give the norm the statistics of what they then make."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean = seen_by_norm.total / seen_by_norm.count
    variance = (seen_by_norm.squares / seen_by_norm.count - mean.square()).clamp(min=0)
    scale = _scale(conv, seen_by_conv, variance)
    # Before: y = gain (x - running_mean) + bias.
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() + gain * (mean - norm.running_mean.double())
    variance = variance * scale.square()
    conv.weight.copy_(conv.weight.double() * scale.view(-1, 1, 1, 1))
    norm.running_mean.copy_(mean * scale)
    norm.running_var.copy_(variance)
    norm.weight.copy_(gain / scale * (variance + norm.eps).sqrt())
    norm.bias.copy_(bias)


def _scale(conv: nn.Conv2d, seen: _Moments, variance: Tensor) -> Tensor:
    """(C_out,) by how much each filter is to grow; `variance` is that of what it makes now."""
    squares = (seen.squares / seen.count).view(conv.groups, -1).mean(dim=1)
    squares = squares.repeat_interleave(conv.out_channels // conv.groups)
    norms = conv.weight.double().flatten(1).norm(dim=1)
    # What is constant on these images has a norm all the same.
    wanted = (norms * GAIN * (squares / variance).sqrt()).nan_to_num(1.0).clamp(*FILTER_NORMS)
    return torch.where(norms > 0, wanted / norms, 1.0)
