"""The video object branch's convolutions, computed at proposals only.

The branch and IFEM are three 3x3 convolutions, and only their values at the n proposals are used:
the 7x7 cells of stem features around each hold all that they depend on. A convolution of so few
cells is quickest as one matrix product over the gathered neighbours of every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from yolox.models.network_blocks import BaseConv, DWConv

#: Numbers of proposals on a level are rounded up to multiples of it, since a CPU backend prepares
#: itself for every shape it meets.
BUCKET = 2
#: how far three stacked 3x3 convolutions look, and the cells that they see.
RADIUS = 3
CELLS = (2 * RADIUS + 1) ** 2


def locate(
    index: Tensor, sizes: Sequence[tuple[int, int]], multiple: int = 1
) -> tuple[list[Tensor], Tensor]:
    """Sort anchors by pyramid level and list the cells around each.

    Args:
        index: (B, n) long, flat anchor indices, levels one after the other.
        sizes: height and width of each level.
        multiple: each level's list is filled up with -1 to a multiple of it, above 0.

    Returns:
        Per level (k, 49) long: the cells of the 7x7 around each anchor, row by row, counted over
        the level's B images, -1 outside of the image; and (B * n) long, where in the levels'
        lists, joined, each anchor of the flattened `index` stands.
    """
    around, areas = _around(tuple(sizes), index.device)
    # In the order of anchors the levels follow each other.
    flat, permutation = index.flatten().sort()
    cells = around[flat]
    if len(index) > 1:
        level_area = areas.repeat_interleave(areas)[flat]
        offset = (permutation // index.shape[1]) * level_area
        cells = torch.where(cells >= 0, cells + offset[:, None], cells)
    counts = torch.searchsorted(flat, areas.cumsum(0)).tolist()
    order = torch.empty_like(flat)
    lists: list[Tensor] = []
    start, offset_in_lists = 0, 0
    for end in counts:
        count = end - start
        length = max(-(-count // multiple), 1) * multiple
        lists.append(F.pad(cells[start:end], (0, 0, 0, length - count), value=-1))
        place = torch.arange(offset_in_lists, offset_in_lists + count, device=flat.device)
        order[permutation[start:end]] = place
        start, offset_in_lists = end, offset_in_lists + length
    return lists, order


@lru_cache(maxsize=16)
def _around(sizes: tuple[tuple[int, int], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Of every anchor the 7x7 cells around it in its level, (A, 49) long; cells of each level."""
    tables = []
    for height, width in sizes:
        cells = torch.arange(height * width).view(1, 1, height, width)
        padded = F.pad(cells, (RADIUS,) * 4, value=-1)[0, 0]
        windows = padded.unfold(0, 2 * RADIUS + 1, 1).unfold(1, 2 * RADIUS + 1, 1)
        tables.append(windows.reshape(-1, CELLS))
    areas = torch.tensor([height * width for height, width in sizes], device=device)
    return torch.cat(tables).to(device), areas


def cut_patches(features: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """The features of listed cells of one level.

    Args:
        features: (B, H, W, D).
        cells: (k, p) long, counted over all images, -1 outside of the image.

    Returns:
        (k, p, D), zero outside; and (k, p, 1), 1 inside the image and 0 outside.
    """
    inside = (cells >= 0).to(features.dtype)[..., None]
    picked = features.flatten(0, 2).index_select(0, cells.clamp(min=0).flatten())
    return picked.unflatten(0, (-1, cells.shape[1])) * inside, inside


def centre(patches: Tensor, side: int) -> Tensor:
    """The middle square of side `side` of square patches (k, p, D): (k, side * side, D)."""
    full = round(patches.shape[1] ** 0.5)
    margin = (full - side) // 2
    square = patches.unflatten(1, (full, full))
    return square[:, margin : margin + side, margin : margin + side].flatten(1, 2)


def conv_on_patches(block: nn.Module, patches: Tensor) -> Tensor:
    """What a 3x3 block of YOLOX makes of square patches, without padding.

    Args:
        block: `BaseConv` or `DWConv` of kernel 3, in eval mode.
        patches: (k, s * s, D), row by row.

    Returns:
        (k, (s - 2) * (s - 2), D).
    """
    side = round(patches.shape[1] ** 0.5)
    if isinstance(block, DWConv):
        weight, bias = _folded(block.dconv)
        square = patches.transpose(1, 2).unflatten(2, (side, side))
        hidden = block.dconv.act(F.conv2d(square, weight, bias, groups=weight.shape[0]))
        weight, bias = _folded(block.pconv)
        return block.pconv.act(hidden.flatten(2).transpose(1, 2) @ weight.flatten(1).T + bias)
    gathered = patches.index_select(1, _neighbours(side).to(patches.device))
    assert isinstance(block, BaseConv)
    weight, bias = _folded(block)
    matrix = weight.permute(2, 3, 1, 0).flatten(0, 2)
    return block.act(gathered.reshape(patches.shape[0], -1, matrix.shape[0]) @ matrix + bias)


def _neighbours(side: int) -> Tensor:
    """Of every inner cell of a square, itself and its eight neighbours: ((s - 2)^2 * 9,) long."""
    cells = torch.arange(side * side).view(side, side)
    return cells.unfold(0, 3, 1).unfold(1, 3, 1).flatten()


def _folded(block: BaseConv) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution and the batch norm behind it."""
    norm = block.bn
    scale = norm.weight.float() / (norm.running_var.float() + norm.eps).sqrt()
    weight = block.conv.weight.float() * scale[:, None, None, None]
    bias = norm.bias.float() - norm.running_mean.float() * scale
    return weight.to(block.conv.weight.dtype), bias.to(block.conv.weight.dtype)
