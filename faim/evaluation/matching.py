"""Which detection finds which object, and the precision that follows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from faim.evaluation.tables import Bools, Case, Floats, Ints, Pairs

#: Recalls at which COCO reads the precision.
RECALLS = np.linspace(0, 1, 101)


def greedy_match(case: Case, threshold: float | Floats = 0.5) -> Ints:
    """The object that each detection finds: (k,), -1 where it finds none.

    Detections choose best first; each takes, of the objects of its class that are still free and
    overlap it by at least `threshold`, the one it overlaps most.

    Args:
        case: what is matched.
        threshold: IoU, of all objects or (g,) of each; not below what `case.pairs` keeps.
    """
    least = np.broadcast_to(threshold, case.objects.label.shape)[case.pairs.object]
    pairs, rank = case.pairs[case.same_class & (case.pairs.iou >= least)], case.found.rank
    # COCO lets the later of two equal overlaps win.
    order = np.lexsort((-pairs.object, -pairs.iou, pairs.found, rank[pairs.found]))
    found, wanted = pairs.found[order], pairs.object[order]
    match: Ints = np.full(len(rank), -1, np.int64)
    taken = np.zeros(len(case.objects.label), bool)
    highest = int(rank.max(initial=-1))
    bounds = np.searchsorted(rank[found], np.arange(highest + 2))
    # Detections of one rank differ in image or class, so none is in another's way.
    for start, end in pairwise(bounds.tolist()):
        free = ~taken[wanted[start:end]]
        choosers, choices = found[start:end][free], wanted[start:end][free]
        best = is_first(choosers)
        match[choosers[best]] = choices[best]
        taken[choices[best]] = True
    return match


def is_first(sorted_values: Ints) -> Bools:
    """Where a new value begins."""
    new: Bools = np.ones(len(sorted_values), bool)
    new[1:] = sorted_values[1:] != sorted_values[:-1]
    return new


def best_pair(pairs: Pairs, count: int) -> tuple[Floats, Ints]:
    """Of each of `count` detections the largest overlap and its object; 0 and -1 without any."""
    order = np.lexsort((pairs.object, -pairs.iou, pairs.found))
    order = order[is_first(pairs.found[order])]
    iou: Floats = np.zeros(count)
    place: Ints = np.full(count, -1, np.int64)
    iou[pairs.found[order]] = pairs.iou[order]
    place[pairs.found[order]] = pairs.object[order]
    return iou, place


def average_precision(score: Floats, right: Bools, weight: Floats, positives: float) -> float:
    """COCO's interpolated average precision of one class, in percent.

    Args:
        score: (k,) of the detections that count.
        right: (k,) whether each finds an object.
        weight: (k,) how much a wrong one counts, in [0, 1].
        positives: objects to be found.

    Returns:
        In [0, 100]; 100 with no object to be found.
    """
    if positives <= 0:
        return 100.0
    if not len(score):
        return 0.0
    order = np.argsort(-score, kind="stable")
    true = np.cumsum(right[order].astype(np.float64))
    false = np.cumsum(np.where(right[order], 0.0, weight[order]))
    precision = true / (true + false + np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(true / positives, RECALLS, side="left")
    reached = places < len(envelope)
    return 100 * float(envelope[places[reached]].sum()) / len(RECALLS)


def mean_average_precision(
    label: Ints, score: Floats, right: Bools, weight: Floats, positives: Floats, classes: Ints
) -> float:
    """`average_precision` averaged over `classes`; NaN without any.

    Args:
        label: (k,) class of each detection; the rest as in `average_precision`.
        score: (k,).
        right: (k,).
        weight: (k,).
        positives: (C,) objects to be found of each class.
        classes: those that count.
    """
    if not len(classes):
        return float("nan")
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], np.arange(len(positives) + 1))
    values = []
    for index in classes.tolist():
        rows = order[bounds[index] : bounds[index + 1]]
        values.append(
            average_precision(score[rows], right[rows], weight[rows], float(positives[index]))
        )
    return float(np.mean(values))
