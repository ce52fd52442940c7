from __future__ import annotations

import math

import numpy as np
import pytest
from evaluation_cases import MakeData, detections, random_case

from faim.evaluation.average_precision import ap_of
from faim.evaluation.motion import by_speed, motion_iou, speed_of
from faim.evaluation.tables import Case

STILL = (0.0, 0.0, 20.0, 20.0)


def moving(frame: int, step: float, top: float = 50.0) -> tuple[float, float, float, float]:
    return (10.0 + step * frame, top, 20.0 + step * frame, top + 10)


def test_iou_with_the_neighbours_by_hand(make_data: MakeData) -> None:
    # 10 wide, moving 2 a frame: IoU 8/12 one frame on, 6/14 two frames on.
    case = Case(make_data([[(0, moving(t, 2), 1)] for t in range(3)]), {})
    one, two = 8 / 12, 6 / 14
    assert motion_iou(case.objects) == pytest.approx([(one + two) / 2, one, (one + two) / 2])


def test_ten_frames_and_no_further(make_data: MakeData) -> None:
    def value(gap: int) -> float:
        frames: list[list[tuple[int, tuple[float, float, float, float], int]]]
        frames = [[(0, STILL, 1)], *[[] for _ in range(gap - 1)], [(0, STILL, 1)]]
        return float(motion_iou(Case(make_data(frames), {}).objects)[0])

    assert value(10) == 1
    assert value(11) == 0  # as FGFA counts an object without itself nearby


def test_a_long_track_is_its_mean_over_twenty_neighbours(make_data: MakeData) -> None:
    case = Case(make_data([[(0, moving(t, 1), 1)] for t in range(30)]), {})
    steps = np.arange(1, 11)
    ious = np.maximum(10 - steps, 0) / (10 + steps)
    values = motion_iou(case.objects)
    assert values[10:20] == pytest.approx(np.full(10, ious.mean()))
    assert values[0] == pytest.approx(ious.mean())
    assert values[3] == pytest.approx((ious.sum() + ious[:3].sum()) / 13)


def test_limits_of_the_speeds() -> None:
    values = np.array([0.91, 0.9, 0.7, 0.69, 0.0, math.nan])
    assert speed_of(values).tolist() == [0, 1, 1, 2, 2, -1]


def test_other_speeds_are_neither_right_nor_wrong(make_data: MakeData) -> None:
    """A slow object, found; a fast one, whose finder has the better score."""
    frames = [[(0, STILL, 1), (0, moving(t, 8), 2)] for t in range(2)]
    data = make_data(frames)
    found = {
        t + 1: detections((0, 0.9, moving(t, 8)), (0, 0.5, STILL), (0, 0.8, (2, 2, 19, 19)))
        for t in range(2)
    }
    result = by_speed(Case(data, found))
    assert result is not None
    # Slow: of scores 0.8 and 0.5 the first finds it (IoU 0.72); the second is a duplicate after it.
    # Were the fast one's finders wrong here, the precision would be 1/2.
    assert result.ap50["slow"] == pytest.approx(100)
    # Fast: both found, and the duplicate lies with the slow object.
    assert result.ap50["fast"] == pytest.approx(100)
    assert math.isnan(result.ap50["medium"])
    assert result.objects == {"slow": 2, "medium": 0, "fast": 2}


def test_a_wrong_detection_counts_where_it_lies(make_data: MakeData) -> None:
    frames = [[(0, STILL, 1), (0, moving(t, 8), 2)] for t in range(2)]
    data = make_data(frames)
    half = (0.0, 0.0, 20.0, 8.0)  # IoU 0.4 with the slow object
    found = {
        t + 1: detections((0, 0.9, half), (0, 0.8, STILL), (0, 0.7, moving(t, 8))) for t in range(2)
    }
    result = by_speed(Case(data, found))
    assert result is not None
    assert result.ap50["slow"] == pytest.approx(50)
    assert result.ap50["fast"] == pytest.approx(100)


def test_background_counts_with_the_share_of_the_objects(make_data: MakeData) -> None:
    away = (150.0, 80.0, 160.0, 90.0)
    frames = [
        [(0, STILL, 1), (0, (60.0, 0.0, 80.0, 20.0), 3), (0, moving(t, 8), 2)] for t in range(2)
    ]
    found = {
        t + 1: detections(
            (0, 0.9, away),
            (0, 0.8, STILL),
            (0, 0.7, (60.0, 0.0, 80.0, 20.0)),
            (0, 0.6, moving(t, 8)),
        )
        for t in range(2)
    }
    result = by_speed(Case(make_data(frames), found))
    assert result is not None
    # Two of three objects are slow: a wrong detection before all right ones weighs 2/3 a frame.
    assert result.ap50["slow"] == pytest.approx(100 * 4 / (4 + 2 * 2 / 3))
    assert result.ap50["fast"] == pytest.approx(100 * 2 / (2 + 2 * 1 / 3))


def test_an_object_without_itself_nearby_is_fast(make_data: MakeData) -> None:
    data = make_data([[(0, STILL, 1), (0, (60.0, 60.0, 90.0, 90.0), 2)], [(0, STILL, 1)]])
    result = by_speed(Case(data, {1: detections((0, 0.9, (60.0, 60.0, 90.0, 90.0)))}))
    assert result is not None
    assert (result.objects, result.unknown) == ({"slow": 2, "medium": 0, "fast": 1}, 0)
    assert (result.ap50["slow"], result.ap50["fast"]) == (0, pytest.approx(100))


def test_small_objects_are_found_from_the_devkit_s_overlap_on(make_data: MakeData) -> None:
    # 20 x 20: found from IoU (20/30)^2 = 0.444 on; here 0.45 and 0.44.
    data = make_data([[(0, STILL, 1)] for _ in range(2)])
    halves = [(0.0, 0.0, 20.0, 9.0), (0.0, 0.0, 20.0, 8.8)]
    case = Case(data, {t: detections((0, 0.9, box)) for t, box in enumerate(halves, start=1)})
    result = by_speed(case)
    assert result is not None
    # One of two found, the other a wrong detection of equal score after it: recall 0.5.
    assert result.ap50["slow"] == pytest.approx(100 * 51 / 101)
    assert ap_of(case).ap50 == 0


def test_objects_without_id_are_left_out_and_counted(make_data: MakeData) -> None:
    other = (60.0, 60.0, 80.0, 80.0)
    data = make_data([[(0, STILL, 1), (0, other, -1)], [(0, STILL, 1), (1, other, -1)]])
    found = {
        1: detections((0, 0.9, other), (0, 0.8, STILL)),
        2: detections((0, 0.9, other), (0, 0.8, STILL)),
    }
    result = by_speed(Case(data, found))
    assert result is not None
    assert result.ap50["slow"] == pytest.approx(100)  # what lies on unknown objects does not count
    assert (result.objects["slow"], result.unknown) == (2, 2)
    assert by_speed(Case(make_data([[(0, STILL, -1)]]), {})) is None


@pytest.mark.parametrize("seed", range(5))
def test_one_speed_alone_has_the_overall_ap50(make_data: MakeData, seed: int) -> None:
    frames, found = random_case(seed, frames=8, still=True, smallest=25)
    case = Case(make_data(frames), found)
    result = by_speed(case)
    assert result is not None
    assert result.objects["slow"] == len(case.objects.label)
    assert result.ap50["slow"] == pytest.approx(ap_of(case).ap50, abs=1e-9)
