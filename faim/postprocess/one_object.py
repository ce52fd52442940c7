"""One box an object, of one class, under a number that stays: what a viewer sees of tubelets.

It is ours, not REPP's. A detector gives the classes of one thing in boxes of their own, and
tubelets keep them all alive: a dog that is a cow and a sheep too. Here a tubelet stands for the
class that its evidence is for, and of tubelets in one place the strongest is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torchvision.ops import box_iou

from faim.errors import FaimError
from faim.postprocess.causal_state import Bools, FollowedBoxes, Ints
from faim.postprocess.evidence import top_class
from faim.postprocess.linking import is_number
from faim.postprocess.pairs import Array
from faim.structures import ScoredBoxes

_TINY = 1e-9
#: What is weaker leads nowhere.
_FAINT = 0.1


@dataclass(frozen=True)
class OneObjectConfig:
    """The settings; the defaults were chosen on DAVIS 2016's training videos.

    Attributes:
        same_iou: boxes of one class that overlap by more are one object, in [0, 1].
        other_iou: the same of boxes of two classes; 1 leaves them all.
        rest: what is left of the scores that an object does not stand for, as a factor in [0, 1]:
            they go below any threshold of display and keep their order.
        lead: a tubelet that was shown in its place in the last frame is so many times as strong,
            1 or more.
        confirmed: boxes that a tubelet has before it is sure, and has a number; 1 or more.
        certain: a score that needs no confirmation, in (0, 1].
        doubt: factor of the scores of a tubelet that is not sure, up to half of `certain`, from
            where it grows to 1; in [0, 1].
        slope, shift: a score is shown with `slope` times its log odds, and `shift` more. A mean is
            lower than the best of what it is of; with these values 0.3 shows about as many boxes as
            in single frames, and as many objects once reach 0.7, where trackers begin a track.

    Raises:
        FaimError: a value out of its range.
    """

    same_iou: float = 0.5
    other_iou: float = 0.7
    rest: float = 0.1
    lead: float = 1.25
    confirmed: int = 2
    certain: float = 0.6
    doubt: float = 0.8
    slope: float = 2.0
    shift: float = 0.734

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("same_iou", "other_iou", "rest", "doubt"):
            if not is_number(value := getattr(self, name)) or not 0 <= value <= 1:
                raise FaimError(f"one object: {name} is {value!r}; expected a number from 0 to 1")
        if not is_number(self.certain) or not 0 < self.certain <= 1:
            raise FaimError(
                f"one object: certain is {self.certain!r}; expected a number above 0, up to 1"
            )
        for name in ("lead", "confirmed"):
            if not is_number(value := getattr(self, name)) or not value >= 1:
                raise FaimError(f"one object: {name} is {value!r}; expected a number from 1 on")
        if not is_number(self.slope) or not self.slope > 0 or not is_number(self.shift):
            raise FaimError(
                f"one object: slope is {self.slope!r} and shift {self.shift!r}; expected a number "
                "above 0, and any number"
            )


def show(
    followed: FollowedBoxes, config: OneObjectConfig, least: float = 0.0
) -> tuple[ScoredBoxes, FollowedBoxes]:
    """What is shown of a frame of a stream.

    Args:
        followed: its boxes and their tubelets.
        config: the settings.
        least: score from which a box is seen; tubelets get a number when they first reach it.

    Returns:
        The boxes with their numbers, float64; and the tubelets with what they are called now.
    """
    tubelets, rows = followed.tubelets, followed.rows
    decided = top_class(tubelets.means)[rows]
    sure = tubelets.members[rows] >= config.confirmed
    top = followed.scores[np.arange(len(rows)), decided]
    doubt = np.where(sure, 0, np.clip(2 - 2 * top / config.certain, 0, 1))
    factor = 1 - (1 - config.doubt) * doubt
    scores, top = followed.scores * factor[:, None], top * factor
    strength = top * np.where(tubelets.leads[rows], config.lead, 1.0)
    winner = rivals(followed.boxes, decided, strength, config)
    alone = winner == np.arange(len(rows))
    shown = calibrated(one_class(scores, decided, alone, config.rest), config)
    seen = calibrated(top, config) >= max(least, _TINY)
    ids = tubelets.ids.copy()
    _hand_over(ids, rows, winner)
    new = rows[alone & sure & seen & (ids[rows] < 0)]
    ids[new] = tubelets.named + 1 + np.arange(len(new))
    leads = tubelets.leads.copy()
    leads[rows] = alone & (top >= _FAINT)
    called = replace(tubelets, ids=ids, leads=leads, named=tubelets.named + len(new))
    return (
        ScoredBoxes(
            torch.from_numpy(followed.boxes),
            torch.from_numpy(shown),
            torch.from_numpy(ids[rows]),
        ),
        replace(followed, tubelets=called),
    )


def rivals(boxes: Array, decided: Ints, strength: Array, config: OneObjectConfig) -> Ints:
    """Of every box the stronger one that is shown in its place: itself, if there is none.

    The strongest first, as in non-maximum suppression; of equals the first.

    Args:
        boxes: (k, 4).
        decided: (k,) the class of each.
        strength: (k,) 0 or more; one of 0 suppresses nothing.
        config: the settings.
    """
    winner = np.arange(len(boxes))
    if len(boxes) < 2:
        return winner
    placed = torch.from_numpy(boxes)
    overlap = box_iou(placed, placed).numpy()
    same = decided[:, None] == decided
    close = overlap > np.where(same, config.same_iou, config.other_iou)
    np.fill_diagonal(close, False)
    contested = np.flatnonzero(close.any(axis=1) & (strength > 0))
    for row in contested[np.argsort(-strength[contested], kind="stable")]:
        if winner[row] == row:
            weaker = close[row] & (strength <= strength[row]) & (winner == np.arange(len(boxes)))
            winner[weaker] = row
    return winner


def one_class(scores: Array, decided: Ints, alone: Bools, rest: float) -> Array:
    """(k, C) scores, of which those of other classes, and of boxes not `alone`, are faded."""
    kept = np.arange(scores.shape[1]) == decided[:, None]
    return np.where(kept & alone[:, None], scores, rest * scores)


def calibrated(scores: Array, config: OneObjectConfig) -> Array:
    """Scores in [0, 1] of any shape as they are shown; 0 stays 0."""
    if config.slope == 1 and config.shift == 0:
        return scores
    shown = np.zeros_like(scores)
    inside = np.clip(scores[scores > 0], _TINY, 1 - _TINY)
    odds = config.slope * np.log(inside / (1 - inside)) + config.shift
    shown[scores > 0] = 1 / (1 + np.exp(-odds))
    return shown


def _hand_over(ids: Ints, rows: Ints, winner: Ints) -> None:
    """A tubelet without a number takes that of one whose place it takes; `ids` is changed."""
    for row in np.flatnonzero(winner != np.arange(len(rows))):
        loser, taker = rows[row], rows[winner[row]]
        if ids[taker] < 0 <= ids[loser]:
            ids[taker], ids[loser] = ids[loser], -1


class WholeVideo:
    """`show` for frames after REPP, whose tubelets are known as a whole.

    They are numbered from 1 on, by when they are first seen.

    Args:
        config: the settings; scores stay REPP's, which are means over all of a tubelet.
        least: as in `show`.
    """

    def __init__(self, config: OneObjectConfig, least: float = 0.0) -> None:
        self._config, self._least = config, least
        self._called: dict[int, int] = {}
        self._count = 0

    def next_shot(self) -> None:
        """The next frame begins a shot, whose tubelets REPP numbers anew."""
        self._called.clear()

    def show(self, scored: ScoredBoxes) -> ScoredBoxes:
        """The next frame; its `track_ids` are those of REPP."""
        boxes = scored.boxes.detach().cpu().double().numpy()
        scores = scored.scores.detach().cpu().double().numpy()
        assert scored.track_ids is not None
        tubelets = scored.track_ids.cpu().numpy()
        decided = top_class(scores)
        top = scores[np.arange(len(scores)), decided]
        alone = rivals(boxes, decided, top, self._config) == np.arange(len(boxes))
        shown = one_class(scores, decided, alone, self._config.rest)
        ids = self._numbers_of(tubelets, alone & (top >= max(self._least, _TINY)))
        return ScoredBoxes(
            scored.boxes, torch.from_numpy(shown).to(scored.scores), torch.from_numpy(ids)
        )

    def _numbers_of(self, tubelets: Ints, seen: Bools) -> Ints:
        """(k,) the numbers of a frame's boxes, -1 of tubelets that were not seen so far.

        Args:
            tubelets: (k,) of which tubelet each is; below 0 for none.
            seen: (k,) whether the frame shows it.
        """
        for tubelet in tubelets[seen & (tubelets >= 0)].tolist():
            if tubelet not in self._called:
                self._count += 1
                self._called[tubelet] = self._count
        return np.array([self._called.get(each, -1) for each in tubelets.tolist()], np.int64)
