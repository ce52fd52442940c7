"""What a stream remembers for causal post-processing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from faim.postprocess.pairs import Array
from faim.structures import ScoredBoxes

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class CausalState:
    """The live tubelets of a stream; a step makes a new one and leaves the old one as it was.

    Attributes:
        boxes: (t, 4) the last box of each as it was detected, in pixels.
        smoothed: (t, 4) the same after smoothing.
        means: (t, C) mean scores.
        weights: (t,) what the boxes in the means count together, 0 or more.
        members: (t,) boxes in each, at most the memory.
        missed: (t,) misses since the last clear box, 0 or more; a weak box is a part of one. Whole
            numbers of any type will do, as older files have them.
        size: height and width of the frames; None before the first.
        ids: (t,) int64, what each is called, from 1 on; -1 for one that was never shown for sure.
        leads: (t,) bool, whether it was shown in the last frame, and no other in its place.
        named: how many have got an id so far.
    """

    boxes: Array
    smoothed: Array
    means: Array
    weights: Array
    members: Array
    missed: Array
    size: tuple[int, int] | None = None
    ids: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    leads: Bools = field(default_factory=lambda: np.zeros(0, bool))
    named: int = 0

    def __post_init__(self) -> None:
        """States of older files have no ids."""
        count = len(self.boxes)
        if len(self.ids) != count and not len(self.ids):
            object.__setattr__(self, "ids", np.full(count, -1, np.int64))
        if len(self.leads) != count and not len(self.leads):
            object.__setattr__(self, "leads", np.zeros(count, bool))

    @classmethod
    def empty(cls, classes: int) -> CausalState:
        """Before the first frame."""
        return cls(
            np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, classes)), np.zeros(0), np.zeros(0),
            np.zeros(0),
        )  # fmt: skip

    @classmethod
    def of_frame(cls, boxes: Array, scores: Array, size: tuple[int, int]) -> CausalState:
        """The boxes (k, 4) of one frame, each a tubelet of its own; arrays are copied."""
        count = len(boxes)
        return cls(
            boxes.copy(), boxes.copy(), scores.copy(), np.ones(count), np.ones(count),
            np.zeros(count), size,
        )  # fmt: skip

    def forgotten(self, classes: int | None = None) -> CausalState:
        """The state of a stream that starts anew, whose numbers go on; `classes` as before."""
        empty = CausalState.empty(self.means.shape[1] if classes is None else classes)
        return replace(empty, named=self.named)

    def check(self) -> None:
        """Raise ValueError where the arrays do not belong together."""
        count = len(self.boxes)
        shapes = (self.boxes.shape, self.smoothed.shape, self.means.shape[:1])
        if shapes != ((count, 4), (count, 4), (count,)) or self.means.ndim != 2:
            raise ValueError("the tubelets' boxes and scores do not match")
        if any(part.shape != (count,) for part in self._counts()):
            raise ValueError("the tubelets' counts do not match")
        floats = (self.boxes, self.smoothed, self.means, self.weights)
        if any(array.dtype != np.float64 for array in floats) or self.ids.dtype != np.int64:
            raise ValueError("the tubelets are of another type")
        if self.ids.max(initial=-1) > self.named or self.leads.dtype != np.bool_:
            raise ValueError("the tubelets' numbers are none that were given")

    def _counts(self) -> tuple[Any, ...]:
        return self.weights, self.members, self.missed, self.ids, self.leads

    def copy(self) -> Self:
        """An independent state with the same past."""
        return self._map(lambda _, array: array.copy())

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Self:
        """Some of the tubelets, by a mask (t,)."""
        return self._map(lambda _, array: array[chosen])

    def joined(self, other: CausalState) -> Self:
        """The tubelets of both."""
        return self._map(lambda name, array: np.concatenate([array, getattr(other, name)]))

    def after_a_miss(self) -> Self:
        """The same, one frame without a box later."""
        return replace(self, missed=self.missed + 1)

    def _map(self, function: Callable[[str, Any], Any]) -> Self:
        names = [field.name for field in fields(self) if field.name not in ("size", "named")]
        return replace(self, **{name: function(name, getattr(self, name)) for name in names})


@dataclass(frozen=True)
class FollowedBoxes:
    """The boxes of one frame, and the tubelets that they are of.

    Attributes:
        boxes: (k, 4) in pixels, those of tubelets without a box in the frame last.
        scores: (k, C) in [0, 1].
        tubelets: all of the frame, t; those that end with it too.
        rows: (k,) which of them each box is of.
        lasting: (t,) bool, which of them later frames can continue.
    """

    boxes: Array
    scores: Array
    tubelets: CausalState
    rows: Ints
    lasting: Bools

    @property
    def state(self) -> CausalState:
        """What the next frame is linked to."""
        return self.tubelets[self.lasting]

    def like(self, scored: ScoredBoxes) -> ScoredBoxes:
        """The boxes, types and device as those of `scored`."""
        return ScoredBoxes(
            torch.from_numpy(self.boxes).to(scored.boxes),
            torch.from_numpy(self.scores).to(scored.scores),
        )
