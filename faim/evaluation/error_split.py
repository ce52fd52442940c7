"""What the average precision is lost to, after TIDE (Bolya et al., ECCV 2020).

The package `tidecv` 1.0.1, of 2020, gives the same numbers; it needs seaborn and pandas, and keeps
Python objects of every detection. This is its definition on arrays.
"""

from __future__ import annotations

import numpy as np

from faim.evaluation.matching import best_pair, greedy_match, is_first, mean_average_precision
from faim.evaluation.tables import IOU_BACKGROUND, Bools, Case, Floats, Ints

IOU_FOUND = 0.5
KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
_CLASSIFICATION, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND, _MISSED = range(len(KINDS))
_RIGHT, _EXCUSED = -1, -2


def error_split(case: Case) -> dict[str, float]:
    """By how many points AP50 would rise if an oracle mended one kind of error alone.

    A detection that finds nothing at IoU 0.5 is, by the first of these that holds,
    `localisation`: overlaps an object of its class by 0.1 to 0.5; `classification`: overlaps one of
    another class by at least 0.5; `duplicate`: overlaps one of its class that is found already;
    `background`: overlaps none by more than 0.1; `both`: otherwise. `missed` are the objects that
    are neither found nor meant by one of the first two. The oracle moves the best detection that
    means an unfound object onto it (or into its class), drops all other detections of the kind, and
    takes missed objects off the ground truth; a class that has no others is then perfect.
    Detections that a crowd excuses do not count.

    Returns:
        Points of AP50 by kind, at least 0. They do not add up to what is missing to 100.
    """
    match = greedy_match(case, IOU_FOUND)
    kind, target = _kinds(case, match)
    mended = _mended(case, match, target)
    unfound = np.ones(len(case.objects.label), bool)
    unfound[match[match >= 0]] = False
    missed = unfound.copy()
    missed[target[mended]] = False
    counts = kind != _EXCUSED
    before = _ap50(case, kind == _RIGHT, keep=counts)
    gains = {}
    for number, name in enumerate(KINDS[:_MISSED]):
        of_kind = kind == number
        right = (kind == _RIGHT) | (of_kind & mended)
        label = case.found.label.copy()
        label[of_kind & mended] = case.objects.label[target[of_kind & mended]]
        gains[name] = _ap50(case, right, label=label, keep=counts & (~of_kind | mended)) - before
    gains["missed"] = _ap50(case, kind == _RIGHT, keep=counts, gone=missed) - before
    return {name: max(gain, 0.0) for name, gain in gains.items()}


def _kinds(case: Case, match: Ints) -> tuple[Ints, Ints]:
    """(k,) each detection's error, and the object that it means, -1 for none."""
    pairs, count = case.pairs, len(match)
    used = np.zeros(len(case.objects.label), bool)
    used[match[match >= 0]] = True
    same, own = best_pair(pairs[case.same_class], count)
    other, foreign = best_pair(pairs[~case.same_class], count)
    again, _ = best_pair(pairs[case.same_class & used[pairs.object]], count)
    nearest = np.maximum(same, other)
    kind: Ints = np.select(
        [
            match >= 0,
            case.excused,
            (same >= IOU_BACKGROUND) & (same <= IOU_FOUND),
            other >= IOU_FOUND,
            again >= IOU_FOUND,
            nearest <= IOU_BACKGROUND,
        ],
        [_RIGHT, _EXCUSED, _LOCALISATION, _CLASSIFICATION, _DUPLICATE, _BACKGROUND],
        _BOTH,
    )
    target: Ints = np.select([kind == _LOCALISATION, kind == _CLASSIFICATION], [own, foreign], -1)
    target[(target >= 0) & used[target]] = -1
    return kind, target


def _mended(case: Case, match: Ints, target: Ints) -> Bools:
    """(k,) the best detection of those that mean one unfound object."""
    mended: Bools = np.zeros(len(match), bool)
    meant = np.flatnonzero(target >= 0)
    order = meant[np.lexsort((-case.found.score[meant], target[meant]))]
    mended[order[is_first(target[order])]] = True
    return mended


def _ap50(
    case: Case,
    right: Bools,
    *,
    keep: Bools,
    label: Ints | None = None,
    gone: Bools | None = None,
) -> float:
    labels = case.found.label if label is None else label
    size = len(case.data.classes)
    present = np.flatnonzero(np.bincount(case.objects.label, minlength=size))
    left = case.objects.label if gone is None else case.objects.label[~gone]
    positives: Floats = np.bincount(left, minlength=size).astype(np.float64)
    weight = np.ones(int(keep.sum()))
    return mean_average_precision(
        labels[keep], case.found.score[keep], right[keep], weight, positives, present
    )
