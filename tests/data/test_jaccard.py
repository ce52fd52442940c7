from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from faim.data.jaccard import jaccard
from faim.errors import FaimError

PAIRS = array_shapes(min_dims=2, max_dims=2, max_side=8).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


def _square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((20, 30), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_shifted_squares() -> None:
    assert jaccard(_square(2, 3, 10), _square(2, 3, 10)) == 1
    assert jaccard(_square(2, 3, 10), _square(2, 8, 10)) == 50 / 150
    assert jaccard(_square(4, 5, 4), _square(2, 3, 10)) == 16 / 100
    assert jaccard(_square(0, 0, 5), _square(10, 10, 5)) == 0


def test_empty_masks() -> None:
    empty = np.zeros((20, 30), bool)
    assert jaccard(empty, empty) == 1
    assert jaccard(empty, _square(1, 1, 2)) == 0
    assert jaccard(_square(1, 1, 2), empty) == 0


@given(PAIRS)
def test_symmetric_and_by_hand(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    places = [set(map(tuple, np.argwhere(mask).tolist())) for mask in pair]
    union = places[0] | places[1]
    expected = len(places[0] & places[1]) / len(union) if union else 1
    assert jaccard(first, second) == jaccard(second, first) == expected


def test_sizes_must_agree() -> None:
    with pytest.raises(FaimError, match=r"shapes \(2, 3\) and \(3, 2\); expected two of one size"):
        jaccard(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(FaimError, match="expected two of one size"):
        jaccard(np.zeros((1, 2, 3), bool), np.zeros((1, 2, 3), bool))
