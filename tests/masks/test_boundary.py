from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from faim.errors import FaimError
from faim.masks.evaluation.boundary import boundary, boundary_f

PAIRS = array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


def _points(mask: np.ndarray) -> list[tuple[int, int]]:
    """Pixels that differ from one of their three followers; beyond the image there is none."""
    height, width = mask.shape
    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if any(
            y + dy < height and x + dx < width and mask[y + dy, x + dx] != mask[y, x]
            for dy, dx in ((0, 1), (1, 0), (1, 1))
        )
    ]


def _brute_force(predicted: np.ndarray, truth: np.ndarray, reach: float) -> float:
    ours, theirs = _points(predicted), _points(truth)
    if not (ours and theirs):
        return float(np.array_equal(predicted, truth))
    near = [[math.dist(a, b) <= reach for b in theirs] for a in ours]
    precision = sum(map(any, near)) / len(ours)
    recall = sum(map(any, zip(*near, strict=True))) / len(theirs)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


@settings(max_examples=200)
@given(PAIRS, st.integers(0, 3))
def test_as_by_the_definition(pair: tuple[np.ndarray, np.ndarray], reach: int) -> None:
    predicted, truth = pair
    tolerance = (reach - 1e-6) / math.hypot(*truth.shape) if reach else 0
    expected = _brute_force(predicted, truth, reach)
    assert boundary_f(predicted, truth, tolerance) == pytest.approx(expected, abs=1e-12)


def test_boundary_of_a_rectangle() -> None:
    mask = np.zeros((6, 8), bool)
    mask[2:4, 3:6] = True
    expected = np.zeros((6, 8), bool)
    expected[1, 2:6] = expected[3, 2:6] = True
    expected[1:4, 2] = expected[1:4, 5] = True
    assert np.array_equal(boundary(mask), expected)
    assert not boundary(np.ones((6, 8), bool)).any()


def _shape(name: str) -> np.ndarray:
    """Masks of 120x200 by formula: the tolerance is ceil(0.008 * 233.2) = 2 pixels."""
    y, x = np.mgrid[:120, :200]
    angle = np.arctan2(y - 60, x - 90)
    radius = np.hypot(y - 60, x - 90)
    return {
        "circle": radius <= 40,
        "flower": radius <= 40 + 6 * np.sin(5 * angle),
        "wide": ((x - 95) / 60) ** 2 + ((y - 60) / 38) ** 2 <= 1,
        "edge": (x >= 150) & (y >= 70),
        "bars": (x // 5 % 2 == 0) & (radius <= 50),
        "small": (abs(x - 90) <= 1) & (abs(y - 60) <= 1),
    }[name]


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        ("circle", "flower", 0.30769230769230765),
        ("flower", "circle", 0.30769230769230765),
        ("wide", "circle", 0.3364147181439188),
        ("edge", "circle", 0.0),
        ("bars", "circle", 0.2477341389728097),
        ("bars", "flower", 0.2780801583374567),
        ("small", "circle", 0.0),
        ("wide", "flower", 0.17728489483747611),
        ("edge", "edge", 1.0),
    ],
)
def test_as_trackeval(predicted: str, truth: str, expected: float) -> None:
    """Figures of TrackEval 1.3.0, `JAndF._compute_f` with 0.008."""
    assert boundary_f(_shape(predicted), _shape(truth)) == pytest.approx(expected, abs=1e-9)


def test_tolerance_grows_with_the_image() -> None:
    x = np.broadcast_to(np.arange(854), (480, 854))
    for shift, expected in ((8, 1), (9, 0)):  # ceil(0.008 * 979.7) = 8
        assert boundary_f(x < 200 + shift, x < 200) == expected
        assert boundary_f(x[:240, :427] < 200 + shift // 2, x[:240, :427] < 200) == 1  # 4 pixels
    assert boundary_f(x[:240, :427] < 205, x[:240, :427] < 200) == 0


def test_masks_without_boundary() -> None:
    empty, full = np.zeros((20, 30), bool), np.ones((20, 30), bool)
    part = empty.copy()
    part[3:9, 4:9] = True
    assert boundary_f(empty, empty) == boundary_f(full, full) == 1
    assert boundary_f(empty, full) == boundary_f(full, empty) == 0
    assert boundary_f(empty, part) == boundary_f(part, full) == 0


def test_sizes_must_agree() -> None:
    with pytest.raises(FaimError, match="expected two of one size"):
        boundary_f(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
