"""Detectors whose boxes are fixed before frames are joined: aggregation decides their classes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from faim.detector import BoxFeatures, Kept, Timing, Traits, Tuning, VideoDetector, untimed
from faim.families.yolox.aggregation import Aggregator, NoAggregation
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.fspm import FSPM
from faim.nn.nms import scored_boxes
from faim.structures import Proposals, ScoredBoxes, TensorRecord


class ProposalDetector(VideoDetector):
    """`look` gives `Proposals`, and an aggregator the class probabilities of these.

    Attributes:
        config: of the model.
        aggregator: how proposals of several frames become the classes of one.
        timing: see `VideoDetector.timed`.
    """

    config: FaimConfig
    aggregator: Aggregator
    timing: Timing = staticmethod(untimed)

    @abstractmethod
    def propose(self, images: Tensor) -> Proposals:
        """Proposals of each frame alone, leading dimensions (B, n); see `VideoDetector.look`."""

    @property
    def traits(self) -> Traits:
        """See `VideoDetector`."""
        return traits_of(self.config, self.aggregator)

    def look(self, images: Tensor) -> TensorRecord:
        """See `VideoDetector`."""
        return self.propose(images)

    def decide(self, seen: TensorRecord, kept: Kept | None = None) -> list[ScoredBoxes]:
        """See `VideoDetector`."""
        assert isinstance(seen, Proposals)
        with self.timing("aggregate"):
            refined = self.aggregator.refine(seen)
        return [self._scored(seen[i], refined[i], kept) for i in range(len(refined))]

    def step(
        self, key: TensorRecord, bank: TensorRecord | None, kept: Kept | None = None
    ) -> tuple[ScoredBoxes, TensorRecord]:
        """See `VideoDetector`."""
        assert isinstance(key, Proposals)
        with self.timing("aggregate"):
            probabilities, entry = self.aggregator.step(key, bank)
        return self._scored(key, probabilities, kept), entry

    def _scored(
        self, proposals: Proposals, probabilities: Tensor, kept: Kept | None
    ) -> ScoredBoxes:
        kept = kept or Kept(self.config.score_threshold, self.config.nms_final)
        return scored_boxes(
            proposals,
            probabilities,
            score_threshold=kept.least_score,
            nms_threshold=kept.iou,
        )

    def features(self, seen: TensorRecord) -> BoxFeatures | None:
        """See `VideoDetector`: F_cls, where no network of its own joins frames."""
        assert isinstance(seen, Proposals)
        return BoxFeatures(seen.boxes, seen.valid, seen.cls_features, seen.cls_features[..., :0])

    def alone(self) -> VideoDetector:
        """See `VideoDetector`."""
        return self.joined_by(NoAggregation())

    def linked(self) -> VideoDetector:
        """Affinity gives way to links, before which it neither helps nor harms but takes time."""
        return self.alone() if self.aggregator.name == "affinity" else self

    def joined_by(self, aggregator: Aggregator) -> JoinedBy:
        """The same detector with another aggregation of its proposals."""
        return JoinedBy(self, aggregator)


class JoinedBy(ProposalDetector):
    """A detector's proposals with another aggregation; the networks are those of the detector."""

    def __init__(self, inner: ProposalDetector, aggregator: Aggregator) -> None:
        """`inner` proposes."""
        self.inner, self.aggregator, self.timing = inner, aggregator, inner.timing

    @property
    def config(self) -> FaimConfig:  # type: ignore[override]
        """Of the model."""
        return self.inner.config

    @property
    def traits(self) -> Traits:
        """See `VideoDetector`; what runs the networks is the inner detector's."""
        own = traits_of(self.config, self.aggregator)
        return replace(own, runs_on=self.inner.traits.runs_on)

    @property
    def device(self) -> torch.device:
        """See `VideoDetector`."""
        return self.inner.device

    def propose(self, images: Tensor) -> Proposals:
        """See `ProposalDetector`."""
        return self.inner.propose(images)

    def tune(self, tuning: Tuning) -> None:
        """See `VideoDetector`."""
        self.inner.tune(tuning)

    def timed(self, timing: Timing) -> VideoDetector:
        """See `VideoDetector`."""
        inner = self.inner.timed(timing)
        assert isinstance(inner, ProposalDetector)
        return JoinedBy(inner, self.aggregator)

    def fingerprint(self) -> str:
        """See `VideoDetector`."""
        return self.inner.fingerprint()


def tuned(config: FaimConfig, fspm: FSPM, tuning: Tuning) -> FaimConfig:
    """The config after a tuning, which `fspm` gets too."""
    if tuning.size is not None:
        config = replace(config, test_size=tuning.size)
    if tuning.proposals is not None:
        config = replace(config, num_proposals=tuning.proposals)
    if tuning.proposal_nms is not None:
        config = replace(config, nms_test=tuning.proposal_nms)
    if tuning.least_nms is not None:
        config = replace(config, nms_test=max(config.nms_test, tuning.least_nms))
    fspm.num_proposals, fspm.nms_test = config.num_proposals, config.nms_test
    return config


def traits_of(config: FaimConfig, aggregator: Aggregator) -> Traits:
    """The traits of a model of this config whose frames are joined so."""
    joins = aggregator.name
    return Traits(
        family="yolox",
        title=config.title,
        class_names=config.class_names,
        size=config.test_size,
        frames=config.test_frames,
        least_score=config.score_threshold,
        iou=config.nms_final,
        joins=joins,
        links=joins in ("affinity", "ticam"),
        more_than_base=joins not in ("affinity", "none"),
        fixed_bank=aggregator.padded,
        details={
            "proposals": config.num_proposals,
            "proposal_nms": config.nms_test,
            "variant": config.variant,
        },
    )
