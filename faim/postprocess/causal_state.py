"""What a stream remembers for causal post-processing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from faim.postprocess.pairs import Array


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
    """

    boxes: Array
    smoothed: Array
    means: Array
    weights: Array
    members: Array
    missed: Array
    size: tuple[int, int] | None = None

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

    def check(self) -> None:
        """Raise ValueError where the arrays do not belong together."""
        count = len(self.boxes)
        shapes = (self.boxes.shape, self.smoothed.shape, self.means.shape[:1])
        if shapes != ((count, 4), (count, 4), (count,)) or self.means.ndim != 2:
            raise ValueError("the tubelets' boxes and scores do not match")
        if any(part.shape != (count,) for part in (self.weights, self.members, self.missed)):
            raise ValueError("the tubelets' counts do not match")
        floats = (self.boxes, self.smoothed, self.means, self.weights)
        if any(array.dtype != np.float64 for array in floats):
            raise ValueError("the tubelets are of another type")

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
        names = [field.name for field in fields(self) if field.name != "size"]
        return replace(self, **{name: function(name, getattr(self, name)) for name in names})
