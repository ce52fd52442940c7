"""IFEM, the instance feature extraction module (FAIM, Eq. 3)."""

from __future__ import annotations

from torch import Tensor, nn

from faim.families.yolox.branch import conv3x3
from faim.families.yolox.patches import conv_on_patches


class IFEM(nn.Module):
    """One 3x3 convolution from video object features to instance-mask features F_ins.

    The same convolution serves every pyramid level, so the mask loss, which pools one level, shapes
    the instance features of all.
    """

    def __init__(self, channels: int, depthwise: bool = False) -> None:
        """`channels` is D."""
        super().__init__()
        self.conv = conv3x3(channels, depthwise)

    def forward(self, video_features: list[Tensor]) -> list[Tensor]:
        """(B, D, H, W) a level in, the same out."""
        return [self.conv(feature) for feature in video_features]

    def on_patches(self, patches: Tensor) -> Tensor:
        """The same at the centre of 3x3 cells (k, 9, D), zero outside the image: (k, D)."""
        return conv_on_patches(self.conv, patches).flatten(1)
