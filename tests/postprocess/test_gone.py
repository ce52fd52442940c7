"""An object that is gone stays gone, and one that takes its place is seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from postprocess_helpers import SIZE, scored

from faim.postprocess.causal import CausalRepp, CausalState
from faim.postprocess.evidence import support
from faim.postprocess.repp import Repp, ReppConfig
from faim.structures import ScoredBoxes

PLACE = [100.0, 100, 200, 200]
#: Scores from here on are shown.
SHOWN = 0.3
#: Frames that a gone object may stay, as documented.
MOST = 2
A, B = 0, 1


def one(score: float, label: int = A, shift: float = 0.0) -> ScoredBoxes:
    scores = [0.0, 0.0]
    scores[label] = score
    return scored(([value + shift for value in PLACE], scores))


def levels(found: list[ScoredBoxes], label: int = A) -> list[float]:
    """Every frame's best score of a class."""
    return [float(frame.scores[:, label].max()) if len(frame.boxes) else 0.0 for frame in found]


def shown(found: list[ScoredBoxes], label: int = A) -> int:
    return sum(level >= SHOWN for level in levels(found, label))


SEEN = [one(0.9)] * 30


@pytest.mark.parametrize("label", [A, B])
@pytest.mark.parametrize("weak", [0.0009, 0.001, 0.005, 0.02, 0.05, 0.1])
def test_weak_boxes_of_either_class_do_not_keep_a_gone_object(weak: float, label: int) -> None:
    video = SEEN + [one(weak, label)] * 300
    found = CausalRepp().apply(video, SIZE)
    assert shown(found[:30]) == 30
    assert shown(found[30:]) == MOST
    whole = Repp().apply(video, SIZE)
    assert levels(whole[:30]) == pytest.approx([0.9] * 30)
    assert shown(whole[30:]) == 0


