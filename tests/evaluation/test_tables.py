from __future__ import annotations

import numpy as np
import pytest
from evaluation_cases import MakeData, detections
from hypothesis import given
from hypothesis import strategies as st

from faim.errors import FaimError
from faim.evaluation.matching import average_precision, greedy_match
from faim.evaluation.tables import Case, box_iou, lenient_iou

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
    assert case.found.rank.tolist() == [0, 0, 0, 0]  # of different classes or images
    assert case.pairs.found.tolist() == [1, 2]
    assert case.pairs.object.tolist() == [1, 2]
    assert case.pairs.iou == pytest.approx([0.5, 1])


def test_the_best_100_of_every_class_and_image(make_data: MakeData) -> None:
    many = [(label, 0.9 - i / 1000, BOX) for i in range(101) for label in (0, 1)]
    found = Case(
        make_data([[(0, BOX, 1)], []]), {1: detections(*many), 2: detections(many[0])}
    ).found
    assert np.bincount(2 * found.frame + found.label).tolist() == [100, 100, 1]
    assert found.rank[:200].tolist() == np.repeat(np.arange(100), 2).tolist()
    assert found.score[:200].min() == pytest.approx(0.9 - 99 / 1000)


def test_small_objects_are_found_sooner(make_data: MakeData) -> None:
    boxes = np.array([(0, 0, 10, 10), (0, 0, 100, 100), (0, 0, 4, 4), (0, 0, 10, 90)], float)
    assert lenient_iou(boxes) == pytest.approx([1 / 4, 1 / 2, (4 / 14) ** 2, 0.45])
    # A tiny object's overlaps are kept from its own threshold on, not from 0.1.
    tiny = (0.0, 0.0, 4.0, 4.0)
    found = {1: detections((0, 0.9, (0.0, 0.0, 13.0, 14.0)), (0, 0.8, (0.0, 0.0, 14.0, 15.0)))}
    case = Case(make_data([[(0, tiny, 1)]]), found)
    assert case.pairs.iou == pytest.approx([16 / 182])
    assert greedy_match(case, lenient_iou(case.objects.box)).tolist() == [0, -1]
    assert greedy_match(case).tolist() == [-1, -1]


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
        ([False], [1], 0, 100),
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
