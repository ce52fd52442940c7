"""What FAIM and YOLOV share: base detector, FSPM, video object branch, TICAM and losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from faim.backends.info import checksum_of
from faim.detector import BoxFeatures, Timing, Tuning, VideoDetector
from faim.families.yolox.aggregation import TicamAggregator
from faim.families.yolox.base import BaseDetector, DetectorOutput, use_yolox_batch_norm
from faim.families.yolox.branch import VideoObjectBranch
from faim.families.yolox.config import FaimConfig, TrainablePart
from faim.families.yolox.fspm import FSPM
from faim.families.yolox.join import Join
from faim.families.yolox.mask_learning import Decisions, MaskLearning
from faim.families.yolox.patches import BUCKET, locate
from faim.families.yolox.proposal_detector import ProposalDetector, tuned
from faim.nn.losses import (
    Matches,
    identity_loss,
    instance_ids,
    match_proposals,
    refined_classification_loss,
    retention_loss,
)
from faim.nn.pyramid import gather_features
from faim.nn.ticam import TICAM
from faim.structures import Picks, Proposals, TensorRecord, VideoSample


class VideoModel(nn.Module, ProposalDetector, ABC):
    """A base detector with FSPM; a subclass says what the proposals' features are."""

    def __init__(self, config: FaimConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        self.detector = BaseDetector(config.scales, config.num_classes)
        self.fspm = FSPM(config.top_k, config.num_proposals, config.nms_train, config.nms_test)

    def propose(self, images: Tensor) -> Proposals:
        """See `ProposalDetector`."""
        with self.timing("frame"):
            output = self.detector(images)
        picks = self.fspm(output.raw)
        first, second = self.features_at(output, picks)
        return make_proposals(picks, first.float(), second.float())

    @property
    def device(self) -> torch.device:
        """See `VideoDetector`."""
        return next(self.parameters()).device

    def tune(self, tuning: Tuning) -> None:
        """See `VideoDetector`."""
        self.config = tuned(self.config, self.fspm, tuning)

    def fingerprint(self) -> str:
        """See `VideoDetector`."""
        return checksum_of(self)

    def timed(self, timing: Timing) -> VideoDetector:
        """See `VideoDetector`."""
        other = copy(self)
        other.timing = timing
        return other

    def compile_networks(self) -> None:
        """Let `torch.compile` make them quicker; what selects boxes stays as it is."""
        self.detector.compile()

    def set_precision(self, dtype: torch.dtype) -> None:
        """Compute in this type; TICAM and the decoding of boxes and scores stay in float32."""
        self.to(dtype)

    @abstractmethod
    def features_at(self, output: DetectorOutput, picks: Picks) -> tuple[Tensor, Tensor]:
        """The features of the proposals that TICAM or affinity reads, (B, n, D) each."""


class TicamDetector(VideoModel):
    """What FAIM and YOLOV share; they differ in the second features that TICAM attends to.

    Attributes:
        reads: which features of a `DetectorOutput` `dense_features` needs.
    """

    ticam: TICAM
    reads: ClassVar[tuple[str, ...]] = ("stem_features",)

    def __init__(self, config: FaimConfig) -> None:
        """Build with random weights; the parts not in `config.train_parts` are frozen."""
        super().__init__(config)
        self.video_branch = VideoObjectBranch(config.feature_dim, config.scales[2])
        self.add_parts(config)
        self.join = Join.of(config)
        self.aggregator = TicamAggregator(self.ticam, self.join)
        use_yolox_batch_norm(self)
        self.set_trainable(config.train_parts)

    def add_parts(self, config: FaimConfig) -> None:
        """Build what comes behind the video object branch: TICAM, and a subclass's own parts."""
        self.ticam = TICAM(
            config.feature_dim,
            config.num_classes,
            num_heads=config.num_heads,
            scale=config.attention_scale,
            similarity_threshold=config.similarity_threshold,
            guide_ins=config.guide_ins,
            guide_cls=config.guide_cls,
            affinity_average=config.affinity_average,
            refined=config.refined,
            starts_at_zero=config.join == "correction",
        )

    @property
    def parts(self) -> dict[TrainablePart, nn.Module]:
        """The parts that training can be restricted to."""
        return {"base": self.detector, "video_branch": self.video_branch, "ticam": self.ticam}

    @property
    def patch_modules(self) -> dict[str, nn.Module]:
        """The modules that `patch_features` uses."""
        return {"video_branch": self.video_branch}

    def compile_networks(self) -> None:
        """See `VideoModel`."""
        super().compile_networks()
        self.patch_features = torch.compile(self.patch_features)  # type: ignore[method-assign]
        self.ticam.step = torch.compile(self.ticam.step)  # type: ignore[method-assign]
        self.ticam.compile()

    def set_precision(self, dtype: torch.dtype) -> None:
        """See `VideoModel`."""
        super().set_precision(dtype)
        self.ticam.float()  # small, and its cosines are scaled by 25

    def features(self, seen: TensorRecord) -> BoxFeatures:
        """See `VideoDetector`: F_cls, and what TICAM's classifier reads."""
        assert isinstance(seen, Proposals)
        after = self.ticam.decided_by(seen)
        return BoxFeatures(seen.boxes, seen.valid, seen.cls_features, after)

    def set_trainable(self, parts: tuple[TrainablePart, ...]) -> None:
        """Freeze all parts but these; a frozen part's batch norms keep their statistics."""
        self._trainable = set(parts)
        for name, part in self.parts.items():
            part.requires_grad_(name in self._trainable)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, but frozen parts stay in eval mode."""
        super().train(mode)
        for name, part in self.parts.items():
            part.train(mode and name in self._trainable)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """Refined class logits (m, n, C) of all frames of one video (m, 3, H, W)."""
        return self._decide(self.propose(frames))

    def _decide(self, proposals: Proposals) -> Tensor:
        return self.join.logits(self.ticam(proposals), proposals.class_scores)

    @abstractmethod
    def dense_features(self, output: DetectorOutput) -> tuple[list[Tensor], list[Tensor]]:
        """The two features that TICAM attends to, per level (B, D, H, W)."""

    @abstractmethod
    def patch_features(
        self, stem_features: Sequence[Tensor], cells: Sequence[Tensor], order: Tensor
    ) -> tuple[Tensor, ...]:
        """What `dense_features` makes of the stem features, at proposals only (eval mode).

        Args:
            stem_features: per level (B, H, W, D).
            cells: per level (k, 49) long, the cells around proposals, see `locate`.
            order: (N,) long, which of these rows, levels joined, each of the N proposals has.

        Returns:
            F_cls (N, D) and what else comes from the stem features, (N, D) each; the same numbers
            as those of `dense_features`.
        """

    def sparse_features(self, output: DetectorOutput, picks: Picks) -> list[Tensor]:
        """`patch_features` at the picks of one pass, (B, n, D) each."""
        stems = [stem.permute(0, 2, 3, 1) for stem in output.stem_features]
        sizes = [(stem.shape[1], stem.shape[2]) for stem in stems]
        cells, order = locate(picks.index, sizes, multiple=BUCKET)
        with self.timing("describe"):
            features = self.patch_features([stem.contiguous() for stem in stems], cells, order)
        return [feature.unflatten(0, picks.index.shape) for feature in features]

    def learn_masks(
        self, dense: tuple[list[Tensor], list[Tensor]], made: Decisions
    ) -> MaskLearning:
        """L_mask of a training step; 0 for a model that learns no masks.

        Args:
            dense: of `dense_features`.
            made: what the model decided about the same frames.
        """
        return MaskLearning(made.logits.sum() * 0, made.logits.new_zeros(()))

    def training_losses(self, sample: VideoSample) -> dict[str, Tensor]:
        """The second stage's losses on one video of m frames.

        L = L_det + L_refined + lambda * L_mask (Eq. III and the refined classification that the
        TICAM learns from) + `retention_weight` * L_retention + `identity_weight` * L_identity.
        L_det is computed without gradient while the base is frozen.

        Returns:
            Scalars `total`, `detection`, `refined`, and without their weights `mask`, `retention`
            and `identity` (the last two 0 where they have none); `mask_reach` (see
            `MaskLearning`), `same_object` (see `IdentityLearning`), and `matched`, the number of
            proposals that belong to a ground truth.
        """
        with torch.set_grad_enabled("base" in self._trainable and torch.is_grad_enabled()):
            output = self.detector(sample.images)
            losses, assignments = self.detector.detection_losses(output, sample.targets)
        picks = self.fspm(output.raw)
        dense = self.dense_features(output)
        first, second = (gather_features(levels, picks.index) for levels in dense)
        proposals = make_proposals(picks, first, second)
        logits = self._decide(proposals)
        matches = match_proposals(picks, sample.targets, assignments, self.config.match_iou)
        refined = refined_classification_loss(logits, matches, self.ticam.refined)
        masks = self.learn_masks(dense, Decisions(picks, logits, matches, sample.targets))
        others = self._other_losses(proposals, logits, matches, sample)
        total = losses["total"] + refined + self.config.mask_weight * masks.loss
        total = total + self.config.retention_weight * others["retention"]
        return {
            "total": total + self.config.identity_weight * others["identity"],
            "detection": losses["total"],
            "refined": refined,
            "mask": masks.loss,
            "mask_reach": masks.reached,
            "matched": (matches.target >= 0).sum(),
            **others,
        }

    def _other_losses(
        self, proposals: Proposals, logits: Tensor, matches: Matches, sample: VideoSample
    ) -> dict[str, Tensor]:
        """The losses that are not the paper's, and what is logged of them; 0 without a weight."""
        nothing = logits.new_zeros(())
        found = {"retention": nothing, "identity": nothing, "same_object": nothing}
        if self.config.retention_weight:
            found["retention"] = retention_loss(logits, proposals, matches, self.ticam.refined)
        if self.config.identity_weight:
            attention = self.ticam.attention(proposals).ins
            learnt = identity_loss(attention, instance_ids(matches, sample.targets))
            found |= {"identity": learnt.loss, "same_object": learnt.same_object}
        return found


def make_proposals(picks: Picks, cls_features: Tensor, ins_features: Tensor) -> Proposals:
    """Picks with their features, (B, n, D) each."""
    return Proposals(
        boxes=picks.boxes,
        objectness=picks.objectness,
        class_scores=picks.class_scores,
        cls_features=cls_features,
        ins_features=ins_features,
        valid=picks.valid,
    )
