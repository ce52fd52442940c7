"""FAIM assembled (Fig. 4), and the base detector alone in the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from faim.config import YOLOX_SCALES, FaimConfig, TrainablePart
from faim.models.affinity import Affinity
from faim.models.aggregation import Aggregator, TicamAggregator
from faim.models.base_detector import (
    BaseDetector,
    DetectorOutput,
    gather_features,
    use_yolox_batch_norm,
)
from faim.models.fspm import FSPM
from faim.models.ifem import IFEM
from faim.models.losses import (
    Matches,
    crop_masks,
    mask_loss,
    match_proposals,
    refined_classification_loss,
)
from faim.models.mask_head import MaskHead
from faim.models.patches import cut_patches, locate
from faim.models.ticam import TICAM
from faim.models.video_branch import VideoObjectBranch
from faim.structures import FrameTargets, Picks, Proposals, VideoSample


class VideoDetector(Protocol):
    """What the runtime and the evaluation need of a model."""

    config: FaimConfig
    aggregator: Aggregator

    def propose(self, images: Tensor) -> Proposals:
        """Proposals of each frame alone.

        Args:
            images: (B, 3, H, W) uint8 or float, BGR in [0, 255]; H and W multiples of 32.

        Returns:
            Proposals with leading dimensions (B, n).
        """
        ...


class YoloxVideo(nn.Module):
    """A plain YOLOX checkpoint; aggregation without training, by its own features."""

    def __init__(self, config: FaimConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        self.detector = BaseDetector(config.variant, config.num_classes)
        self.fspm = _fspm(config)
        self.aggregator: Aggregator = Affinity(config.affinity_threshold)

    def propose(self, images: Tensor) -> Proposals:
        """See `VideoDetector.propose`; F_cls is the end of YOLOX's classification branch."""
        output = self.detector(images)
        picks = self.fspm(output.raw)
        features = gather_features(output.cls_features, picks.index)
        return _proposals(picks, features, features[..., :0])


