"""The segmentation decoder D: from an encoding to a mask, level by level (section 3.5).

It is the decoder that the paper adopts (Robinson et al., 2020; Bhat et al., 2020): at each level
the encoding joins the level's features; a refinement block, attention over channels, in which
deeper levels choose among them, and another refinement block follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def resize(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, to height and width."""
    return F.interpolate(features, size, mode="bilinear", align_corners=False)


class Refinement(nn.Module):
    """A 1×1 convolution, and a residual of two 3×3 ones."""

    def __init__(self, dim: int) -> None:
        """`dim` channels in and out."""
        super().__init__()
        self.enter = nn.Conv2d(dim, dim, 1)
        self.residual = nn.Sequential(
            nn.Conv2d(dim, dim, 3, 1, 1, bias=False),
            nn.BatchNorm2d(dim),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim, dim, 3, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, dim, h, w)."""
        features = self.enter(features)
        return torch.relu(features + self.residual(features))


class ChannelAttention(nn.Module):
    """Weighs a level's channels by what it and the deeper level hold on average, and adds that."""

    def __init__(self, dim: int) -> None:
        """`dim` channels of both."""
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(2 * dim, dim, 1), nn.ReLU(inplace=True), nn.Conv2d(dim, dim, 1), nn.Sigmoid()
        )

    def forward(self, features: Tensor, deeper: Tensor) -> Tensor:
        """(N, dim, h, w) of features of this size and deeper ones of any."""
        averages = [level.mean((2, 3), keepdim=True) for level in (features, deeper)]
        weighed = features * self.weigh(torch.cat(averages, 1))
        return weighed + resize(deeper, (features.shape[-2], features.shape[-1]))


class DecoderLevel(nn.Module):
    """One level of the decoder."""

    def __init__(self, encoding_dim: int, dim: int, deeper_dim: int | None) -> None:
        """`dim` channels; `deeper_dim` of the level below, None at the deepest."""
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (dim + encoding_dim, dim, dim):
            layers += [nn.Conv2d(inputs, dim, 3, 1, 1), nn.ReLU(inplace=True)]
        self.join = nn.Sequential(*layers)
        self.adapt: nn.Module = nn.Identity()
        if deeper_dim not in (None, dim):
            assert deeper_dim is not None
            self.adapt = nn.Conv2d(deeper_dim, dim, 1)
        self.before = Refinement(dim)
        self.attention = ChannelAttention(dim)
        self.after = Refinement(dim)

    def forward(self, features: Tensor, encoding: Tensor, deeper: Tensor | None) -> Tensor:
        """(N, dim, h, w) of this level's features, the encoding, and the deeper level's output."""
        size = (features.shape[-2], features.shape[-1])
        found = self.join(torch.cat([features, resize(encoding, size)], 1))
        # Below the deepest level stands its own average.
        below = found.mean((2, 3), keepdim=True) if deeper is None else self.adapt(deeper)
        return self.after(self.attention(self.before(found), below))


class Decoder(nn.Module):
    """D. What depends on a frame alone, `reduce`, is apart, so that both passes share it."""

    def __init__(
        self,
        channels: Mapping[int, int],
        strides: Sequence[int],
        dims: Sequence[int],
        encoding_dim: int,
    ) -> None:
        """Decode encodings of `encoding_dim` channels.

        Args:
            channels: of F's features, by stride.
            strides: the levels to use, deepest first.
            dims: channels of each level.
            encoding_dim: channels of what it is given.
        """
        super().__init__()
        self.strides = tuple(strides)
        self.reduction = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels[stride], dim, 1), nn.ReLU(inplace=True), nn.Conv2d(dim, dim, 1)
            )
            for stride, dim in zip(strides, dims, strict=True)
        )
        deeper = [None, *dims[:-1]]
        self.levels = nn.ModuleList(
            DecoderLevel(encoding_dim, dim, below) for dim, below in zip(dims, deeper, strict=True)
        )
        half = max(dims[-1] // 2, 1)
        self.output = nn.Sequential(
            nn.Conv2d(dims[-1], half, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(half, 1, 3, 1, 1),
        )

    def reduce(self, features: Mapping[int, Tensor]) -> list[Tensor]:
        """F's features at the decoder's strides, each with its level's channels."""
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
