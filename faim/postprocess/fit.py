"""Learning REPP's matching model from annotated video."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.postprocess.pairs import Array, PairModel, pair_features

Integers: TypeAlias = NDArray[np.int64]
#: Positive pairs to learn from, and negative ones.
MOST_PAIRS = 50_000
#: Noise on the boxes, as a share of their sides.
JITTER = 0.1
#: Newton's method ends when no weight moves by more.
_TOLERANCE = 1e-10
_MOST_STEPS = 100


@dataclass(frozen=True)
class Fit:
    """What was learnt, and from what.

    Attributes:
        model: the regression.
        positives: pairs of boxes of one object.
        negatives: pairs of boxes of two objects, as many.
        accuracy: share of the pairs that it tells rightly at a probability of 0.5.
    """

    model: PairModel
    positives: int
    negatives: int
    accuracy: float


def fit_pair_model(
    annotations: Path, *, max_gap: int = 1, jitter: float = JITTER, seed: int = 0
) -> Fit:
    """Learn to tell pairs of boxes of one object from pairs of two.

    A positive pair is an object in two frames of a video at most `max_gap` apart; there are at most
    50,000, chosen at random, as the authors of REPP had (from frames less than 25 apart). For each
    there is one negative pair, as with them: its first box and another object, in the frame of the
    second box if there is one, else in the video, else in another video.

    Args:
        annotations: CocoVID with instance ids; annotations without do not count.
        max_gap: 1 or more.
        jitter: noise on the sides of all boxes, as a share of the box's width or height; 0 or more.
            Detections are less exact than annotations, and a model that was learnt from exact boxes
            links too few of them.
        seed: of all choices.

    Raises:
        FaimError: no object stands in two frames so close, or there is only one object.
    """
    if max_gap < 1:
        raise FaimError(f"max gap: {max_gap} given; expected 1 or more frames")
    if not (math.isfinite(jitter) and jitter >= 0):
        raise FaimError(f"jitter: {jitter} given; expected a number from 0 on")
    boxes = _known_boxes(CocoVid(annotations))
    random = np.random.default_rng(seed)
    positives = _positives(boxes, max_gap)
    if not len(positives):
        raise FaimError(
            f"{annotations}: no object with an instance id stands in two frames at most {max_gap} "
            "apart; expected annotated video"
        )
    if (boxes.instances == boxes.instances[0]).all():
        raise FaimError(f"{annotations}: all boxes are of one object; expected two or more objects")
    if len(positives) > MOST_PAIRS:
        positives = random.choice(positives, MOST_PAIRS, replace=False)
    negatives = np.array([_other(boxes, first, second, random) for first, second in positives])
    sides = _jittered(boxes.sides, jitter, random)
    first = sides[positives[:, 0]]
    features = np.concatenate(
        [pair_features(first, sides[other], (1, 1)) for other in (positives[:, 1], negatives)]
    )
    labels = np.repeat([1.0, 0.0], len(positives))
    weights, intercept = logistic_regression(features, labels)
    right = (features @ weights + intercept > 0) == (labels > 0.5)
    distance, height, iou, width = map(float, weights)
    model = PairModel(distance, height, iou, width, intercept)
    return Fit(model, len(positives), len(negatives), float(right.mean()))


def logistic_regression(
    features: Array, labels: Array, penalty: float = 1.0
) -> tuple[Array, float]:
    """Weights and intercept of least log loss, by Newton's method.

    The loss is summed over the rows, plus half of `penalty` times the squared weights; the
    intercept is free. With a penalty of 1 this is scikit-learn's default.

    Args:
        features: (n, d).
        labels: (n,) 0 or 1, both present.
        penalty: above 0, so that classes that can be separated have a solution.
    """
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    ridge = penalty * np.eye(rows.shape[1])
    ridge[-1, -1] = 0
    weights = np.zeros(rows.shape[1])

    def loss(weights: Array) -> float:
        margins = (1 - 2 * labels) * (rows @ weights)
        return float(np.logaddexp(0, margins).sum() + weights @ ridge @ weights / 2)

    for _ in range(_MOST_STEPS):
        probable = 1 / (1 + np.exp(-np.clip(rows @ weights, -500, 500)))
        gradient = rows.T @ (probable - labels) + ridge @ weights
        curvature = (rows * (probable * (1 - probable))[:, None]).T @ rows + ridge
        step = np.linalg.lstsq(curvature, gradient, rcond=None)[0]
        # A full step may go too far at first; half of it, or a quarter, does not.
        while loss(weights - step) > loss(weights) and np.abs(step).max() > _TOLERANCE:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= _TOLERANCE:
            break
    return weights[:-1], float(weights[-1])


@dataclass(frozen=True)
class _Boxes:
    """Boxes with an instance id, in the order of videos and frames.

    Attributes:
        sides: (n, 4) x1 y1 x2 y2, the longer side of the frame being 1.
        videos: (n,) a number for every video, rising.
        frames: (n,) a number for every frame, rising.
        instances: (n,) a number for every object of every video.
    """

    sides: Array
    videos: Integers
    frames: Integers
    instances: Integers


def _known_boxes(data: CocoVid) -> _Boxes:
    sides: list[list[float]] = []
    keys: list[tuple[int, int, int]] = []
    frames = ((place, frame) for place, video in enumerate(data.videos) for frame in video.frames)
    for number, (place, frame) in enumerate(frames):
        longest = max(frame.height, frame.width)
        for annotation in frame.annotations:
            if annotation.instance_id >= 0:
                sides.append([side / longest for side in annotation.box])
                keys.append((place, annotation.instance_id, number))
    columns = np.array(keys, np.int64).reshape(-1, 3)
    instances = np.unique(columns[:, :2], axis=0, return_inverse=True)[1].reshape(-1)
    return _Boxes(np.array(sides).reshape(-1, 4), columns[:, 0], columns[:, 2], instances)


def _positives(boxes: _Boxes, max_gap: int) -> Integers:
    """(p, 2) places of two boxes of an object, the earlier first."""
    order = np.lexsort((boxes.frames, boxes.instances))
    pairs = [np.zeros((0, 2), np.int64)]
    for offset in range(1, min(max_gap, len(order) - 1) + 1):
        early, late = order[:-offset], order[offset:]
        gaps = boxes.frames[late] - boxes.frames[early]
        same = boxes.instances[late] == boxes.instances[early]
        near = same & (gaps >= 1) & (gaps <= max_gap)
        if not (same & (gaps <= max_gap)).any():
            break  # as boxes of an object are in order, the next are farther apart
        pairs.append(np.stack([early[near], late[near]], axis=1))
    return np.concatenate(pairs)


def _jittered(boxes: Array, jitter: float, random: np.random.Generator) -> Array:
    """Boxes with every side moved by normal noise, `jitter` times the box's extent wide."""
    extents = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + jitter * extents * random.standard_normal(boxes.shape)
    corners = np.sort(moved.reshape(-1, 2, 2), axis=1)  # noise may turn a box inside out
    return corners.reshape(-1, 4)


def _other(boxes: _Boxes, first: int, second: int, random: np.random.Generator) -> int:
    """The place of a box of another object than that of two boxes; there is one."""
    columns = (boxes.frames, boxes.frames[second]), (boxes.videos, boxes.videos[first])
    for column, value in columns:
        low, high = np.searchsorted(column, [value, value + 1])
        options = low + np.flatnonzero(boxes.instances[low:high] != boxes.instances[first])
        if len(options):
            return int(random.choice(options))
    while True:
        other = int(random.integers(len(boxes.instances)))
        if boxes.instances[other] != boxes.instances[first]:
            return other
