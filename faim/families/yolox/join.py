"""How TICAM's decision and the base detector's class scores become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from faim.families.yolox.config import FaimConfig, JoinKind


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
        up: factor on a correction where it raises a score.
        down: factor on it where it lowers one.
    """

    kind: JoinKind = "replace"
    base_share: float = 0.5
    up: float = 1.0
    down: float = 1.0

    @classmethod
    def of(cls, config: FaimConfig) -> Self:
        """The rule of a model."""
        return cls(config.join, config.base_share, config.correction_up, config.correction_down)

    def describe(self) -> str:
        """One sentence for a training's log: how much of TICAM's counts, and why; "" for all."""
        if self.kind == "mean":
            return (
                f"the base detector has {self.base_share:g} of the mean (model.base_share); "
                "benchmarks/join_halves.py chooses it on halves of the training videos"
            )
        if self.kind == "correction":
            why = ", as partial labels hardly teach what an object is not" if self.down < 1 else ""
            return (
                f"of TICAM's corrections those that raise a score count {self.up:g} times "
                f"(model.correction_up), those that lower one {self.down:g} times "
                f"(model.correction_down){why}; training itself takes all of them"
            )
        return ""

    def logits(self, refined: Tensor, class_scores: Tensor) -> Tensor:
        """The logits that training judges.

        Args:
            refined: (…, C), TICAM's logits.
            class_scores: (…, C) in [0, 1], the base detector's of the same proposals.

        Returns:
            (…, C); a correction learns as it is, whatever counts of it later, and a mean is of two
            decisions, of which TICAM's alone learns.
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
        if self.kind == "correction":
            refined = self.up * refined.clamp(min=0) + self.down * refined.clamp(max=0)
        joined = self.logits(refined, class_scores).sigmoid()
        if self.kind == "mean":
            joined = joined ** (1 - self.base_share) * class_scores.float() ** self.base_share
        return joined if decided is None else torch.where(decided, joined, class_scores)
