"""How proposals of several frames become the class probabilities of one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from faim.families.yolox.join import Join
from faim.nn.ticam import TICAM, TicamEntry
from faim.structures import Proposals, TensorRecord


class Aggregator(Protocol):
    """What a detector of proposals needs of an aggregation.

    An aggregator holds no state of a video: a stream's memory is the caller's, made of the entries
    that `step` returns.

    Attributes:
        name: as users know it: "ticam", "affinity" or "none".
        padded: whether `step` wants a bank of one size from the first frame on, with entries in it
            that are not valid. A graph prepares itself for every shape that it meets.
    """

    name: str
    padded: bool

    def refine(self, proposals: Proposals) -> Tensor:
        """All frames at once: leading dimensions (m, n) to (m, n, C) in [0, 1]."""
        ...

    def step(self, key: Proposals, bank: TensorRecord | None) -> tuple[Tensor, TensorRecord]:
        """One key frame against stacked entries of past frames, None at the start.

        Returns (n, C) in [0, 1] and the key frame's own entry for the bank.
        """
        ...


class TicamAggregator:
    """TICAM's decision, joined with the base detector's; the latter's where it has none."""

    name, padded = "ticam", False

    def __init__(self, ticam: TICAM, join: Join | None = None) -> None:
        """`ticam` is used as it is; it should be in eval mode."""
        self.ticam = ticam
        self.join = join or Join()

    def refine(self, proposals: Proposals) -> Tensor:
        """See `Aggregator.refine`."""
        return self._probabilities(self.ticam(proposals), proposals)

    def step(self, key: Proposals, bank: TensorRecord | None) -> tuple[Tensor, TensorRecord]:
        """See `Aggregator.step`."""
        assert bank is None or isinstance(bank, TicamEntry)
        logits, entry = self.ticam.step(key, bank)
        return self._probabilities(logits, key), entry

    def _probabilities(self, logits: Tensor, of: Proposals) -> Tensor:
        return self.join.probabilities(logits, of.class_scores, self.ticam.refined)


class NoAggregation:
    """The base detector's own class scores: frame mode."""

    name, padded = "none", False

    def refine(self, proposals: Proposals) -> Tensor:
        """See `Aggregator.refine`."""
        return proposals.class_scores

    def step(self, key: Proposals, bank: TensorRecord | None) -> tuple[Tensor, TensorRecord]:
        """See `Aggregator.step`."""
        return key.class_scores, TensorRecord()
