"""The segmentation decoder D: from an encoding to a mask, level by level (section 3.5).

Its form is the one the paper adopts from Robinson et al. (2020): at each level the encoding joins
the level's features, attention over channels lets the deeper levels choose among them, and a
residual block refines the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resize(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, to height and width."""
    return F.interpolate(features, size, mode="bilinear", align_corners=False)


class DecoderLevel(nn.Module):
    """One level of the decoder."""

    def __init__(self, encoding_dim: int, dim: int, *, deepest: bool) -> None:
        """`dim` channels; the deepest level has none below it."""
        super().__init__()
        self.join = nn.Sequential(
            nn.Conv2d(dim + encoding_dim, dim, 3, 1, 1, bias=False),
            nn.BatchNorm2d(dim),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim, dim, 3, 1, 1),
            nn.ReLU(inplace=True),
        )
        self.attention: nn.Module | None = None
        if not deepest:
            self.attention = nn.Sequential(
                nn.Conv2d(2 * dim, dim, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(dim, dim, 1),
                nn.Sigmoid(),
            )
        self.enter = nn.Conv2d(dim, dim, 1)
        self.refine = nn.Sequential(
            nn.Conv2d(dim, dim, 3, 1, 1, bias=False),
            nn.BatchNorm2d(dim),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim, dim, 3, 1, 1),
        )

    def forward(self, features: Tensor, encoding: Tensor, deeper: Tensor | None) -> Tensor:
        """(N, dim, h, w) of this level's features, the encoding, and the deeper level's output."""
        size = (features.shape[-2], features.shape[-1])
        found = self.join(torch.cat([features, resize(encoding, size)], 1))
        if self.attention is not None and deeper is not None:
            pooled = [level.mean((2, 3), keepdim=True) for level in (deeper, found)]
            found = found * self.attention(torch.cat(pooled, 1)) + resize(deeper, size)
        found = self.enter(found)
        return torch.relu(found + self.refine(found))


class Decoder(nn.Module):
    """D. What depends on a frame alone, `reduce`, is apart, so that both passes share it."""

    def __init__(
        self, channels: Mapping[int, int], strides: Sequence[int], encoding_dim: int, dim: int
    ) -> None:
        """Decode encodings of `encoding_dim` channels.

        Args:
            channels: of F's features, by stride.
            strides: the levels to use, deepest first.
            encoding_dim: channels of what it is given.
            dim: its own channels.
        """
        super().__init__()
        self.strides = tuple(strides)
        self.reduction = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels[stride], dim, 1), nn.ReLU(inplace=True))
            for stride in strides
        )
        self.levels = nn.ModuleList(
            DecoderLevel(encoding_dim, dim, deepest=place == 0) for place in range(len(strides))
        )
        self.output = nn.Sequential(
            nn.Conv2d(dim, dim // 2 or 1, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(dim // 2 or 1, 1, 3, 1, 1),
        )

    def reduce(self, features: Mapping[int, Tensor]) -> list[Tensor]:
        """F's features at the decoder's strides, each with `dim` channels."""
        return [
            reduction(features[stride])
            for stride, reduction in zip(self.strides, self.reduction, strict=True)
        ]

    def forward(self, encoding: Tensor, reduced: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Logits (N, h, w) of the given size, of encodings (N, C, H, W) and `reduce`'s features."""
        found: Tensor | None = None
        for level, features in zip(self.levels, reduced, strict=True):
            found = level(features, encoding, found)
        return resize(self.output(found), size).squeeze(1)
