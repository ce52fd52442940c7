"""What a network's input may measure."""

import numpy as np
import pytest

from faim.checks import is_side


@pytest.mark.parametrize(
    ("side", "fits"),
    [
        (32, True), (np.int64(416), True), (8192, True), (8224, False), (0, False), (-32, False),
        (48, False), (64.0, False), ("64", False), (None, False), (True, False),
    ],
)  # fmt: skip
def test_a_side_is_a_multiple_of_32(side: object, fits: bool) -> None:
    assert is_side(side) == fits


def test_the_longest_side_is_the_callers() -> None:
    assert (is_side(128, 96), is_side(96, 96), is_side(32_000, None)) == (False, True, True)
