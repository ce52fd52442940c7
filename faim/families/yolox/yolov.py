"""YOLOV (Shi et al., AAAI 2023), the baseline that FAIM is compared with (FAIM, Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from faim.families.yolox.base import DetectorOutput
from faim.families.yolox.config import FaimConfig, TrainablePart
from faim.families.yolox.ifem import IFEM
from faim.families.yolox.mask_learning import Decisions, MaskLearning, learn_masks, mask_head_of
from faim.families.yolox.patches import centre, cut_patches
from faim.families.yolox.ticam_detector import TicamDetector
from faim.nn.pyramid import gather_features
from faim.structures import Picks

#: How far the two 3x3 convolutions of the video object branch look: a square of so many cells.
SIDE = 5


class YOLOV(TicamDetector):
    """Aggregates by the base detector's own regression features in the place of F_ins.

    All else is FAIM's: the same video object branch for F_cls, the same FSPM, TICAM (which is
    YOLOV's aggregation with another second feature) and losses. There are no masks.
    """

    reads: ClassVar[tuple[str, ...]] = ("stem_features", "reg_features")

    def features_at(self, output: DetectorOutput, picks: Picks) -> tuple[Tensor, Tensor]:
        """F_cls from patches of the stem features, and the regression features of the same pass."""
        (cls_features,) = self.sparse_features(output, picks)
        return cls_features, gather_features(output.reg_features, picks.index)

    def dense_features(self, output: DetectorOutput) -> tuple[list[Tensor], list[Tensor]]:
        """Video object features and the detector's regression features, per level (B, D, H, W)."""
        return self.video_branch(output.stem_features), output.reg_features

    def patch_features(
        self, stem_features: Sequence[Tensor], cells: Sequence[Tensor], order: Tensor
    ) -> tuple[Tensor]:
        """F_cls (N, D); see `TicamDetector.patch_features`."""
        parts = [
            self.video_branch.on_patches(level, *cut_patches(stem, _nearest(around)))[:, 0]
            for level, (stem, around) in enumerate(zip(stem_features, cells, strict=True))
        ]
        return (torch.cat(parts).index_select(0, order),)


def _nearest(cells: Tensor) -> Tensor:
    """The middle 5x5 of 7x7 cells (k, 49); only FAIM's IFEM reads a proposal's neighbours too."""
    return centre(cells[..., None], SIDE)[..., 0]


class YolovIfem(YOLOV):
    """YOLOV that learns instance masks too, without aggregating their features (FAIM, Table 2).

    The mask loss reaches the video object branch through IFEM and so shapes F_cls. At inference
    the model is YOLOV.
    """

    def add_parts(self, config: FaimConfig) -> None:
        """TICAM, and IFEM and the mask head for training."""
        super().add_parts(config)
        self.ifem = IFEM(config.feature_dim, config.scales[2])
        self.mask_head = mask_head_of(config)

    @property
    def parts(self) -> dict[TrainablePart, nn.Module]:
        """The parts that training can be restricted to."""
        return {**super().parts, "ifem": self.ifem, "mask_head": self.mask_head}

    def learn_masks(
        self, dense: tuple[list[Tensor], list[Tensor]], made: Decisions
    ) -> MaskLearning:
        """L_mask, learnt from IFEM's features of the video object features."""
        if not self.config.mask_weight:
            return super().learn_masks(dense, made)
        features = self.ifem(dense[0])
        return learn_masks(self.mask_head, features, made, self.config)
