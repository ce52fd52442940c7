"""Patches of the pyramid around proposals.

The video object branch and IFEM are three 3x3 convolutions, and only their values at the n
proposals are used: a 7x7 patch of stem features around each holds all that they depend on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: how far three stacked 3x3 convolutions look.
RADIUS = 3


def locate(
    index: Tensor, sizes: Sequence[tuple[int, int]], multiple: int = 1
) -> tuple[list[Tensor], Tensor]:
    """Sort anchors by pyramid level.

    Args:
        index: (B, n) long, flat anchor indices, levels one after the other.
        sizes: height and width of each level.
        multiple: each level's list is filled up, with its first cell, to a multiple of it above 0.

    Returns:
        Per level (k, 3) long: image, row and column; and (B * n) long, where in the levels' lists,
        joined, each anchor of the flattened `index` stands.
    """
    flat = index.flatten()
    image = torch.arange(len(index), device=index.device).repeat_interleave(index.shape[1])
    order = torch.empty_like(flat)
    places: list[Tensor] = []
    start, offset = 0, 0
    for height, width in sizes:
        member = ((flat >= start) & (flat < start + height * width)).nonzero().flatten()
        cell = flat[member] - start
        count = max(-(-len(member) // multiple), 1) * multiple
        place = flat.new_zeros(count, 3)
        place[: len(member)] = torch.stack([image[member], cell // width, cell % width], dim=1)
        places.append(place)
        order[member] = torch.arange(offset, offset + len(member), device=flat.device)
        start += height * width
        offset += count
    return places, order


def cut_patches(features: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Square patches around cells of one level.

    Args:
        features: (B, H, W, D).
        places: (k, 3) long: image, row and column.

    Returns:
        (k, D, 7, 7), zero outside the image; and (k, 1, 7, 7), 1 inside the image and 0 outside.
    """
    height, width = features.shape[1:3]
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=places.device)
    rows = (places[:, 1, None] + offsets)[:, :, None]
    columns = (places[:, 2, None] + offsets)[:, None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    mask = inside[:, None].to(features.dtype)
    cut = features[places[:, 0, None, None], rows.clamp(0, height - 1), columns.clamp(0, width - 1)]
    return cut.permute(0, 3, 1, 2) * mask, mask
