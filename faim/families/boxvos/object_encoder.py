"""Object encoders: what a frame's box, or its first mask, says about the object (section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, each with batch norm."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        """From `inputs` to `outputs` channels."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity()
        if not same:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """(N, outputs, h / stride, w / stride)."""
        return torch.relu(self.body(images) + self.shortcut(images))


def rasterize(boxes: Tensor, height: int, width: int) -> Tensor:
    """The share of each pixel that a box covers.

    Args:
        boxes: (N, 4), x1 y1 x2 y2 in pixels.
        height: of the image.
        width: of the image.

    Returns:
        (N, 1, height, width) in [0, 1].
    """
    x1, y1, x2, y2 = boxes.unbind(1)

    def covered(low: Tensor, high: Tensor, length: int) -> Tensor:
        left = torch.arange(length, dtype=boxes.dtype, device=boxes.device)
        ends = torch.minimum(high[:, None], left + 1) - torch.maximum(low[:, None], left)
        return ends.clamp(0, 1)

    return (covered(y1, y2, height)[:, :, None] * covered(x1, x2, width)[:, None]).unsqueeze(1)


class MaskFeatures(nn.Sequential):
    """A mask brought to the stride of x: a convolution, max pooling and two residual blocks."""

    def __init__(self, dim: int, stride: int) -> None:
        """`dim` channels at `stride`, 8 or 16."""
        super().__init__(
            nn.Conv2d(1, dim, 3, 2, 1, bias=False),
            nn.BatchNorm2d(dim),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            ResidualBlock(dim, dim, 2),
            ResidualBlock(dim, dim, 2 if stride == 16 else 1),
        )


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU(inplace=True))


class WeightHead(nn.Sequential):
    """The head of w."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """From `inputs` to `outputs` channels."""
        super().__init__(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU(inplace=True))

    def trust_all(self) -> None:
        """Start with w = 1 everywhere; the paper does not say how it starts."""
        convolution = self[0]
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None
        nn.init.zeros_(convolution.weight)
        nn.init.ones_(convolution.bias)


class BoxFeatures(nn.Module):
    """Box and deep features together (appendix B, without the heads)."""

    def __init__(self, feature_dim: int, mask_dim: int, stride: int) -> None:
        """`feature_dim` is D."""
        super().__init__()
        self.mask = MaskFeatures(mask_dim, stride)
        self.block = ResidualBlock(mask_dim + feature_dim, mask_dim)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """(N, mask_dim, H, W) of x (N, D, H, W) and box masks (N, 1, h, w)."""
        return self.block(torch.cat([self.mask(masks), features], 1))


class EmbeddingEncoder(nn.Module):
    """e and w of B: two heads on shared features."""

    def __init__(self, feature_dim: int, mask_dim: int, encoding_dim: int, stride: int) -> None:
        """`feature_dim` is D, `encoding_dim` C."""
        super().__init__()
        self.shared = BoxFeatures(feature_dim, mask_dim, stride)
        self.embedding = _head(mask_dim, encoding_dim)
        self.weight = WeightHead(mask_dim, encoding_dim)

    def forward(self, features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """e and w, each (N, C, H, W) and 0 or more."""
        shared = self.shared(features, masks)
        return self.embedding(shared), self.weight(shared)


class SingleFrameEncoder(nn.Module):
    """m of B: what one frame alone tells the decoder; a network of its own (appendix B)."""

    def __init__(self, feature_dim: int, mask_dim: int, encoding_dim: int, stride: int) -> None:
        """`feature_dim` is D, `encoding_dim` C."""
        super().__init__()
        self.shared = BoxFeatures(feature_dim, mask_dim, stride)
        self.head = _head(mask_dim, encoding_dim)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """m, (N, C, H, W)."""
        return self.head(self.shared(features, masks))


class SecondaryEncoder(nn.Module):
    """B̂: e and w from the masks of the first pass alone (Eq. 3)."""

    def __init__(self, mask_dim: int, encoding_dim: int, stride: int) -> None:
        """`encoding_dim` is C."""
        super().__init__()
        self.mask = MaskFeatures(mask_dim, stride)
        self.embedding = _head(mask_dim, encoding_dim)
        self.weight = WeightHead(mask_dim, encoding_dim)

    def forward(self, masks: Tensor) -> tuple[Tensor, Tensor]:
        """ê and ŵ, each (N, C, H, W), of masks (N, 1, h, w) in [0, 1]."""
        shared = self.mask(masks)
        return self.embedding(shared), self.weight(shared)
