"""The video object branch (FAIM, Sec. 3.2 and Fig. 4)."""

from __future__ import annotations

from torch import Tensor, nn
from yolox.models.network_blocks import BaseConv, DWConv

from faim.models.base_detector import LEVELS


def conv3x3(channels: int, depthwise: bool) -> nn.Module:
    """YOLOX's 3x3 convolution, batch norm and SiLU; depthwise separable in the nano variant."""
    block = DWConv if depthwise else BaseConv
    return block(channels, channels, ksize=3, stride=1)


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
