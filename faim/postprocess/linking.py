"""How REPP and its causal relative link boxes of two frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from faim.errors import FaimError
from faim.postprocess.pairs import Array, PairModel

ClfMode = Literal["dot", "max", "dot_plus", "raw"]


@dataclass(frozen=True)
class LinkConfig:
    """What REPP and its causal relative both need, under the names of the public implementation.

    Attributes:
        min_tubelet_score: boxes whose best class is below it are not linked, in [0, 1].
        min_pred_score: classes whose mean score is below it become 0, in [0, 1].
        clf_thr: pairs less probable than this are no pairs, in [0, 1].
        clf_mode: similarity of a pair: the probability times the scores' dot product ("dot") or
            best scores ("max"), plus the dot product ("dot_plus"), or alone ("raw").
        clear_score: score of a tubelet's class from which a box surely continues it, in (0, 1]; a
            weaker one counts as a miss, in part or whole (`faim.postprocess.evidence.doubts`). Not
            the public implementation's.

    Raises:
        FaimError: a value out of its range.
    """

    min_tubelet_score: float = 0.001
    min_pred_score: float = 0.001
    clf_thr: float = 0.8
    clf_mode: ClfMode = "dot"
    clear_score: float = 0.3

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("min_tubelet_score", "min_pred_score", "clf_thr"):
            if not is_number(value := getattr(self, name)) or not 0 <= value <= 1:
                raise FaimError(f"repp: {name} is {value!r}; expected a number from 0 to 1")
        if not is_number(self.clear_score) or not 0 < self.clear_score <= 1:
            raise FaimError(
                f"repp: clear_score is {self.clear_score!r}; expected a number above 0 and up to 1"
            )
        if self.clf_mode not in get_args(ClfMode):
            raise FaimError(
                f"repp: clf_mode is {self.clf_mode!r}; expected one of "
                f"{', '.join(get_args(ClfMode))}"
            )


def distances(
    config: LinkConfig,
    model: PairModel,
    first: tuple[Array, Array],
    second: tuple[Array, Array],
    size: tuple[int, int],
) -> Array:
    """How unlike the boxes of two frames are, each given as boxes (k, 4) and scores (k, C).

    Returns:
        (a, b): 1 - similarity; infinite where the two cannot be a pair.
    """
    probable = model.probability(first[0], second[0], size)
    best, others = (scores.max(axis=1, initial=0) for _, scores in (first, second))
    if config.clf_mode == "max":
        similarity = best[:, None] * others * probable
    elif config.clf_mode == "raw":
        similarity = probable
    else:
        agreement = first[1] @ second[1].T
        dot = config.clf_mode == "dot"
        similarity = agreement * probable if dot else agreement + probable
    scored = (best >= config.min_tubelet_score)[:, None] & (others >= config.min_tubelet_score)
    return np.where(scored & (probable >= config.clf_thr), 1 - similarity, np.inf)


def greedy_pairs(distance: Array) -> list[tuple[int, int]]:
    """Pairs of row and column, the nearest first, each row and column at most once.

    Of equals the first row, then the first column, wins. Infinite entries are no pairs.
    """
    rows, columns = np.nonzero(distance < np.inf)
    order = np.argsort(distance[rows, columns], kind="stable")
    free_rows, free_columns = [True] * distance.shape[0], [True] * distance.shape[1]
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if free_rows[row] and free_columns[column]:
            free_rows[row] = free_columns[column] = False
            pairs.append((row, column))
    return pairs


def is_number(value: object) -> bool:
    """Whether a setting is a number; a truth value is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
