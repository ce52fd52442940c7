"""The mask prediction branch, in training only (FAIM, Sec. 3.2 "Learning Instance Masks")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from faim.models.base_detector import LEVELS, STRIDES


class MaskHead(nn.Module):
    """RoIAlign on F_ins, then a fully convolutional head: one mask a class.

    Four 3x3 convolutions, bilinear upsampling by 2 (Appendix C.3) and a 1x1 convolution. With
    several levels a box is pooled from the one that fits its size (Lin et al., FPN, Eq. 1).
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        levels: tuple[str, ...] = ("P5",),
        roi_size: int = 32,
    ) -> None:
        """`num_classes` masks a proposal; `levels` are names among P3, P4, P5."""
        super().__init__()
        self.levels = sorted(LEVELS.index(name) for name in levels)
        self.roi_size = roi_size
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.predict = nn.Conv2d(channels, num_classes, 1)

    def forward(self, ins_features: list[Tensor], boxes: Tensor, frames: Tensor) -> Tensor:
        """Mask logits of boxes.

        Args:
            ins_features: F_ins, per level (B, D, H, W).
            boxes: (r, 4) float, network-input pixels.
            frames: (r,) long, the image of each box.

        Returns:
            (r, C, 2 * roi_size, 2 * roi_size) logits over the box's area.
        """
        features = self.convs(self._pool(ins_features, boxes, frames))
        features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        return self.predict(features)

    def _pool(self, ins_features: list[Tensor], boxes: Tensor, frames: Tensor) -> Tensor:
        sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1.0).prod(dim=1).sqrt()
        level = (4 + torch.log2(sides / 224)).floor() - 3  # FPN's k, counted from P3
        level = level.clamp(self.levels[0], self.levels[-1])
        # With a gap in the chosen levels (P3 and P5), the finer neighbour takes its boxes.
        choices = torch.tensor(self.levels, device=boxes.device)
        level = choices[torch.searchsorted(choices, level.long(), right=True) - 1]
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
