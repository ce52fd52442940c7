"""FAIM assembled (Fig. 4), and the base detector alone in the same shape."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from faim.families.yolox.base import DetectorOutput
from faim.families.yolox.config import FaimConfig, TrainablePart
from faim.families.yolox.ifem import IFEM
from faim.families.yolox.mask_learning import Decisions, MaskLearning, learn_masks, mask_head_of
from faim.families.yolox.patches import cut_patches
from faim.families.yolox.ticam_detector import TicamDetector, VideoModel
from faim.families.yolox.yolov import YOLOV, YolovIfem
from faim.nn.affinity import Affinity
from faim.nn.pyramid import gather_features
from faim.structures import Picks


class YoloxVideo(VideoModel):
    """A plain YOLOX checkpoint; aggregation without training, by its own features."""

    def __init__(self, config: FaimConfig) -> None:
        """Build with random weights."""
        super().__init__(config)
        self.aggregator = Affinity(config.affinity_threshold)

    def features_at(self, output: DetectorOutput, picks: Picks) -> tuple[Tensor, Tensor]:
        """F_cls is the end of YOLOX's classification branch; there is no F_ins."""
        features = gather_features(output.cls_features, picks.index)
        return features, features[..., :0]


class FAIM(TicamDetector):
    """The whole method: base detector, FSPM, video object branch, IFEM, TICAM, mask head."""

    def add_parts(self, config: FaimConfig) -> None:
        """IFEM, TICAM and the mask head."""
        self.ifem = IFEM(config.feature_dim, config.scales[2])
        super().add_parts(config)
        self.mask_head = mask_head_of(config)

    @property
    def parts(self) -> dict[TrainablePart, nn.Module]:
        """The parts that training can be restricted to."""
        return {**super().parts, "ifem": self.ifem, "mask_head": self.mask_head}

    @property
    def patch_modules(self) -> dict[str, nn.Module]:
        """The modules that `patch_features` uses."""
        return {**super().patch_modules, "ifem": self.ifem}

    def features_at(self, output: DetectorOutput, picks: Picks) -> tuple[Tensor, Tensor]:
        """F_cls and F_ins, both from patches of the stem features."""
        cls_features, ins_features = self.sparse_features(output, picks)
        return cls_features, ins_features

    def dense_features(self, output: DetectorOutput) -> tuple[list[Tensor], list[Tensor]]:
        """Video object features and instance-mask features, per level (B, D, H, W)."""
        video_features = self.video_branch(output.stem_features)
        return video_features, self.ifem(video_features)

    def patch_features(
        self, stem_features: Sequence[Tensor], cells: Sequence[Tensor], order: Tensor
    ) -> tuple[Tensor, Tensor]:
        """F_cls and F_ins (N, D); see `TicamDetector.patch_features`."""
        parts = [
            self.video_branch.on_patches(level, *cut_patches(stem, around))
            for level, (stem, around) in enumerate(zip(stem_features, cells, strict=True))
        ]
        patches = torch.cat(parts).index_select(0, order)
        return patches[:, 4], self.ifem.on_patches(patches)

    def learn_masks(
        self, dense: tuple[list[Tensor], list[Tensor]], made: Decisions
    ) -> MaskLearning:
        """L_mask, learnt from the F_ins that TICAM attends to; 0 where lambda is."""
        if not self.config.mask_weight:
            return super().learn_masks(dense, made)
        return learn_masks(self.mask_head, dense[1], made, self.config)


def build_model(config: FaimConfig) -> TicamDetector | YoloxVideo:
    """The model of `config.architecture`, with random weights."""
    kinds: dict[str, type[TicamDetector] | type[YoloxVideo]] = {
        "yolox": YoloxVideo,
        "faim": FAIM,
        "yolov": YOLOV,
        "yolov_ifem": YolovIfem,
    }
    return kinds[config.architecture](config)
