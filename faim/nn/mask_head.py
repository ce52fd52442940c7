"""The mask prediction branch, in training only (FAIM, Sec. 3.2 "Learning Instance Masks")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from faim.nn.pyramid import LEVELS, STRIDES, anchor_levels

#: In the place of levels' names: that of the anchor which proposed the box.
OWN = "own"


class MaskHead(nn.Module):
    """RoIAlign on F_ins, then a fully convolutional head: one mask a class.

    Four 3x3 convolutions, upsampling by 2 (Appendix C.3) and a 1x1 convolution.

    With several levels a box is pooled from the one that fits its size (Lin et al., FPN, Eq. 1).
    The paper pools P5 alone (Table 5a). TICAM reads a proposal's F_ins at its own anchor, which
    mostly lies on another level, so that what the masks teach reaches it through IFEM's shared
    weights alone; pooled from its "own" level, the mask is learnt from the features that are read.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        levels: tuple[str, ...] = ("P5",),
        roi_size: int = 32,
        upsampling: str = "bilinear",
    ) -> None:
        """`num_classes` masks a proposal.

        Args:
            channels: D, of F_ins.
            num_classes: masks a proposal.
            levels: names among P3, P4, P5, or "own".
            roi_size: side of what is pooled.
            upsampling: "bilinear", "deconvolution" or "none" (Appendix C.3, Tables IV and V).
        """
        super().__init__()
        self.by_anchor = OWN in levels
        self.levels = sorted(LEVELS.index(name) for name in (LEVELS if self.by_anchor else levels))
        self.roi_size = roi_size
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.upsample = _upsampling(upsampling, channels)
        self.predict = nn.Conv2d(channels, num_classes, 1)

    def forward(
        self, ins_features: list[Tensor], boxes: Tensor, frames: Tensor, anchors: Tensor
    ) -> Tensor:
        """Mask logits of boxes.

        Args:
            ins_features: F_ins, per level (B, D, H, W).
            boxes: (r, 4) float, network-input pixels.
            frames: (r,) long, the image of each box.
            anchors: (r,) long, the flat index of the anchor that proposed each.

        Returns:
            (r, C, S, S) logits over the box's area; S is twice `roi_size`, or `roi_size` without
            upsampling.
        """
        level = self.level_of(ins_features, boxes, anchors)
        features = self.convs(self._pool(ins_features, boxes, frames, level))
        return self.predict(self.upsample(features))

    def level_of(self, ins_features: list[Tensor], boxes: Tensor, anchors: Tensor) -> Tensor:
        """(r,) long, the level that each box is pooled from, 0 for P3; arguments as `forward`'s."""
        if self.by_anchor:
            return anchor_levels(anchors, ins_features)[0]
        sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0).prod(dim=1).sqrt()
        level = (4 + torch.log2(sides / 224)).floor() - 3  # FPN's k, counted from P3
        level = level.clamp(self.levels[0], self.levels[-1])
        # With a gap in the chosen levels (P3 and P5), the finer neighbour takes its boxes.
        choices = torch.tensor(self.levels, device=boxes.device)
        return choices[torch.searchsorted(choices, level.long(), right=True) - 1]

    def _pool(
        self, ins_features: list[Tensor], boxes: Tensor, frames: Tensor, level: Tensor
    ) -> Tensor:
        rois = torch.cat([frames[:, None].float(), boxes.float()], dim=1)
        channels = ins_features[0].shape[1]
        pooled = rois.new_zeros(len(boxes), channels, self.roi_size, self.roi_size)
        for index in self.levels:
            chosen = level == index
            pooled[chosen] = roi_align(
                ins_features[index].float(),
                rois[chosen],
                self.roi_size,
                spatial_scale=1 / STRIDES[index],
                sampling_ratio=2,
                aligned=True,
            )
        return pooled


def _upsampling(kind: str, channels: int) -> nn.Module:
    if kind == "bilinear":
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    if kind == "deconvolution":
        # As Mask R-CNN's: a transposed convolution and its activation.
        return nn.Sequential(nn.ConvTranspose2d(channels, channels, 2, 2), nn.ReLU(inplace=True))
    return nn.Identity()
