"""One box an object, of one class, under a number that stays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from postprocess_helpers import SIZE, scored

from faim.errors import FaimError
from faim.postprocess.causal import CausalState
from faim.postprocess.one_object import OneObjectConfig, calibrated, rivals
from faim.postprocess.post import CausalPost, WholeVideoPost
from faim.stream.state import StreamState
from faim.structures import ScoredBoxes

PLACE = [100.0, 100, 200, 200]
NEAR = [105.0, 100, 205, 200]  # IoU 0.905
AWAY = [400.0, 100, 500, 200]
PLAIN = OneObjectConfig(slope=1, shift=0)
DOG, COW = 0, 1


def stream(
    frames: Sequence[ScoredBoxes], config: OneObjectConfig = PLAIN, least: float = 0.3
) -> list[ScoredBoxes]:
    post, state, found = CausalPost(shown=config), None, []
    for frame in frames:
        shown, state = post.step(frame, SIZE, state, least)
        found.append(shown)
    return found


def seen(frame: ScoredBoxes, least: float = 0.3) -> list[tuple[int, int]]:
    """(class, number) of what is shown of a frame."""
    assert frame.track_ids is not None
    rows, labels = (frame.scores >= least).nonzero(as_tuple=True)
    return list(zip(labels.tolist(), frame.track_ids[rows].tolist(), strict=True))


def test_one_thing_with_two_names_is_the_surer_of_them() -> None:
    frame = scored((PLACE, [0.6, 0.0]), (NEAR, [0.0, 0.5]))
    for shown in (stream([frame] * 6)[-1], list(WholeVideoPost().run([frame] * 6, [SIZE] * 6))[-1]):
        assert seen(shown) == [(DOG, 1)]
        # What it is not goes on below, in its order.
        assert shown.scores[:, COW].max() == pytest.approx(0.05)


def test_the_name_is_that_of_the_evidence_and_not_of_the_frame() -> None:
    dog = scored((PLACE, [0.7, 0.1]))
    cow = scored((PLACE, [0.4, 0.6]))
    assert [seen(frame) for frame in stream([dog] * 6 + [cow] * 2)] == [
        [(DOG, -1)], *[[(DOG, 1)]] * 7
    ]  # fmt: skip


def test_what_was_shown_keeps_its_place_from_one_that_is_hardly_surer() -> None:
    first = [scored((PLACE, [0.5, 0.0]))] * 4
    both = [scored((PLACE, [0.5, 0.0]), (NEAR, [0.0, 0.55]))] * 4
    much = [scored((PLACE, [0.5, 0.0]), (NEAR, [0.0, 0.8]))] * 12
    found = stream(first + both)
    assert [seen(frame)[0][0] for frame in found] == [DOG] * 8
    found = stream(first + much)
    assert seen(found[-1]) == [(COW, 1)]  # it is the same object: its number stays
    assert all(len(seen(frame)) == 1 for frame in found)


def test_two_objects_beside_each_other_are_two() -> None:
    frame = scored((PLACE, [0.6, 0.0]), ([150.0, 100, 250, 200], [0.0, 0.5]))  # IoU 1/3
    assert sorted(seen(stream([frame] * 3)[-1])) == [(DOG, 1), (COW, 2)]


def test_one_that_is_not_sure_waits_for_another_frame() -> None:
    unsure, sure = scored((PLACE, [0.35, 0.0])), scored((PLACE, [0.7, 0.0]))
    found = stream([unsure, unsure])
    assert [seen(frame) for frame in found] == [[], [(DOG, 1)]]
    # 0.35 is 2 - 2 * 0.35 / 0.6 = 5/6 of the way to the full doubt, 0.8.
    assert float(found[0].scores[0, DOG]) == pytest.approx(0.35 * (1 - 0.2 * 5 / 6))
    assert [seen(frame) for frame in stream([sure, sure])] == [[(DOG, -1)], [(DOG, 1)]]


def test_numbers_are_given_in_the_order_in_which_objects_are_shown() -> None:
    weak = scored((AWAY, [0.15, 0.0]))
    both = scored((AWAY, [0.15, 0.0]), (PLACE, [0.7, 0.0]))
    risen = scored((AWAY, [0.9, 0.0]), (PLACE, [0.7, 0.0]))
    found = stream([weak] * 3 + [both] * 3 + [risen] * 10)
    assert [seen(frame) for frame in found[4:6]] == [[(DOG, 1)]] * 2
    assert sorted(seen(found[-1])) == [(DOG, 1), (DOG, 2)]
    whole = list(WholeVideoPost().run([both] * 3 + [risen] * 10, [SIZE] * 13, 0.3))
    assert sorted(seen(whole[-1])) == [(DOG, 1), (DOG, 2)]


def test_a_number_stays_over_a_gap_and_is_never_given_again() -> None:
    frame, nothing = scored((PLACE, [0.8, 0.0])), scored()
    found = stream([frame] * 3 + [nothing] * 2 + [frame] * 2)
    assert [seen(shown) for shown in found[2:]] == [[(DOG, 1)]] * 5
    found = stream([frame] * 3 + [nothing] * 5 + [frame] * 3)
    assert seen(found[-1]) == [(DOG, 2)]


def test_numbers_go_on_after_a_cut_and_from_a_file(tmp_path: Path) -> None:
    post, frame = CausalPost(shown=PLAIN), scored((PLACE, [0.8, 0.0]))
    state: CausalState | None = None
    for _ in range(2):
        shown, state = post.step(frame, SIZE, state)
    assert state is not None
    assert seen(shown) == [(DOG, 1)]
    stored = StreamState.empty(0)
    stored.post = state
    stored.save(tmp_path / "state")
    again = StreamState.load(tmp_path / "state").post
    assert again is not None
    for past, number in ((again, 1), (again.forgotten(), 2)):
        later: CausalState = past
        for _ in range(2):
            shown, later = post.step(frame, SIZE, later)
        assert seen(shown) == [(DOG, number)]
    smaller = (SIZE[0], SIZE[1] - 2)
    for _ in range(2):
        shown, state = post.step(frame, smaller, state)
    assert seen(shown) == [(DOG, 2)]


def test_states_of_older_files_have_tubelets_without_numbers() -> None:
    frame = scored((PLACE, [0.8, 0.0]))
    post = CausalPost(shown=PLAIN)
    _, state = post.step(frame, SIZE, None)
    names = ("boxes", "smoothed", "means", "weights", "members", "missed", "size")
    old = CausalState(**{name: getattr(state, name) for name in names})
    old.check()
    assert old.ids.tolist() == [-1]
    shown, _ = post.step(frame, SIZE, old)
    assert seen(shown) == [(DOG, 1)]


def test_rivals_by_hand() -> None:
    boxes = np.array([PLACE, NEAR, AWAY, [140.0, 100, 240, 200]])  # the last: 0.43 and 0.48
    of = np.array([0, 1, 0, 0])
    strength = np.array([0.5, 0.6, 0.1, 0.2])
    assert rivals(boxes, of, strength, PLAIN).tolist() == [1, 1, 2, 3]
    # One class: IoU 0.905 is above 0.5, and what is suppressed suppresses nothing.
    same = np.zeros(4, np.int64)
    loose = OneObjectConfig(same_iou=0.45)
    assert rivals(boxes, same, strength, loose).tolist() == [1, 1, 2, 1]
    assert rivals(boxes, same, np.array([0.6, 0.5, 0.1, 0.2]), loose).tolist() == [0, 0, 2, 3]
    assert rivals(boxes, same, np.zeros(4), loose).tolist() == [0, 1, 2, 3]
    assert rivals(boxes[:2], of[:2], np.array([0.5, 0.5]), PLAIN).tolist() == [0, 0]


def test_calibration() -> None:
    config = OneObjectConfig(slope=2, shift=1)
    odds = 2 * math.log(0.3 / 0.7) + 1
    found = calibrated(np.array([0.0, 0.3, 1.0]), config)
    assert found.tolist() == pytest.approx([0, 1 / (1 + math.exp(-odds)), 1])
    assert calibrated(np.array([0.3]), PLAIN).tolist() == [0.3]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"same_iou": 1.5}, "same_iou is 1.5; expected a number from 0 to 1"),
        ({"lead": 0.5}, "lead is 0.5; expected a number from 1 on"),
        ({"certain": 0}, "certain is 0; expected a number above 0"),
        ({"slope": 0}, "slope is 0 and shift"),
    ],
)
def test_wrong_settings(settings: dict[str, float], match: str) -> None:
    with pytest.raises(FaimError, match=match):
        OneObjectConfig(**settings)  # type: ignore[arg-type]


def test_frames_without_boxes_are_nothing() -> None:
    for found in (stream([scored()] * 2), list(WholeVideoPost().run([scored()] * 2, [SIZE] * 2))):
        assert [len(frame.boxes) for frame in found] == [0, 0]
        assert all(
            torch.equal(f.track_ids, torch.zeros(0).long())
            for f in found
            if f.track_ids is not None
        )
