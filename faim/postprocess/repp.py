"""REPP: detections of a whole video, linked to tubelets, rescored and smoothed.

Sabater et al., "Robust and efficient post-processing for video object detection", IROS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faim.errors import FaimError
from faim.postprocess.evidence import part, support
from faim.postprocess.linking import LinkConfig, distances, greedy_pairs, is_number
from faim.postprocess.pairs import Array, PairModel
from faim.structures import ScoredBoxes

Tracks = NDArray[np.int64]
#: Standard deviations after which a Gaussian counts as 0: below a rounding error.
_REACH = 9


@dataclass(frozen=True)
class ReppConfig(LinkConfig):
    """The settings of REPP, under the names and with the values of the public implementation.

    `ReppConfig(patience=None)` gives that implementation's numbers.

    Those that its causal relative has too are in `LinkConfig`.

    Attributes:
        add_unmatched: keep the boxes that belong to no tubelet, as they are, instead of dropping
            them. (The public implementation would keep the last box of every tubelet twice.)
        recoordinate: smooth the boxes of a tubelet.
        recoordinate_std: width of the Gaussian; 0.4 is a standard deviation of one frame.
        patience: misses that a tubelet may have at its beginning or end, and twice as many between
            two clear boxes, before it is parted there (`faim.postprocess.evidence.part`); a whole
            number from 0 on. With None it never is.

    Raises:
        FaimError: a value out of its range.
    """

    add_unmatched: bool = False
    recoordinate: bool = True
    recoordinate_std: float = 0.4
    patience: int | None = 2

    def __post_init__(self) -> None:
        """Check the values."""
        super().__post_init__()
        if not is_number(self.recoordinate_std) or not 0 < self.recoordinate_std < math.inf:
            raise FaimError(
                f"repp: recoordinate_std is {self.recoordinate_std!r}; expected a number above 0"
            )
        if self.patience is not None and (type(self.patience) is not int or self.patience < 0):
            raise FaimError(
                f"repp: patience is {self.patience!r}; expected a whole number from 0 on, or None"
            )


class Repp:
    """Post-processing that needs all frames of a video.

    Args:
        config: the settings.
        model: tells whether two boxes are one object.
    """

    def __init__(self, config: ReppConfig | None = None, model: PairModel | None = None) -> None:
        self.config = ReppConfig() if config is None else config
        self.model = PairModel() if model is None else model

    def apply(self, frames: Sequence[ScoredBoxes], size: tuple[int, int]) -> list[ScoredBoxes]:
        """The boxes of tubelets, with the tubelet's mean scores and smoothed in time.

        Args:
            frames: of one video, in order; any number, also without boxes. Each is looked at a few
                times.
            size: height and width of the frames that the boxes are in pixels of.

        Returns:
            One a frame, types and devices as given. Boxes keep their order; those of no tubelet are
            left out unless the configuration keeps them. `track_ids` number the tubelets from 1 on.

        Raises:
            FaimError: frames of different numbers of classes, or a size without pixels.

        Example:
            >>> frame = ScoredBoxes(torch.tensor([[0.0, 0.0, 50.0, 50.0]]), torch.tensor([[0.4]]))
            >>> later = ScoredBoxes(torch.tensor([[0.0, 0.0, 50.0, 50.0]]), torch.tensor([[0.8]]))
            >>> [float(found.scores[0, 0]) for found in Repp().apply([frame, later], (100, 100))]
            [0.6000000238418579, 0.6000000238418579]
        """
        return list(self.iterate(frames, size))

    def iterate(
        self, frames: Sequence[ScoredBoxes], size: tuple[int, int]
    ) -> Iterator[ScoredBoxes]:
        """`apply`, one frame at a time; what it holds is one score vector a tubelet."""
        tracks = self._part(frames, self.link(frames, size))
        means = self._mean_scores(frames, tracks)
        boxes = self._smooth(frames, tracks)
        for place, frame in enumerate(frames):
            linked = tracks[place] >= 0
            scores = _array(frame.scores)
            alone = self.config.add_unmatched & (
                scores.max(axis=1, initial=0) >= self.config.min_tubelet_score
            )
            scores[linked] = means[tracks[place][linked]]
            scores[scores < self.config.min_pred_score] = 0
            kept = scores.any(axis=1) & (linked | alone)
            yield ScoredBoxes(
                _like(boxes[place][kept], frame.boxes),
                _like(scores[kept], frame.scores),
                torch.from_numpy(np.where(linked, tracks[place] + 1, -1)[kept]),
            )

    def link(self, frames: Sequence[ScoredBoxes], size: tuple[int, int]) -> list[Tracks]:
        """The tubelet that every box belongs to.

        Boxes of neighbouring frames are paired greedily, the most similar first; a tubelet is a
        chain of pairs.

        Args:
            frames: as in `apply`.
            size: as in `apply`.

        Returns:
            For every frame (k,) int64, the tubelet's number or -1 for boxes that stand alone.
            Tubelets are numbered from 0 by first frame, then by similarity of the first pair.
        """
        _check(frames, size)
        tracks = [np.full(len(frame.boxes), -1, np.int64) for frame in frames]
        count = 0
        for (before, first), (after, second) in pairwise(zip(tracks, frames, strict=True)):
            for a, b in self._pairs(first, second, size):
                if before[a] < 0:
                    before[a], count = count, count + 1
                after[b] = before[a]
        return tracks

    def _pairs(
        self, first: ScoredBoxes, second: ScoredBoxes, size: tuple[int, int]
    ) -> list[tuple[int, int]]:
        return greedy_pairs(
            distances(
                self.config,
                self.model,
                (_array(first.boxes), _array(first.scores)),
                (_array(second.boxes), _array(second.scores)),
                size,
            )
        )

    def _part(self, frames: Sequence[ScoredBoxes], tracks: list[Tracks]) -> list[Tracks]:
        """See `part`; until nothing changes, as a part may be of another class than the whole."""
        patience, clear = self.config.patience, self.config.clear_score
        if patience is None:
            return tracks
        ends = np.cumsum([len(ids) for ids in tracks])[:-1]
        while any((ids >= 0).any() for ids in tracks):
            decided = self._mean_scores(frames, tracks).argmax(axis=1)
            given = [
                support(_array(frame.scores), decided[ids])
                for frame, ids in zip(frames, tracks, strict=True)
            ]
            whole = np.concatenate(tracks)
            parts = part(whole, np.concatenate(given), clear, patience)
            if parts.max() == whole.max():
                break
            tracks = np.split(parts, ends)
        return tracks

    def _mean_scores(self, frames: Sequence[ScoredBoxes], tracks: list[Tracks]) -> Array:
        """(tubelets, C)"""
        count = 1 + max((int(ids.max()) for ids in tracks if len(ids)), default=-1)
        sums = np.zeros((count, frames[0].scores.shape[1] if len(frames) else 0))
        members = np.zeros(count)
        for frame, ids in zip(frames, tracks, strict=True):
            linked = ids >= 0
            sums[ids[linked]] += _array(frame.scores)[linked]  # a tubelet has one box a frame
            members[ids[linked]] += 1
        return sums / members[:, None]

    def _smooth(self, frames: Sequence[ScoredBoxes], tracks: list[Tracks]) -> list[Array]:
        """The boxes of every frame after smoothing."""
        if not len(frames):
            return []
        boxes = np.concatenate([_array(frame.boxes).reshape(-1, 4) for frame in frames])
        if self.config.recoordinate:
            ids = np.concatenate(tracks)
            order = np.argsort(ids, kind="stable")
            order = order[ids[order] >= 0]
            boxes[order] = smooth(boxes[order], ids[order], 2.5 * self.config.recoordinate_std)
        ends = np.cumsum([len(ids) for ids in tracks])
        return np.split(boxes, ends[:-1])


def smooth(values: Array, groups: Tracks, std: float) -> Array:
    """Gaussian smoothing within each group, mirrored at its ends.

    Args:
        values: (n, d), in order of time within a group.
        groups: (n,) rising.
        std: standard deviation in rows. A group of T rows has a window of 2T - 1.

    Returns:
        (n, d)
    """
    if not len(values):
        return values
    starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
    sizes = np.diff(starts, append=len(groups))
    length, first = np.repeat(sizes, sizes)[:, None], np.repeat(starts, sizes)[:, None]
    reach = min(math.ceil(_REACH * std), int(sizes.max()) - 1)
    total, weights = np.zeros_like(values), np.zeros((len(values), 1))
    place = np.arange(len(values))[:, None] - first
    for offset in range(-reach, reach + 1):
        weight = math.exp(-0.5 * (offset / std) ** 2) * (abs(offset) < length)
        mirrored = (place + offset) % (2 * length)
        mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
        total += weight * values[(first + mirrored)[:, 0]]
        weights += weight
    return total / weights


def _check(frames: Sequence[ScoredBoxes], size: tuple[int, int]) -> None:
    if len(size) != 2 or min(size) <= 0:
        raise FaimError(f"repp: frame size {size!r} given; expected height and width above 0")
    classes = {frame.scores.shape[1] for frame in frames}
    if len(classes) > 1:
        raise FaimError(
            f"repp: frames with {' and '.join(map(str, sorted(classes)))} classes given; expected "
            "the same number in all"
        )


def _array(tensor: Tensor) -> Array:
    """A copy in double precision."""
    return tensor.detach().cpu().double().numpy().copy()


def _like(values: Array, tensor: Tensor) -> Tensor:
    return torch.from_numpy(values).to(tensor)
