"""Levels of a feature pyramid, and the anchors on them: one a cell, level after level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

STRIDES = (8, 16, 32)
LEVELS = ("P3", "P4", "P5")


@dataclass(frozen=True)
class Assignment:
    """The anchors SimOTA gives to the ground truth of one image.

    Attributes:
        anchors: (p,) long, flat anchor indices.
        targets: (p,) long, which ground truth each belongs to.
        ious: (p,) float, IoU of the anchor's predicted box with it.
    """

    anchors: Tensor
    targets: Tensor
    ious: Tensor


def anchor_levels(index: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Where flat anchor indices lie.

    Args:
        index: (…) long, flat anchor indices.
        levels: per level (B, D, H, W), in the order P3, P4, P5.

    Returns:
        (…) long, the level of each, 0 for P3; and (…, 2) float, x and y of its cell's centre in
        network-input pixels.
    """
    sides = [(level.shape[-2], level.shape[-1]) for level in levels]
    ends = torch.tensor([height * width for height, width in sides], device=index.device).cumsum(0)
    level = torch.bucketize(index, ends, right=True)
    place = index - (ends - ends.diff(prepend=ends.new_zeros(1)))[level]
    width = torch.tensor([width for _, width in sides], device=index.device)[level]
    cells = torch.stack([place % width, place // width], dim=-1)
    strides = torch.tensor(STRIDES, device=index.device)[level]
    return level, (cells + 0.5) * strides[..., None]


def gather_features(levels: list[Tensor], index: Tensor) -> Tensor:
    """Features at given anchors.

    Args:
        levels: per level (B, D, H, W), in the order P3, P4, P5.
        index: (B, n) long, flat anchor indices.

    Returns:
        (B, n, D).
    """
    flat = torch.cat([level.flatten(2) for level in levels], dim=2)
    picked = flat.gather(2, index.unsqueeze(1).expand(-1, flat.shape[1], -1))
    return picked.transpose(1, 2)
