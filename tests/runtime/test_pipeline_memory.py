"""What a running detector remembers: scene cuts, the bank's options, the proposals of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from grouped import make_detector
from runtime_helpers import FakeModel, flat_frames

from faim.errors import FaimError
from faim.runtime.pipeline import Detector
from faim.stream.store import SeenStore

LEVELS = (51, 102, 153, 204, 255, 0, 51)


def scenes(*lengths: int) -> list[np.ndarray]:
    """Hard cuts between blue and red, of the same brightness."""
    colours = [(230, 20, 20), (20, 20, 230)]
    return [
        np.full((64, 64, 3), colours[scene % 2], np.uint8)
        for scene, length in enumerate(lengths)
        for _ in range(length)
    ]


def test_a_hard_cut_forgets_the_past(model: FakeModel) -> None:
    detector = Detector(model, score_threshold=0.0)
    state = detector.new_state()
    resets = []
    for image in scenes(3, 5, 1):
        detector.step(image, state)
        resets.append(state.resets)
    assert [len(bank) for bank in model.aggregator.banks] == [0, 1, 2, 0, 1, 2, 3, 3, 0]
    assert resets == [0, 0, 0, 1, 1, 1, 1, 1, 2]
    assert (state.frames_seen, len(state.bank)) == (9, 1)


def test_cuts_may_be_ignored(model: FakeModel) -> None:
    detector = make_detector(model, score_threshold=0.0, scene_cuts=False)
    state = detector.new_state()
    for image in scenes(3, 2):
        detector.step(image, state)
    assert [len(bank) for bank in model.aggregator.banks] == [0, 1, 2, 3, 3]
    assert (state.resets, state.thumbnail) == (0, None)


def test_a_step_that_fails_changes_nothing(model: FakeModel, monkeypatch: Any) -> None:
    detector = Detector(model, score_threshold=0.0)
    state = detector.new_state()
    first, cut = scenes(1, 1)
    detector.step(first, state)

    def fail(*_arguments: object) -> None:
        raise FaimError("backend: fails")

    with monkeypatch.context() as patch:
        patch.setattr(model.aggregator, "step", fail)
        with pytest.raises(FaimError, match="backend: fails"):
            detector.step(cut, state)
    assert (state.frames_seen, state.resets, len(state.bank)) == (1, 0, 1)
    detector.step(cut, state)
    assert (state.frames_seen, state.resets, len(state.bank)) == (2, 1, 1)


def test_spread_bank_keeps_the_far_past(model: FakeModel) -> None:
    levels = range(0, 250, 10)
    detector = make_detector(model, score_threshold=0.0, bank_frames=4, bank_policy="spread")
    detector.predict(flat_frames(*levels), mode="stream")
    last = [round(level / 255, 4) for level in levels]
    bank = [last.index(value) for value in model.aggregator.banks[-1]]
    # Half of it the frames just before, half spread over the 22 frames before those.
    assert bank[2:] == [22, 23]
    assert max(np.diff([-1, *bank[:2], 22])) <= 23 * 2 / 3
    recent = make_detector(FakeModel(), score_threshold=0.0, bank_frames=4, bank_policy="recent")
    recent.predict(flat_frames(*levels), mode="stream")
    assert recent.model.aggregator.banks[-1] == last[-5:-1]  # type: ignore[attr-defined]


def test_a_bank_of_no_frames(model: FakeModel) -> None:
    detector = make_detector(model, score_threshold=0.0, bank_frames=0)
    found = detector.predict(flat_frames(*LEVELS), mode="stream")
    assert [len(bank) for bank in model.aggregator.banks] == [0] * 7
    assert [float(one.confidence[one.class_id == 0][0]) for one in found] == pytest.approx(
        [level / 255 for level in LEVELS], abs=1e-6
    )


def test_streams_step_together(model: FakeModel, detector: Detector) -> None:
    states = [detector.new_state(), detector.new_state()]
    assert detector.step_many([], []) == []
    for levels in ((51, 204), (102, 0)):
        found = detector.step_many(flat_frames(*levels), states)
    assert [float(one.confidence[0]) for one in found] == pytest.approx([0.3, 0.4])
    assert model.batches == [2, 2]
    assert [state.frames_seen for state in states] == [2, 2]


@pytest.mark.parametrize("limit", [0, 200])
def test_global_mode_is_the_same_from_a_file(
    model: FakeModel, detector: Detector, monkeypatch: Any, limit: int
) -> None:
    stored = []

    class Small(SeenStore):
        def __init__(self) -> None:
            super().__init__(memory_limit=limit)
            stored.append(self)

        def close(self) -> None:
            self.needed = len(self) * self.frame_bytes
            self.spilled = self._file._rolled  # type: ignore[attr-defined]
            super().close()

    expected = detector.predict(flat_frames(*LEVELS), mode="global")
    monkeypatch.setattr("faim.stream.global_mode.SeenStore", Small)
    found = detector.predict(flat_frames(*LEVELS), mode="global")
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)
        np.testing.assert_array_equal(one.confidence, other.confidence)
        np.testing.assert_array_equal(one.class_id, other.class_id)
    [store] = stored
    assert store.spilled
    assert store.needed > 200
