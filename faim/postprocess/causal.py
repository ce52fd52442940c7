"""A causal relative of REPP for streams.

It is ours, not the paper's: REPP rescores a frame with the detections of later frames too, which a
stream does not have. This one links every frame to what came before it, by the same pair model and
the same similarity, and gives its results without delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from faim.errors import FaimError
from faim.postprocess.linking import LinkConfig, distances, greedy_pairs
from faim.postprocess.pairs import Array, PairModel
from faim.structures import ScoredBoxes


@dataclass(frozen=True)
class CausalConfig:
    """The settings of `CausalRepp`; the defaults were chosen on DAVIS 2016's training videos.

    Attributes:
        linking: how pairs are found, and which scores count, as in REPP.
        memory: frames over which scores are averaged; from then on older ones fade.
        patience: frames that a tubelet may miss before it ends, 0 or more.
        box_weight: share of the new box in the smoothed one, in (0, 1]; 1 does not smooth.

    Raises:
        FaimError: a value out of its range.
    """

    linking: LinkConfig = LinkConfig()  # noqa: RUF009 - it is frozen
    memory: int = 30
    patience: int = 2
    box_weight: float = 0.7

    def __post_init__(self) -> None:
        """Check the values."""
        for name, least in (("memory", 1), ("patience", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise FaimError(
                    f"causal post-processing: {name} is {value!r}; expected a whole number from "
                    f"{least} on"
                )
        if not isinstance(self.box_weight, (int, float)) or not 0 < self.box_weight <= 1:
            raise FaimError(
                f"causal post-processing: box_weight is {self.box_weight!r}; expected a number "
                "above 0, at most 1"
            )


@dataclass(frozen=True)
class CausalState:
    """The live tubelets of a stream; a step makes a new one and leaves the old one as it was.

    Attributes:
        boxes: (t, 4) the last box of each as it was detected, in pixels.
        smoothed: (t, 4) the same after smoothing.
        means: (t, C) mean scores.
        members: (t,) boxes in each, at most the memory.
        missed: (t,) frames since the last.
        size: height and width of the frames; None before the first.
    """

    boxes: Array
    smoothed: Array
    means: Array
    members: Array
    missed: NDArray[np.int64]
    size: tuple[int, int] | None = None

    @classmethod
    def empty(cls, classes: int) -> CausalState:
        """Before the first frame."""
        return cls(
            np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, classes)), np.zeros(0),
            np.zeros(0, np.int64),
        )  # fmt: skip

    def check(self) -> None:
        """Raise ValueError where the arrays do not belong together."""
        count = len(self.boxes)
        shapes = (self.boxes.shape, self.smoothed.shape, self.means.shape[:1])
        if shapes != ((count, 4), (count, 4), (count,)) or self.means.ndim != 2:
            raise ValueError("the tubelets' boxes and scores do not match")
        if self.members.shape != (count,) or self.missed.shape != (count,):
            raise ValueError("the tubelets' counts do not match")
        if any(array.dtype != np.float64 for array in (self.boxes, self.smoothed, self.means)):
            raise ValueError("the tubelets are of another type")

    def copy(self) -> CausalState:
        """An independent state with the same past."""
        return replace(
            self,
            boxes=self.boxes.copy(), smoothed=self.smoothed.copy(), means=self.means.copy(),
            members=self.members.copy(), missed=self.missed.copy(),
        )  # fmt: skip


class CausalRepp:
    """Links, rescores and smooths a stream's detections with its past alone.

    A box that continues a tubelet gets the mean scores of the tubelet so far, itself included, and
    the exponentially smoothed box. A box that continues none is the first of a new one and stays as
    it is. It has no state; that of a stream goes in and comes out.

    Args:
        config: the settings.
        model: tells whether two boxes are one object.
    """

    def __init__(self, config: CausalConfig | None = None, model: PairModel | None = None) -> None:
        """See the class."""
        self.config = CausalConfig() if config is None else config
        self.model = PairModel() if model is None else model

    def apply(self, frames: Sequence[ScoredBoxes], size: tuple[int, int]) -> list[ScoredBoxes]:
        """A whole video, one `step` after the other; arguments as those of `Repp.apply`."""
        found = []
        state = CausalState.empty(frames[0].scores.shape[1] if len(frames) else 0)
        for frame in frames:
            scored, state = self.step(frame, size, state)
            found.append(scored)
        return found

    def step(
        self, scored: ScoredBoxes, size: tuple[int, int], state: CausalState
    ) -> tuple[ScoredBoxes, CausalState]:
        """One frame.

        Args:
            scored: its boxes, in pixels of the frame.
            size: its height and width; where it is not that of the frame before, all tubelets end.
            state: after the frame before; it is not changed.

        Returns:
            As many boxes in the same order, types and device as given; and the state after it.
        """
        if state.size != size or state.means.shape[1] != scored.scores.shape[1]:
            state = CausalState.empty(scored.scores.shape[1])
        boxes = scored.boxes.detach().cpu().double().numpy()
        scores = scored.scores.detach().cpu().double().numpy()
        found = CausalState(
            boxes, boxes.copy(), scores.copy(), np.ones(len(boxes)), np.zeros(len(boxes), np.int64),
            size,
        )  # fmt: skip
        old, new = self._link(state, boxes, scores, size)
        members = np.minimum(state.members[old] + 1, self.config.memory)
        found.members[new] = members
        found.means[new] += (1 - 1 / members)[:, None] * (state.means[old] - scores[new])
        found.smoothed[new] += (1 - self.config.box_weight) * (state.smoothed[old] - boxes[new])
        linking = self.config.linking
        shown = np.where(found.means >= linking.min_pred_score, found.means, 0)
        result = ScoredBoxes(
            torch.from_numpy(found.smoothed).to(scored.boxes),
            torch.from_numpy(shown).to(scored.scores),
        )
        return result, self._live(state, old, found)

    def _link(
        self, state: CausalState, boxes: Array, scores: Array, size: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tubelets and boxes that belong together, (p,) indices of each."""
        linking = self.config.linking
        past, now = (state.boxes, state.means), (boxes, scores)
        pairs = greedy_pairs(distances(linking, self.model, past, now, size))
        paired = np.array(pairs, np.int64).reshape(-1, 2)
        return paired[:, 0], paired[:, 1]

    def _live(self, state: CausalState, old: NDArray[np.int64], found: CausalState) -> CausalState:
        """The tubelets of this frame, and those that may still go on."""
        waiting = state.missed < self.config.patience
        waiting[old] = False
        return CausalState(
            np.concatenate([found.boxes, state.boxes[waiting]]),
            np.concatenate([found.smoothed, state.smoothed[waiting]]),
            np.concatenate([found.means, state.means[waiting]]),
            np.concatenate([found.members, state.members[waiting]]),
            np.concatenate([found.missed, state.missed[waiting] + 1]),
            found.size,
        )
