"""The video object branch's convolutions, computed at proposals only.

The branch and IFEM are three 3x3 convolutions, and only their values at the n proposals are used:
the 7x7 cells of stem features around each hold all that they depend on. A convolution of so few
cells is quickest as one matrix product over the gathered neighbours of every cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from yolox.models.network_blocks import BaseConv, DWConv

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
    flat = index.flatten()
    table = torch.tensor(sizes, device=flat.device)
    areas = table.prod(dim=1)
    starts = areas.cumsum(0) - areas
    level = (flat[:, None] >= starts[1:]).sum(dim=1)
    height, width = table[level].unbind(1)
    cell = flat - starts[level]
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=flat.device)
    rows = ((cell // width)[:, None] + offsets)[:, :, None]
    columns = ((cell % width)[:, None] + offsets)[:, None, :]
    height, width = height[:, None, None], width[:, None, None]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image = torch.arange(len(index), device=flat.device).repeat_interleave(index.shape[1])
    around = image[:, None, None] * height * width + rows * width + columns
    around = around.masked_fill(~inside, -1).flatten(1)
    order = torch.empty_like(flat)
    cells: list[Tensor] = []
    offset = 0
    for number in range(len(sizes)):
        member = (level == number).nonzero().flatten()
        count = max(-(-len(member) // multiple), 1) * multiple
        filled = flat.new_full((count, CELLS), -1)
        filled[: len(member)] = around[member]
        cells.append(filled)
        order[member] = torch.arange(offset, offset + len(member), device=flat.device)
        offset += count
    return cells, order


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
    gathered = patches.index_select(1, _neighbours(side).to(patches.device))
    if isinstance(block, DWConv):
        weight, bias = _folded(block.dconv)
        spatial = gathered.unflatten(1, (-1, 9)) * weight.flatten(1).T
        hidden = block.dconv.act(spatial.sum(dim=2) + bias)
        weight, bias = _folded(block.pconv)
        return block.pconv.act(hidden @ weight.flatten(1).T + bias)
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
