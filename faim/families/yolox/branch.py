"""The video object branch (FAIM, Sec. 3.2 and Fig. 4)."""

from __future__ import annotations

from torch import Tensor, nn
from yolox.models.network_blocks import BaseConv, DWConv

from faim.families.yolox.patches import centre, conv_on_patches
from faim.nn.pyramid import LEVELS


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

    def on_patches(self, level: int, patches: Tensor, inside: Tensor) -> Tensor:
        """The same at the middle cells of squares of one level's stem features.

        Args:
            level: 0, 1, 2 for P3, P4, P5.
            patches: (k, s * s, D), s at least 5, zero outside the image.
            inside: (k, s * s, 1), 1 inside the image and 0 outside.

        Returns:
            (k, (s - 4) * (s - 4), D), zero outside the image.
        """
        side = round(patches.shape[1] ** 0.5)
        branch = self.convs[level]
        assert isinstance(branch, nn.Sequential)
        first, second = branch
        # Each convolution of the dense computation pads with zeros, not with what lies beyond.
        hidden = conv_on_patches(first, patches) * centre(inside, side - 2)
        return conv_on_patches(second, hidden) * centre(inside, side - 4)
