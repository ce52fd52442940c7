"""Whether what a frame shows of an object still is that object."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faim.postprocess.pairs import Array

Ints = NDArray[np.int64]
#: A score of this part of the usual one is as good as it.
_GOOD = 0.8
#: Below a sixth of a clear score there is nothing.
_NOTHING = 1 / 6
#: Times the patience that a tubelet of a whole video bridges between clear boxes.
_BRIDGED = 5
_TINY = 1e-12


def doubts(given: Array, usual: Array, clear: float) -> Array:
    """How much of a miss it is that an object of score `usual` now has the score `given`.

    It is clear from the score `clear` on, or from four fifths of the usual one if that is less; it
    is a whole miss below a sixth of that, and linear in between.

    Args:
        given: (...,) in [0, 1].
        usual: (...,) in [0, 1].
        clear: in (0, 1].

    Returns:
        (...,) in [0, 1]; 0 where it is clear.
    """
    enough = np.minimum(clear, _GOOD * usual)
    return np.clip((1 - given / np.maximum(enough, _TINY)) / (1 - _NOTHING), 0, 1)


def support(scores: Array, decided: Ints) -> Array:
    """How much a frame's boxes say for the classes of their tubelets.

    Blur leaves that something is there and takes what it is: the score is spread over classes that
    look alike, as it is not where nothing is. So what speaks for any class at all counts for the
    tubelet's, as far as no other class has more.

    Args:
        scores: (k, C) in [0, 1].
        decided: (k,) the class of the tubelet that each box is linked to.

    Returns:
        (k,) in [0, 1], at least the score of that class.
    """
    own = scores[np.arange(len(scores)), decided]
    anything = 1 - np.prod(1 - scores, axis=1)
    return np.maximum(own, anything * own / np.maximum(scores.max(axis=1, initial=0), _TINY))


def top_class(scores: Array) -> Ints:
    """(k,) the best class of every row of (k, C); 0 where there is none."""
    return scores.argmax(axis=1) if scores.size else np.zeros(len(scores), np.int64)


def part(ids: Ints, given: Array, clear: float, patience: int) -> Ints:
    """Tubelets of a whole video, parted where they stop to show one object.

    A stretch of boxes that come to more than `patience` misses becomes a tubelet of its own, as do
    the boxes before and after it; between clear boxes on both sides it may come to five times as
    much, as the object returns. A single clear box goes with the stretches on both sides of it.

    Args:
        ids: (n,) the tubelet of every box of the video, in order of time; -1 for none.
        given: (n,) its score for the class of its tubelet.
        clear: as in `doubts`; usual is the mean score of a tubelet's boxes, weighted by themselves.
        patience: as above.

    Returns:
        (n,) numbered from 0; -1 for none.
    """
    order = np.argsort(ids, kind="stable")[np.count_nonzero(ids < 0) :]
    parts = np.full_like(ids, -1)
    if not len(order):
        return parts
    group, given = ids[order], given[order]
    usual = np.bincount(group, given**2) / np.maximum(np.bincount(group, given), _TINY)
    doubt = doubts(given, usual[group], clear)
    first = _changes(group) | _changes(doubt > 0)
    run = np.cumsum(first) - 1
    neighbours = np.diff(group[first], prepend=-1, append=-1) == 0
    before, after = neighbours[:-1], neighbours[1:]
    gone = np.bincount(run, doubt) > patience * np.where(before & after, _BRIDGED, 1) + _TINY
    alone = (np.bincount(run, doubt) == 0) & (np.bincount(run) == 1)
    gone |= alone & (~before | np.roll(gone, 1)) & (~after | np.roll(gone, -1))
    parts[order] = np.cumsum(_changes(group) | _changes(gone[run])) - 1
    return parts


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) whether each is another than the one before, True for the first."""
    return np.concatenate([[True], values[1:] != values[:-1]])
