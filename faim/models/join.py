"""How TICAM's decision and the base detector's class scores become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from faim.config import FaimConfig, JoinKind


@dataclass(frozen=True)
class Join:
    """The rule, for the classes that TICAM decides; the others keep the base detector's scores.

    The paper's is "replace": TICAM decides alone. It is trained on proposals of labelled objects,
    so it is sound where all objects of its classes have a label. Where many have none, nothing ever
    tells it what is none of them, and the base detector's scores have to keep a say.

    Attributes:
        kind: "replace"; "correction", TICAM's logits added to those of the base detector's scores;
            or "mean", the geometric mean of both probabilities.
        base_share: exponent of the base detector's score in the mean, in [0, 1]; the other's is
            what is left to 1.
    """

    kind: JoinKind = "replace"
    base_share: float = 0.5

    @classmethod
    def of(cls, config: FaimConfig) -> Self:
        """The rule of a model."""
        return cls(config.join, config.base_share)

    def logits(self, refined: Tensor, class_scores: Tensor) -> Tensor:
        """The logits that training judges.

        Args:
            refined: (…, C), TICAM's logits.
            class_scores: (…, C) in [0, 1], the base detector's of the same proposals.

        Returns:
            (…, C); a mean is of two decisions, of which TICAM's alone learns.
        """
        if self.kind != "correction":
            return refined
        return refined + torch.logit(class_scores.float(), eps=1e-4)

    def probabilities(
        self, refined: Tensor, class_scores: Tensor, decided: Tensor | None
    ) -> Tensor:
        """The class probabilities.

        Args:
            refined: (…, C), TICAM's logits.
            class_scores: (…, C) in [0, 1], the base detector's of the same proposals.
            decided: (C,) bool, the classes that TICAM decides; None for all.

        Returns:
            (…, C) in [0, 1].
        """
        joined = self.logits(refined, class_scores).sigmoid()
        if self.kind == "mean":
            joined = joined ** (1 - self.base_share) * class_scores.float() ** self.base_share
        return joined if decided is None else torch.where(decided, joined, class_scores)