class FAIM(nn.Module):
    """The whole method: base detector, FSPM, video object branch, IFEM, TICAM, mask head."""

    def __init__(self, config: FaimConfig) -> None:
        """Build with random weights; the parts not in `config.train_parts` are frozen."""
        super().__init__()
        self.config = config
        channels, classes = config.feature_dim, config.num_classes
        depthwise = YOLOX_SCALES[config.variant][2]
        self.detector = BaseDetector(config.variant, classes)
        self.fspm = _fspm(config)
        self.video_branch = VideoObjectBranch(channels, depthwise)
        self.ifem = IFEM(channels, depthwise)
        self.ticam = TICAM(
            channels,
            classes,
            config.num_heads,
            config.attention_scale,
            config.similarity_threshold,
            config.guide_ins,
        )
        self.mask_head = MaskHead(channels, classes, config.mask_levels, config.mask_roi_size)
        self.aggregator: Aggregator = TicamAggregator(self.ticam)
        use_yolox_batch_norm(self)
        self.set_trainable(config.train_parts)

    @property
    def parts(self) -> dict[TrainablePart, nn.Module]:
        """The parts that training can be restricted to."""
        return {
            "base": self.detector,
            "video_branch": self.video_branch,
            "ifem": self.ifem,
            "ticam": self.ticam,
            "mask_head": self.mask_head,
        }

    def set_trainable(self, parts: tuple[TrainablePart, ...]) -> None:
        """Freeze all parts but these; a frozen part's batch norms keep their statistics."""
        self._trainable = set(parts)
        for name, part in self.parts.items():
            part.requires_grad_(name in self._trainable)
        self.train(self.training)

    def train(self, mode: bool = True) -> FAIM:
        """As `nn.Module.train`, but frozen parts stay in eval mode."""
        super().train(mode)
        for name, part in self.parts.items():
            part.train(mode and name in self._trainable)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """Refined class logits (m, n, C) of all frames of one video (m, 3, H, W)."""
        return self.ticam(self.propose(frames))

    def propose(self, images: Tensor) -> Proposals:
        """See `VideoDetector.propose`."""
        output = self.detector(images)
        picks = self.fspm(output.raw)
        stems = [stem.permute(0, 2, 3, 1) for stem in output.stem_features]
        cells, order = locate(picks.index, [(stem.shape[1], stem.shape[2]) for stem in stems])
        cls_features, ins_features = self.describe_at(stems, cells, order)
        shape = picks.index.shape
        return _proposals(picks, cls_features.unflatten(0, shape), ins_features.unflatten(0, shape))

    def describe_at(
        self, stem_features: Sequence[Tensor], cells: Sequence[Tensor], order: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`describe` at proposals only, with the same numbers (eval mode).

        Args:
            stem_features: per level (B, H, W, D).
            cells: per level (k, 49) long, the cells around proposals, see `locate`.
            order: (N,) long, which of these rows, levels joined, each of the N proposals has.

        Returns:
            F_cls (N, D) and F_ins (N, D).
        """
        parts = [
            self.video_branch.on_patches(level, *cut_patches(stem, around))
            for level, (stem, around) in enumerate(zip(stem_features, cells, strict=True))
        ]
        patches = torch.cat(parts).index_select(0, order)
        return patches[:, 4], self.ifem.on_patches(patches)

    def describe(self, output: DetectorOutput) -> tuple[list[Tensor], list[Tensor]]:
        """Video object features and instance-mask features, per level (B, D, H, W)."""
        video_features = self.video_branch(output.stem_features)
        return video_features, self.ifem(video_features)

    def training_losses(self, sample: VideoSample) -> dict[str, Tensor]:
        """The second stage's losses on one video of m frames.

        L = L_det + L_refined + lambda * L_mask (Eq. III and the refined classification that the
        TICAM learns from). L_det is computed without gradient while the base is frozen.

        Returns:
            Scalars `total`, `detection`, `refined`, `mask` (the last without lambda), and
            `matched`, the number of proposals that belong to a ground truth.
        """
        with torch.set_grad_enabled("base" in self._trainable and torch.is_grad_enabled()):
            output = self.detector(sample.images)
            losses, assignments = self.detector.detection_losses(output, sample.targets)
        picks = self.fspm(output.raw)
        video_features, ins_features = self.describe(output)
        logits = self.ticam(
            _proposals(
                picks,
                gather_features(video_features, picks.index),
                gather_features(ins_features, picks.index),
            )
        )
        matches = match_proposals(picks, sample.targets, assignments, self.config.match_iou)
        refined = refined_classification_loss(logits, matches)
        mask = logits.sum() * 0
        if self.config.mask_weight:
            mask = self._mask_loss(picks, ins_features, logits, matches, sample.targets)
        return {
            "total": losses["total"] + refined + self.config.mask_weight * mask,
            "detection": losses["total"],
            "refined": refined,
            "mask": mask,
            "matched": (matches.target >= 0).sum(),
        }

    def _mask_loss(
        self,
        picks: Picks,
        ins_features: list[Tensor],
        logits: Tensor,
        matches: Matches,
        targets: list[FrameTargets],
    ) -> Tensor:
        """L_mask of matched proposals against the pseudo masks cropped to their boxes."""
        has_masks = torch.tensor([t.masks is not None for t in targets], device=logits.device)
        # SimOTA may assign a proposal that is far off its ground truth, whose mask it cannot show.
        shows = (matches.target >= 0) & (matches.iou >= self.config.match_iou)
        frames, slots = (shows & has_masks[:, None]).nonzero(as_tuple=True)
        best = matches.iou[frames, slots].topk(min(self.config.max_mask_rois, len(frames))).indices
        frames, slots = frames[best], slots[best]
        chosen = matches.target[frames, slots]
        predicted = self.mask_head(ins_features, picks.boxes[frames, slots], frames)
        # Eq. 5: of each proposal's C masks, the one of the class that TICAM predicts.
        classes = logits[frames, slots].argmax(dim=-1)
        predicted = predicted[torch.arange(len(frames), device=classes.device), classes]
        if not len(frames):
            return mask_loss(predicted, predicted.detach(), self.config.mask_loss)
        pairs = list(zip(frames.tolist(), chosen.tolist(), strict=True))
        masks = torch.stack([_masks(targets[frame])[index] for frame, index in pairs])
        boxes = torch.stack([targets[frame].boxes[index] for frame, index in pairs])
        truth = crop_masks(masks, boxes, predicted.shape[-1])
        return mask_loss(predicted, truth, self.config.mask_loss)


def _masks(target: FrameTargets) -> Tensor:
    assert target.masks is not None
    return target.masks


def _fspm(config: FaimConfig) -> FSPM:
    return FSPM(config.top_k, config.num_proposals, config.nms_train, config.nms_test)


def _proposals(picks: Picks, cls_features: Tensor, ins_features: Tensor) -> Proposals:
    return Proposals(
        boxes=picks.boxes,
        objectness=picks.objectness,
        class_scores=picks.class_scores,
        cls_features=cls_features,
        ins_features=ins_features,
        valid=picks.valid,
    )


def build_model(config: FaimConfig) -> FAIM | YoloxVideo:
    """The model of `config.architecture`, with random weights."""
    return FAIM(config) if config.architecture == "faim" else YoloxVideo(config)