@pytest.mark.parametrize("strength", [0.35, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("seen", [1, 2, 3, 30, 90])
@pytest.mark.parametrize("seed", range(3))
def test_clutter_in_its_place_does_not_either(strength: float, seen: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    clutter = []
    for _ in range(100):
        rows = []
        for _ in range(random.integers(0, 4)):
            box = np.array(PLACE) + random.normal(0, 4, 4)
            rows.append((box.tolist(), random.uniform(0, 0.1, 2).tolist()))
        clutter.append(scored(*rows))
    found = CausalRepp().apply([one(strength)] * seen + clutter, SIZE)
    assert shown(found[seen:]) <= MOST
    assert not any(level >= SHOWN for level in levels(found[seen + MOST :]))
    assert shown(found[seen:], B) == 0


def test_another_object_in_its_place_is_seen_after_two_frames() -> None:
    video = SEEN + [one(0.6, B)] * 120
    found = CausalRepp().apply(video, SIZE)[30:]
    assert shown(found) == MOST
    assert levels(found, B)[MOST:] == pytest.approx([0.6] * 118)
    whole = Repp().apply(video, SIZE)
    assert levels(whole) == pytest.approx([0.9] * 30 + [0.0] * 120)
    assert levels(whole, B) == pytest.approx([0.0] * 30 + [0.6] * 120)


@pytest.mark.parametrize("label", [A, B])
@pytest.mark.parametrize("weak", [0.02, 0.1])
def test_a_weak_past_does_not_hide_an_object(weak: float, label: int) -> None:
    found = CausalRepp().apply([one(weak, label)] * 60 + [one(0.6)] * 5, SIZE)
    assert shown(found[60:]) >= 5 - MOST
    assert levels(found)[-1] >= SHOWN


def test_a_class_that_its_box_loses_goes_too() -> None:
    both, rest = scored((PLACE, [0.9, 0.8])), scored((PLACE, [0.9, 0.0]))
    found = CausalRepp().apply([both] * 30 + [rest] * 30, SIZE)
    assert shown(found) == 60
    assert shown(found[30:], B) <= MOST


#: (score, frames that it lasts): how long an object of 0.9 is held by boxes that are less sure.
@pytest.mark.parametrize(("weak", "held"), [(0.1, 2), (0.15, 6), (0.2, 10), (0.25, 18)])
def test_blur_is_bridged_for_longer_the_surer_its_boxes_are(weak: float, held: int) -> None:
    found = CausalRepp().apply(SEEN + [one(weak)] * 300, SIZE)
    assert shown(found[30:]) == held
    assert max(levels(found)[30 + held :]) < SHOWN
    # It comes back at once.
    again = CausalRepp().apply(SEEN + [one(weak)] * held + [one(0.9)], SIZE)
    assert levels(again)[-1] >= SHOWN


def test_a_tubelet_outlasts_three_blurred_frames() -> None:
    found = CausalRepp().apply(SEEN + [one(0.15)] * 3 + [one(0.8)], SIZE)
    assert min(levels(found)) > 0.8


def test_an_occlusion_of_two_frames_is_bridged_and_no_more() -> None:
    found = CausalRepp().apply(SEEN + [scored()] * 2 + [one(0.8)], SIZE)
    assert levels(found)[30:32] == pytest.approx([0.81, 0.729])
    assert levels(found)[32] > 0.8
    gone = CausalRepp().apply(SEEN + [scored()] * 100, SIZE)
    assert levels(gone)[32:] == [0.0] * 98
    assert shown(Repp().apply(SEEN + [scored()] * 100, SIZE)[30:]) == 0


def test_gaps_and_weak_boxes_count_together() -> None:
    found = CausalRepp().apply(SEEN + [scored(), one(0.02), scored(), one(0.02)] * 20, SIZE)
    assert shown(found[30:]) == MOST


def test_of_two_classes_in_turn_one_is_shown() -> None:
    dog, cat = scored((PLACE, [0.8, 0.1])), scored((PLACE, [0.1, 0.8]))
    found = CausalRepp().apply([dog, cat] * 30, SIZE)
    assert min(levels(found)) >= 0.6
    assert shown(found, B) == 0


def test_two_objects_that_cross_keep_their_classes() -> None:
    left, right = np.array([100.0, 100, 160, 160]), np.array([400.0, 100, 460, 160])
    step = np.array([10.0, 0, 10, 0])
    video = [
        scored(
            ((left + k * step).tolist(), [0.8, 0.05]), ((right - k * step).tolist(), [0.05, 0.7])
        )
        for k in range(31)
    ]
    for found in (CausalRepp().apply(video, SIZE), Repp().apply(video, SIZE)):
        for frame in found:
            assert len(frame.boxes) == 2
            assert frame.scores[0].tolist() == pytest.approx([0.8, 0.05], abs=1e-6)
            assert frame.scores[1].tolist() == pytest.approx([0.05, 0.7], abs=1e-6)


def test_two_objects_that_change_places_at_once() -> None:
    other = [400.0, 100, 500, 200]
    before = scored((PLACE, [0.9, 0.0]), (other, [0.0, 0.8]))
    after = scored((PLACE, [0.0, 0.8]), (other, [0.9, 0.0]))
    found = CausalRepp().apply([before] * 30 + [after] * 30, SIZE)
    for frame in found[32:]:
        torch.testing.assert_close(frame.scores, after.scores)
    for frame, expected in zip(
        Repp().apply([before] * 30 + [after] * 30, SIZE), [before] * 30 + [after] * 30, strict=True
    ):
        torch.testing.assert_close(frame.scores, expected.scores)


def test_repp_bridges_blur_between_clear_boxes() -> None:
    found = Repp().apply(SEEN + [one(0.05)] * 10 + SEEN, SIZE)
    assert levels(found) == pytest.approx([(60 * 0.9 + 10 * 0.05) / 70] * 70)
    apart = Repp().apply(SEEN + [one(0.05)] * 11 + SEEN, SIZE)
    assert levels(apart) == pytest.approx([0.9] * 30 + [0.05] * 11 + [0.9] * 30)


def test_one_clear_box_amid_weak_ones_stays_with_them() -> None:
    video = [one(0.02)] * 10 + [one(0.9)] + [one(0.02)] * 10
    assert levels(Repp().apply(video, SIZE)) == pytest.approx([(20 * 0.02 + 0.9) / 21] * 21)


def test_repp_as_published_keeps_one_mean() -> None:
    video = SEEN + [one(0.1, B)] * 30
    found = Repp(ReppConfig(patience=None)).apply(video, SIZE)
    assert levels(found) == pytest.approx([0.45] * 60)


def test_states_with_whole_misses_go_on() -> None:
    """As versions wrote them that counted whole frames."""
    post, state = CausalRepp(), CausalState.empty(2)
    for frame in [*SEEN, scored()]:
        _, state = post.step(frame, SIZE, state)
    whole = CausalState(**{**vars(state), "missed": state.missed.astype(np.int64)})
    whole.check()
    for frame in (one(0.1), scored()):
        expected, state = post.step(frame, SIZE, state)
        found, whole = post.step(frame, SIZE, whole)
        assert torch.equal(found.scores, expected.scores)


# -- something is there, but what


def spread(best: int, score: float, others: float) -> ScoredBoxes:
    """A box of eight classes, one of which leads a little."""
    scores = [others] * 8
    scores[best] = score
    return scored((PLACE, scores), classes=8)


def test_support_by_hand() -> None:
    scores = np.array([[0.2, 0.1], [0.2, 0.1], [0.0, 0.1], [0.1, 0.0], [0.0, 0.0]])
    found = support(scores, np.array([0, 1, 0, 0, 0]))
    # Something is there with 1 - 0.8 * 0.9; of it the second class has half.
    assert found == pytest.approx([0.28, 0.14, 0.0, 0.1, 0.0])


def test_what_blur_spreads_over_classes_is_no_miss() -> None:
    seen = [spread(A, 0.9, 0.0)] * 10
    blurred = [spread(A, 0.08, 0.06)] * 12
    found = CausalRepp().apply(seen + blurred + seen, SIZE)
    assert shown(found) == 32
    # As much for that class alone is a thing that is gone.
    gone = CausalRepp().apply(seen + [spread(A, 0.08, 0.0)] * 12, SIZE)
    assert shown(gone[10:]) == MOST
    # And where another class has most of it, it is another thing.
    other = CausalRepp().apply(seen + [spread(B, 0.4, 0.02)] * 12, SIZE)
    assert shown(other[10:]) == MOST
    assert shown(other[10 + MOST :], B) == 10
