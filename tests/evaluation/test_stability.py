from __future__ import annotations

import math

import pytest
from evaluation_cases import Box, MakeData, detections
from hypothesis import given
from hypothesis import strategies as st

from faim.data.coco_vid import Annotation
from faim.evaluation.stability import flips_per_100, found, found_share, is_found, stability

BOX: Box = (0.0, 0.0, 10.0, 10.0)


@pytest.mark.parametrize(
    ("label", "score", "box", "expected"),
    [
        (1, 0.31, BOX, True),
        (1, 0.29, BOX, False),
        (0, 0.9, BOX, False),
        (1, 0.9, (0.0, 0.0, 10.0, 5.1), True),  # IoU 0.51
        (1, 0.9, (0.0, 0.0, 10.0, 4.9), False),
    ],
)
def test_is_found(label: int, score: float, box: Box, expected: bool) -> None:
    assert is_found(Annotation(BOX, 1), detections((label, score, box))) is expected


def test_any_of_several_detections_will_do() -> None:
    several = detections((0, 0.9, BOX), (1, 0.1, BOX), (1, 0.4, BOX))
    assert is_found(Annotation(BOX, 1), several)
    assert not is_found(Annotation(BOX, 1), detections())


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ([[True] * 5], 0),
        ([[False] * 5], 0),
        ([[True, False, True]], 100),
        ([[True, True, False, False, False]], 25),
        # 1 flip in 4 transitions and 1 in 1: objects count by their length, and never join.
        ([[True, True, False, False, False], [False, True]], 40),
        ([[True, True], [False, False]], 0),
    ],
)
def test_flips(sequences: list[list[bool]], expected: float) -> None:
    assert flips_per_100(sequences) == pytest.approx(expected)


def test_no_transitions_have_no_flips() -> None:
    assert math.isnan(flips_per_100([[True], [False]]))
    assert math.isnan(found_share([]))


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=12), min_size=1, max_size=5))
def test_flips_do_not_care_for_direction_or_sign(sequences: list[list[bool]]) -> None:
    flips = flips_per_100(sequences)
    assert 0 <= flips <= 100
    assert flips_per_100([s[::-1] for s in sequences]) == flips
    assert flips_per_100([[not hit for hit in s] for s in sequences]) == flips


def test_objects_are_followed_by_their_instance(make_data: MakeData) -> None:
    other = (50.0, 50.0, 60.0, 60.0)
    data = make_data(
        [
            [(0, BOX, 1), (1, other, 2)],
            [(1, other, 2)],  # object 1 is away
            [(0, BOX, 1), (1, other, 2), (2, BOX, -1)],
        ]
    )
    hits = {1: detections((0, 0.9, BOX)), 3: detections((1, 0.9, other), (2, 0.9, BOX))}
    assert sorted(found(data, hits)) == sorted([[True, False], [False, False, True], [True]])
    figures = stability(data, hits)
    assert figures.found_share == pytest.approx(100 * 3 / 6)
    assert figures.flips_per_100 == pytest.approx(100 * 2 / 3)
