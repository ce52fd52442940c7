"""A causal relative of REPP for streams.

It is ours, not the paper's: REPP rescores a frame with the detections of later frames too, which a
stream does not have. This one links every frame to what came before it, by the same pair model and
the same similarity, and gives its results without delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from faim.nn.affinity import MOST_LIFT
from faim.postprocess.causal_config import CausalConfig
from faim.postprocess.causal_state import Bools, CausalState, FollowedBoxes, Ints
from faim.postprocess.evidence import doubts, support, top_class
from faim.postprocess.linking import distances, greedy_pairs
from faim.postprocess.pairs import Array, PairModel, pair_features
from faim.structures import ScoredBoxes

__all__ = ["CausalConfig", "CausalRepp", "CausalState"]

#: Least share of a new box in the smoothed one, however weak it is.
_LEAST_SHARE = 0.2
#: IoU from which two boxes of a class are one object, as in the final NMS.
_SAME = 0.5
#: Place of the IoU among the features of a pair.
_IOU = 2
_TINY = 1e-12
#: Boxes that a tubelet has before it is carried over a gap.
_CONFIRMED = 2


class CausalRepp:
    """Links, rescores, smooths and carries on a stream's detections with its past alone.

    A box that continues a tubelet gets the tubelet's mean scores so far, itself included, in which
    a frame counts by a power of its best score: a blurred frame takes little from a clear one. Its
    place is smoothed exponentially, the more the weaker it is. A tubelet without a box in a frame
    is shown where it was last, with fading scores, for as long as it waits. A box that continues
    none stays as it is. There is no state; that of a stream goes in and comes out.

    A tubelet is a decision for a class, and a box that gives that class little is no evidence for
    it: it counts as a miss, in part or whole, until a clear box comes. Once there are more than the
    patience allows, a box of another class begins a tubelet of its own; one of the same class goes
    on as an equal to the whole past, which from then on lifts no score far above the frame's own.

    Args:
        config: the settings.
        model: tells whether two boxes are one object.
    """

    def __init__(self, config: CausalConfig | None = None, model: PairModel | None = None) -> None:
        self.config = CausalConfig() if config is None else config
        self.model = PairModel() if model is None else model

    def apply(self, frames: Sequence[ScoredBoxes], size: tuple[int, int]) -> list[ScoredBoxes]:
        """A whole video, one `step` after the other; arguments as those of `Repp.apply`.

        Example:
            >>> import torch
            >>> box = torch.tensor([[0.0, 0.0, 50.0, 50.0]])
            >>> video = [ScoredBoxes(box, torch.tensor([[score]])) for score in (0.8, 0.8, 0.2)]
            >>> found = CausalRepp().apply(video, (100, 100))
            >>> [round(float(frame.scores[0, 0]), 2) for frame in found]  # of a past alone
            [0.8, 0.8, 0.71]
        """
        found = []
        state = CausalState.empty(frames[0].scores.shape[1] if len(frames) else 0)
        for frame in frames:
            scored, state = self.step(frame, size, state)
            found.append(scored)
        return found

    def step(
        self, scored: ScoredBoxes, size: tuple[int, int], state: CausalState
    ) -> tuple[ScoredBoxes, CausalState]:
        """One frame, every class that a box has.

        Args:
            scored: its boxes, in pixels of the frame.
            size: its height and width; where it is not that of the frame before, all tubelets end.
            state: after the frame before; it is not changed.

        Returns:
            The boxes in the order given, and after them those of tubelets without one, types and
            device as given; and the state after the frame.
        """
        found = self.follow(scored, size, state)
        return found.like(scored), found.state

    def follow(
        self, scored: ScoredBoxes, size: tuple[int, int], state: CausalState
    ) -> FollowedBoxes:
        """`step`, with the tubelets that the boxes are of; arguments as there."""
        if state.size != size or state.means.shape[1] != scored.scores.shape[1]:
            state = state.forgotten(scored.scores.shape[1])
        boxes = scored.boxes.detach().cpu().double().numpy()
        scores = scored.scores.detach().cpu().double().numpy()
        old, new = self._link(state, boxes, scores, size)
        waiting = state.missed + 1 <= self.config.patience
        waiting[old] = False
        found = replace(CausalState.of_frame(boxes, scores, size), named=state.named)
        found.weights[:] = scores.max(axis=1, initial=0) ** self.config.emphasis
        self._continue(state, found, old, new)
        absent = state[waiting]
        carried = self._carried(absent)
        places, faded = self._carry(absent[carried])
        shown = self._shown(found, scores)
        _settle(places, faded, found.smoothed, shown)
        lasting = scores.max(axis=1, initial=0) >= self.config.start_score
        lasting |= found.members > 1
        return FollowedBoxes(
            np.concatenate([found.smoothed, places]),
            np.concatenate([shown, faded]),
            found.joined(absent.after_a_miss()),
            np.concatenate([np.arange(len(boxes)), len(boxes) + np.flatnonzero(carried)]),
            np.concatenate([lasting, np.ones(len(absent.boxes), bool)]),
        )

    def _link(
        self, state: CausalState, boxes: Array, scores: Array, size: tuple[int, int]
    ) -> tuple[Ints, Ints]:
        """Tubelets and boxes that belong together, (p,) indices of each."""
        linking = self.config.linking
        past, now = (state.boxes, state.means), (boxes, scores)
        pairs = greedy_pairs(distances(linking, self.model, past, now, size))
        paired = np.array(pairs, np.int64).reshape(-1, 2)
        return paired[:, 0], paired[:, 1]

    def _continue(self, state: CausalState, found: CausalState, old: Ints, new: Ints) -> None:
        """Add to the boxes `found` of a frame, each as if it were new, what came before them.

        A box that stays alone ends its tubelet: it is of another class, and the tubelet has been
        missed for too long or was too little to begin with.
        """
        scores, best = found.means, found.means.max(axis=1, initial=0)
        decided, now = top_class(state.means[old]), top_class(scores[new])
        usual, given = state.means[old, decided], scores[new, decided]
        missed = self._missed(state.missed[old], support(scores[new], decided), usual)
        late = missed > self.config.patience
        past = self._past(state, old)
        turned = late & (state.missed[old] <= self.config.patience)
        past = np.where(turned, np.minimum(past, found.weights[new]), past)
        ends = (now != decided) & (late | (found.weights[new] * best[new] > past * usual))
        old, new, past, missed = old[~ends], new[~ends], past[~ends], missed[~ends]
        usual, given = usual[~ends], given[~ends]
        found.missed[new], found.ids[new] = missed, state.ids[old]
        found.leads[new] = state.leads[old]
        # What speaks for another class than the tubelet's counts little.
        found.weights[new] *= given / np.maximum(best[new], _TINY)
        share = found.weights[new] / np.maximum(past + found.weights[new], _TINY)
        found.weights[new] += past
        found.means[new] += (1 - share)[:, None] * (state.means[old] - scores[new])
        found.members[new] = np.minimum(state.members[old] + 1, self.config.memory)
        trust = (best[new] / np.maximum(usual, _TINY)) ** self.config.box_trust
        share = np.clip(trust, _LEAST_SHARE, 1)[:, None]
        found.smoothed[new] += (1 - share) * (state.smoothed[old] - found.smoothed[new])

    def _missed(self, before: Array, given: Array, usual: Array) -> Array:
        """(p,) misses of tubelets, those of this frame's boxes included."""
        clear = self.config.linking.clear_score
        # A clear box of a tubelet that is not is another object too.
        rising = (usual < clear) & (given >= clear)
        doubt = np.where(rising, 1, doubts(given, usual, clear))
        return np.where(doubt > 0, before + doubt, 0)

    def _past(self, state: CausalState, old: Ints) -> Array:
        """(p,) what the boxes of tubelets still count together."""
        full = state.members[old] >= self.config.memory
        return state.weights[old] * np.where(full, 1 - 1 / self.config.memory, 1)

    def _shown(self, found: CausalState, scores: Array) -> Array:
        """The tubelets' scores as they are shown beside a frame's own `scores`, (k, C) both."""
        late = found.missed > self.config.patience
        other = np.arange(scores.shape[1]) != top_class(found.means)[:, None]
        limited = np.minimum(found.means, MOST_LIFT * scores)
        return self._visible(np.where(late[:, None] | other, limited, found.means))

    def _carried(self, absent: CausalState) -> Bools:
        """(t,) which tubelets are shown in this frame though they have no box in it."""
        if not self.config.carry_decay:
            return np.zeros(len(absent.boxes), bool)
        best = absent.means.max(axis=1, initial=0)
        return (absent.members >= _CONFIRMED) & (best >= self.config.carry_score)

    def _carry(self, carried: CausalState) -> tuple[Array, Array]:
        """Their boxes (c, 4) and scores (c, C)."""
        fading = self.config.carry_decay ** (carried.missed + 1.0)
        return carried.smoothed, self._visible(carried.means * fading[:, None])

    def _visible(self, scores: Array) -> Array:
        """A copy in which weak classes are 0."""
        return np.where(scores >= self.config.linking.min_pred_score, scores, 0)


def _settle(places: Array, carried: Array, boxes: Array, scores: Array) -> None:
    """Of a carried and a detected box that are one object, the weaker loses the class.

    Args:
        places: (c, 4) carried boxes.
        carried: (c, C) their scores, which are changed.
        boxes: (k, 4) detected ones.
        scores: (k, C) theirs, which are changed.
    """
    if not len(places):
        return
    overlap = pair_features(places[:, None], boxes[None], (1, 1))[..., _IOU]
    for row, column in zip(*np.nonzero(overlap >= _SAME), strict=True):
        weaker = carried[row] <= scores[column]
        scores[column, ~weaker] = 0
        carried[row, weaker] = 0
