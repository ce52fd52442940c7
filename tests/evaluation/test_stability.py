from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from evaluation_cases import Box, MakeData, detections, random_case
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from faim.data.coco_vid import Annotation
from faim.evaluation.stability import Stability, stability
from faim.structures import Detections

BOX: Box = (0.0, 0.0, 10.0, 10.0)


@pytest.mark.parametrize(
    ("label", "score", "box", "expected"),
    [
        (1, 0.31, BOX, 100),
        (1, 0.29, BOX, 0),
        (0, 0.9, BOX, 0),
        (1, 0.9, (0.0, 0.0, 10.0, 5.1), 100),  # IoU 0.51
        (1, 0.9, (0.0, 0.0, 10.0, 4.9), 0),
    ],
)
def test_what_is_found(
    make_data: MakeData, label: int, score: float, box: Box, expected: float
) -> None:
    found = {1: detections((label, score, box))}
    assert stability(make_data([[(1, BOX, 1)]]), found).found_share == expected


def test_any_of_several_detections_will_do(make_data: MakeData) -> None:
    data = make_data([[(1, BOX, 1)]])
    several = detections((0, 0.9, BOX), (1, 0.1, BOX), (1, 0.4, BOX))
    assert stability(data, {1: several}).found_share == 100
    assert stability(data, {1: detections()}).found_share == 0


#: Where the objects of `_figures` stand, one below the other.
ROWS: list[Box] = [(0.0, 20.0 * i, 10.0, 20.0 * i + 10) for i in range(5)]


def _figures(make_data: MakeData, sequences: Sequence[Sequence[bool]]) -> Stability:
    """Of objects that are annotated from the first frame on, found where their sequence says."""
    frames, found = [], {}
    for t in range(max(map(len, sequences))):
        there = [i for i, sequence in enumerate(sequences) if t < len(sequence)]
        frames.append([(0, ROWS[i], i) for i in there])
        found[t + 1] = detections(*[(0, 0.9, ROWS[i]) for i in there if sequences[i][t]])
    return stability(make_data(frames), found)


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
def test_flips(make_data: MakeData, sequences: list[list[bool]], expected: float) -> None:
    assert _figures(make_data, sequences).flips_per_100 == pytest.approx(expected)


def test_no_transitions_have_no_flips(make_data: MakeData) -> None:
    assert math.isnan(_figures(make_data, [[True], [False]]).flips_per_100)
    assert math.isnan(stability(make_data([[]]), {}).found_share)


@given(st.lists(st.lists(st.booleans(), min_size=2, max_size=8), min_size=1, max_size=5))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_flips_do_not_care_for_direction_or_sign(
    make_data: MakeData, sequences: list[list[bool]]
) -> None:
    flips = _figures(make_data, sequences).flips_per_100
    assert 0 <= flips <= 100
    assert _figures(make_data, [s[::-1] for s in sequences]).flips_per_100 == flips
    assert _figures(make_data, [[not hit for hit in s] for s in sequences]).flips_per_100 == flips


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
    # Found are: the first object in frame 1 of 2, the second in frame 3 of 3, the third in its one.
    figures = stability(data, hits)
    assert figures.found_share == pytest.approx(100 * 3 / 6)
    assert figures.flips_per_100 == pytest.approx(100 * 2 / 3)


def test_found_share_of_objects_weighs_long_and_short_tracks_alike(make_data: MakeData) -> None:
    other = (50.0, 50.0, 60.0, 60.0)
    data = make_data([[(0, BOX, 1), (1, other, 2)], [(0, BOX, 1)], [(0, BOX, 1)]])
    figures = stability(data, {1: detections((1, 0.9, other))})
    assert figures.found_share == pytest.approx(25)
    assert figures.found_share_per_instance == pytest.approx(50)


def test_class_switches_of_the_best_detection(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1), (1, (50.0, 50.0, 60.0, 60.0), 2)] for _ in range(5)])
    best = [0, 0, None, 1, 0]  # a frame without a detection is passed over
    found = {
        t: detections((label, 0.8, BOX), (2, 0.5, BOX), (2, 0.9, (0.0, 0.0, 10.0, 4.0)))
        for t, label in enumerate(best, start=1)
        if label is not None
    }
    # 0 to 1 and 1 to 0 of one object, and nothing of the other.
    assert stability(data, found).class_switches == pytest.approx(2 / 2)
    assert math.isnan(stability(make_data([[(0, BOX, -1)]]), {}).class_switches)


def test_jitter_by_hand(make_data: MakeData) -> None:
    def truth(t: int) -> Box:  # 20 x 5, so that sqrt(area) is 10; it moves, which is no jitter
        return (30.0 * t, 0.0, 30.0 * t + 20, 5.0)

    data = make_data([[(0, truth(t), 1)] for t in range(4)])
    shifted = [0.0, 3.0, 3.0]
    found = {
        t + 1: detections((0, 0.9, (30.0 * t + dx, 0.0, 30.0 * t + 20 + dx, 5.0)))
        for t, dx in enumerate(shifted)
    }
    figures = stability(data, found)
    # Two pairs of frames in which it is found: moved by 3 of 10, and by 0.
    assert figures.centre_jitter == pytest.approx(15)
    assert figures.size_jitter == pytest.approx(0)
    found[3] = detections((0, 0.9, (63.0, 0.0, 63.0 + 20 * math.exp(0.2), 5.0)))
    assert stability(data, found).size_jitter == pytest.approx(100 * (0 + 0.2 / 2) / 2, rel=1e-5)


def test_no_jitter_without_two_frames_in_a_row(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)] for _ in range(3)])
    figures = stability(data, {t: detections((0, 0.9, BOX)) for t in (1, 3)})
    assert math.isnan(figures.centre_jitter)
    assert math.isnan(figures.size_jitter)
    assert stability(data, {t: detections((0, 0.9, BOX)) for t in (1, 2)}).centre_jitter == 0


@pytest.mark.parametrize("seed", range(3))
def test_arrays_agree_with_one_object_at_a_time(make_data: MakeData, seed: int) -> None:
    frames, hits = random_case(seed, frames=12, still=True)
    data = make_data(frames)
    shares, flips, pairs, hit = [], 0, 0, 0
    for place in range(len(data.frames[0].annotations)):
        seen = [_is_found(frame.annotations[place], hits[frame.image_id]) for frame in data.frames]
        flips += sum(a != b for a, b in pairwise(seen))
        pairs, hit = pairs + len(seen) - 1, hit + sum(seen)
        shares.append(sum(seen) / len(seen))
    figures = stability(data, hits)
    assert figures.found_share == pytest.approx(100 * hit / (pairs + len(shares)))
    assert figures.found_share_per_instance == pytest.approx(100 * sum(shares) / len(shares))
    assert figures.flips_per_100 == pytest.approx(100 * flips / pairs)


def _is_found(annotation: Annotation, found: Detections) -> bool:
    match = (found.class_ids == annotation.category_id) & (found.scores >= 0.3)
    overlap = box_iou(found.boxes[match].double(), torch.tensor([annotation.box]).double())
    return bool((overlap >= 0.5).any())
