"""The video object branch (FAIM, Sec. 3.2 and Fig. 4)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from yolox.models.network_blocks import BaseConv, DWConv

from faim.models.base_detector import LEVELS


def conv3x3(channels: int, depthwise: bool) -> nn.Module:
    """YOLOX's 3x3 convolution, batch norm and SiLU; depthwise separable in the nano variant."""
    block = DWConv if depthwise else BaseConv
    return block(channels, channels, ksize=3, stride=1)


def without_padding(block: nn.Module, features: Tensor) -> Tensor:
    """What `conv3x3` makes of (k, D, h, w) away from the border: (k, D, h - 2, w - 2)."""
    if isinstance(block, DWConv):
        return block.pconv(without_padding(block.dconv, features))
    assert isinstance(block, BaseConv)
    conv = block.conv
    return block.act(block.bn(F.conv2d(features, conv.weight, conv.bias, groups=conv.groups)))


class VideoObjectBranch(nn.Module):
    """Two 3x3 convolutions a pyramid level, beside YOLOX's two branches.

    What it makes of the stem features are the video object features V^R of Eq. 3; at the selected
    anchors they are F_cls.
    """

    def __init__(self, channels: int, depthwise: bool = False) -> None:
        """`channels` is D, the width of the stem features."""
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(conv3x3(channels, depthwise), conv3x3(channels, depthwise))
            for _ in LEVELS
        )

    def forward(self, stem_features: list[Tensor]) -> list[Tensor]:
        """(B, D, H, W) a level in, the same out."""
        return [conv(stem) for conv, stem in zip(self.convs, stem_features, strict=True)]

    def on_patches(self, level: int, patches: Tensor, inside: Tensor) -> Tensor:
        """The same at the middle 3x3 of 7x7 patches of one level's stem features.

        Args:
            level: 0, 1, 2 for P3, P4, P5.
            patches: (k, D, 7, 7), zero outside the image.
            inside: (k, 1, 7, 7) float, 1 inside the image and 0 outside.

        Returns:
            (k, D, 3, 3), zero outside the image.
        """
        branch = self.convs[level]
        assert isinstance(branch, nn.Sequential)
        first, second = branch
        # Each convolution of the dense computation pads with zeros, not with what lies beyond.
        hidden = without_padding(first, patches) * inside[..., 1:-1, 1:-1]
        return without_padding(second, hidden) * inside[..., 2:-2, 2:-2]
