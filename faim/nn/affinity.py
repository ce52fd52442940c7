"""Training-free aggregation: any YOLOX checkpoint gains from video at once."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from faim.structures import BankEntry, Proposals, TensorRecord

#: What a frame itself gives less than 0.1 stays below the 0.3 from which detections are shown.
MOST_LIFT = 2.9


@dataclass(frozen=True)
class AffinityEntry(BankEntry):
    """What proposals offer as references.

    Attributes:
        unit_features: (n, D) float, normalised classification features.
        class_scores: (n, C) float in [0, 1].
        weight: (n,) float, how much the reference counts; 0 on padding.
    """

    unit_features: Tensor
    class_scores: Tensor
    weight: Tensor

    def check_stack(self) -> None:
        """See `BankEntry`."""
        shape = tuple(self.weight.shape)
        others = (self.unit_features, self.class_scores)
        if len(shape) != 2 or any(t.ndim != 3 or t.shape[:2] != shape for t in others):
            raise ValueError("the tensors of the bank do not match")
        if any(not tensor.is_floating_point() for tensor in (self.weight, *others)):
            raise ValueError("the tensors of the bank are of another type")

    def fits(self, seen: TensorRecord) -> bool:
        """See `BankEntry`."""
        if not isinstance(seen, Proposals):
            return False
        features, scores = seen.cls_features, seen.class_scores
        return (
            self.unit_features.shape[-1:] == features.shape[-1:]
            and self.class_scores.shape[-1:] == scores.shape[-1:]
        )


class Affinity:
    """Averages class scores over proposals of other frames that look alike.

    Alike is told by the cosine of the base detector's own classification features. A reference
    counts by the square of its score (objectness times best class score), and the average is the
    root mean square, so that frames that are sure outweigh the many that are not. The three choices
    were made on DAVIS 2016's training sequences (docs/results.md). Looks alone make no object: see
    `supported`.
    """

    name, padded = "affinity", False

    def __init__(self, threshold: float = 0.7) -> None:
        """`threshold` is a cosine in [-1, 1]."""
        self.threshold = threshold

    def refine(self, proposals: Proposals) -> Tensor:
        """All frames at once: leading dimensions (m, n) to (m, n, C) in [0, 1]."""
        entry = self._entry(proposals.map(lambda tensor: tensor.flatten(0, 1)))
        return self._average(entry, entry).unflatten(0, proposals.valid.shape)

    def step(self, key: Proposals, bank: TensorRecord | None) -> tuple[Tensor, TensorRecord]:
        """One key frame (n,) against stacked entries (m, n) of past frames and itself."""
        own = self._entry(key)
        references = own
        if isinstance(bank, AffinityEntry):
            past = bank.map(lambda tensor: tensor.flatten(0, 1))
            references = AffinityEntry.concatenate([past, own])
        return self._average(own, references), own

    @staticmethod
    def _entry(proposals: Proposals) -> AffinityEntry:
        score = proposals.objectness * proposals.class_scores.amax(dim=-1)
        return AffinityEntry(
            F.normalize(proposals.cls_features, dim=-1),
            proposals.class_scores,
            score.square() * proposals.valid,
        )

    def _average(self, own: AffinityEntry, references: AffinityEntry) -> Tensor:
        cosine = own.unit_features @ references.unit_features.T
        weights = (cosine > self.threshold) * references.weight
        mean_square = weights @ references.class_scores.square()
        mean_square = mean_square / weights.sum(-1, keepdim=True).clamp(min=1e-12)
        return supported(mean_square.sqrt(), own.class_scores)


def supported(scores: Tensor, own: Tensor) -> Tensor:
    """What other frames say of a proposal, as far as its own frame supports it.

    A class is lifted to at most `MOST_LIFT` times the frame's own score, so that frames in which an
    object is not do not show it.

    Args:
        scores: (..., C) in [0, 1].
        own: (..., C) in [0, 1], the base detector's.
    """
    return scores.minimum(MOST_LIFT * own)
