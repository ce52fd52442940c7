from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import MakeData, detections
from hypothesis import given
from hypothesis import strategies as st

from faim.errors import FaimError
from faim.evaluation.matching import average_precision, greedy_match
from faim.evaluation.tables import Case, box_iou

BOX = (0.0, 0.0, 10.0, 10.0)
FAR = (50.0, 50.0, 60.0, 60.0)


def test_overlaps_by_hand() -> None:
    left = np.array([BOX, BOX, BOX])
    right = np.array([BOX, (5.0, 0.0, 15.0, 10.0), FAR])
    assert box_iou(left, right) == pytest.approx([1, 1 / 3, 0])


def test_pairs_stay_within_their_image_and_above_a_tenth(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)], [(0, BOX, 1), (1, FAR, 2)], []])
    found = {
        1: detections((0, 0.9, FAR)),
        2: detections((1, 0.2, FAR), (0, 0.7, (0.0, 0.0, 10.0, 5.0))),
        3: detections((0, 0.9, BOX)),
    }
    case = Case(data, found)
    assert case.found.score == pytest.approx([0.9, 0.7, 0.2, 0.9])  # best first in an image
    assert case.found.rank.tolist() == [0, 0, 1, 0]
    assert case.pairs.found.tolist() == [1, 2]
    assert case.pairs.object.tolist() == [1, 2]
    assert case.pairs.iou == pytest.approx([0.5, 1])


def test_instances_are_told_apart_by_video(make_data: MakeData) -> None:
    case = Case(make_data([[(0, BOX, 7), (1, FAR, -1)], [(0, BOX, 7)]]), {})
    assert case.objects.instance.tolist() == [0, -1, 0]


def test_the_best_detection_chooses_first_and_takes_what_it_overlaps_most(
    make_data: MakeData,
) -> None:
    near = (2.0, 0.0, 12.0, 10.0)
    data = make_data([[(0, BOX, 1), (0, near, 2)]])
    # The second prefers BOX too, but it is taken; the third finds nothing free.
    found = {1: detections((0, 0.9, BOX), (0, 0.8, BOX), (0, 0.7, BOX), (1, 0.95, BOX))}
    assert greedy_match(Case(data, found)).tolist() == [-1, 0, 1, -1]


def test_unknown_images_are_refused_or_left_out(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)]])
    with pytest.raises(FaimError, match="no image 9"):
        Case(data, {9: detections((0, 0.5, BOX))})
    assert not len(Case(data, {9: detections((0, 0.5, BOX))}, strict=False).found.score)


@pytest.mark.parametrize(
    ("right", "weight", "positives", "expected"),
    [
        ([True], [1], 1, 100),
        ([False, True], [1, 1], 1, 50),
        ([False, True], [0.5, 1], 1, 100 / 1.5),
        ([False, True], [0, 1], 1, 100),
        ([True], [1], 2, 100 * 51 / 101),
        ([], [], 3, 0),
        ([], [], 0, 100),
        ([False], [1], 0, 0),
    ],
)
def test_precision_by_hand(
    right: list[bool], weight: list[float], positives: int, expected: float
) -> None:
    score = np.linspace(1, 0.5, len(right))
    value = average_precision(score, np.array(right, bool), np.array(weight, float), positives)
    assert value == pytest.approx(expected)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=20))
def test_precision_grows_where_wrong_detections_weigh_less(rows: list[tuple[bool, float]]) -> None:
    right = np.array([hit for hit, _ in rows])
    weight = np.array([share for _, share in rows])
    score = np.linspace(1, 0, len(rows))
    whole = average_precision(score, right, np.ones(len(rows)), 20)
    assert 0 <= whole <= average_precision(score, right, weight, 20) + 1e-9 <= 100 + 1e-6
