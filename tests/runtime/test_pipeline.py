from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv
import torch
from grouped import make_detector
from runtime_helpers import FakeModel, flat_frames, write_lossless

from faim.checks import check_size
from faim.devices import resolve_device
from faim.errors import FaimError
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.pipeline import Detector
from faim.runtime.results import FrameResult
from faim.runtime.sources import ArraySource, Frame, open_source

LEVELS = (51, 102, 153, 204, 255, 0, 51)  # 0.2, 0.4, 0.6, 0.8, 1.0, 0.0, 0.2 of 255


def scores(found: list[FrameResult]) -> list[float]:
    """The first class's score of the one box in each frame."""
    return [float(one.confidence[one.class_id == 0][0]) for one in found]


def test_stream_averages_over_the_bank_and_no_more(model: FakeModel, detector: Detector) -> None:
    found = detector.predict(flat_frames(*LEVELS), mode="stream")
    # test_frames is 4: the key frame and at most 3 before it.
    expected = [0.2, 0.3, 0.4, 0.5, 0.7, 0.6, 0.5]
    assert scores(found) == pytest.approx(expected, abs=1e-6)
    assert [len(bank) for bank in model.aggregator.banks] == [0, 1, 2, 3, 3, 3, 3]
    assert model.aggregator.banks[4] == [0.4, 0.6, 0.8]
    assert model.batches == [1] * 7


def test_frame_mode_sees_one_frame_and_runs_in_batches(model: FakeModel) -> None:
    detector = Detector(model, score_threshold=0.0, batch_size=3)
    found = detector.predict(flat_frames(*LEVELS), mode="frame")
    assert scores(found) == pytest.approx([level / 255 for level in LEVELS], abs=1e-6)
    assert model.batches == [3, 3, 1]
    assert model.aggregator.banks == model.aggregator.groups == []


def test_global_mode_refines_spread_groups_each_frame_once(
    model: FakeModel, detector: Detector
) -> None:
    found = detector.predict(flat_frames(*LEVELS), mode="global")
    # 7 frames in groups of at most 4, spread over the video: frames 0 2 4 6 and 1 3 5.
    assert model.aggregator.groups == [[0.2, 0.6, 1.0, 0.2], [0.4, 0.8, 0.0]]
    assert scores(found) == pytest.approx([0.5, 0.4, 0.5, 0.4, 0.5, 0.4, 0.5], abs=1e-6)
    assert sum(model.batches) == 7


def test_global_mode_takes_other_samplings(model: FakeModel) -> None:
    Detector(model, score_threshold=0.0, sampling="local").predict(flat_frames(*LEVELS))
    assert model.aggregator.groups == [[0.2, 0.4, 0.6, 0.8], [1.0, 0.0, 0.2]]
    drawn = []
    for seed in (1, 1, 2, 3):
        model.aggregator.groups.clear()
        Detector(model, score_threshold=0.0, sampling="shuffled", seed=seed).predict(
            flat_frames(*LEVELS)
        )
        drawn.append([list(group) for group in model.aggregator.groups])
        assert sorted(map(len, drawn[-1])) == [3, 4]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2] or drawn[0] != drawn[3]


class _Changing(ArraySource):
    """Other frames at the second reading."""

    def __init__(self, *readings: list[np.ndarray]) -> None:
        super().__init__(readings[0])
        self.readings = iter(readings)

    def __iter__(self) -> Iterator[Frame]:
        return iter(ArraySource(next(self.readings)))


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (flat_frames(1, 2), "ends earlier at frame 2"),
        (flat_frames(1, 2, 3, 4), "goes on at frame 3"),
        (flat_frames(1, size=(32, 64)), "has another size at frame 0"),
    ],
)
def test_a_source_that_changes_under_global_mode(
    detector: Detector, second: list[np.ndarray], sentence: str
) -> None:
    with pytest.raises(FaimError, match=f"3 arrays: {sentence} when read the second time"):
        list(detector.stream(_Changing(flat_frames(1, 2, 3), second), mode="global"))


def test_global_results_come_in_order_with_their_pixels(detector: Detector) -> None:
    frames = flat_frames(*LEVELS)
    results = list(detector.stream(frames, mode="global"))
    assert [result.frame.index for result in results] == list(range(7))
    for result, image in zip(results, frames, strict=True):
        np.testing.assert_array_equal(result.frame.image, image)
    without = list(detector.stream(frames, mode="global", images=False))
    assert all(result.frame.image.strides == (0, 0, 0) for result in without)


def test_stream_uses_only_the_past(detector: Detector) -> None:
    generator = np.random.default_rng(1)
    frames = [generator.integers(0, 256, (40, 60, 3), dtype=np.uint8) for _ in range(8)]
    changed = frames[:5] + [255 - frame for frame in frames[5:]]
    one, other = (scores(detector.predict(clip, mode="stream")) for clip in (frames, changed))
    assert one[:5] == other[:5]
    assert all(a != b for a, b in zip(one[5:], other[5:], strict=True))


def test_stream_gives_a_result_before_it_asks_for_the_next_frame(detector: Detector) -> None:
    class Counting:
        name, fps, frame_count, live, realtime = "counting", 25.0, None, True, False
        given = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            for frame in open_source(flat_frames(10, 20, 30)):
                self.given += 1
                yield frame

        def close(self) -> None: ...
        def __enter__(self):  # type: ignore[no-untyped-def]
            return self

        def __exit__(self, *exception: object) -> None: ...

    for mode in ("stream", "frame"):
        source = Counting()
        for place, result in enumerate(detector.stream(source, mode=mode)):
            assert result.frame.index == place
            assert source.given == place + 1
    with pytest.raises(FaimError, match="counting: a live source has no end"):
        detector.stream(Counting(), mode="global")


@pytest.mark.parametrize("mode", ["stream", "frame", "global"])
def test_same_detections_whatever_the_source(tmp_path: Path, mode: str) -> None:
    generator = np.random.default_rng(2)
    frames = [generator.integers(0, 256, (50, 70, 3), dtype=np.uint8) for _ in range(11)]
    for index, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{index}.png"), frame)
    film = write_lossless(tmp_path / "film.mkv", frames)
    sources = (
        frames,
        np.stack(frames),
        tmp_path,
        str(tmp_path / "*.png"),
        film,
        str(tmp_path / "*.mkv"),
        ArraySource(frames),
        DecodeAhead(ArraySource(frames), depth=2),
        DecodeAhead(open_source(film), depth=1),
    )
    found = [
        Detector(FakeModel(), score_threshold=0.0).predict(source, mode=mode) for source in sources
    ]
    assert len(found[0]) == 11
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one.xyxy, same.xyxy)
            np.testing.assert_array_equal(one.confidence, same.confidence)
            np.testing.assert_array_equal(one.class_id, same.class_id)


def test_boxes_come_back_in_pixels_of_each_frame(detector: Detector) -> None:
    # Input 64x64. A 128x128 frame is halved, a 32x64 one not scaled and clipped at its height.
    frames = [np.full((128, 128, 3), 99, np.uint8), np.full((32, 64, 3), 99, np.uint8)]
    big, flat = detector.predict(frames, mode="frame")
    np.testing.assert_allclose(big.xyxy[0], [16, 32, 80, 96])
    np.testing.assert_allclose(flat.xyxy[0], [8, 16, 40, 32])


def test_results_hold_supervision_detections_with_names(model: FakeModel) -> None:
    [found] = Detector(model, score_threshold=0.3).predict(flat_frames(204), mode="frame")
    assert isinstance(found.detections, sv.Detections)
    assert found.data["class_name"].tolist() == ["dog"]  # class 1 scores 0, padding never counts
    assert found.class_id.tolist() == [0]
    [nothing] = Detector(model, score_threshold=0.3).predict(flat_frames(20), mode="frame")
    assert len(nothing) == 0
    assert nothing.xyxy.shape == (0, 4)
    assert nothing.data["class_name"].tolist() == []
    assert Detector(model).predict([]) == []


def test_states_are_independent_copyable_and_forgettable(
    model: FakeModel, detector: Detector
) -> None:
    def score(level: int, state: object) -> float:
        found = detector.step(flat_frames(level)[0], state)  # type: ignore[arg-type]
        return float(found.confidence[found.class_id == 0][0])

    state, elsewhere = detector.new_state(), detector.new_state()
    assert score(51, state) == pytest.approx(0.2)
    assert score(255, elsewhere) == pytest.approx(1.0)  # another stream in between
    twin = state.copy()
    assert score(102, state) == pytest.approx(0.3)
    assert score(204, twin) == pytest.approx(0.5)
    assert (state.frames_seen, twin.frames_seen) == (2, 2)
    state.reset()
    assert score(102, state) == pytest.approx(0.4)
    assert state.bank.capacity == model.config.test_frames - 1


def test_inference_mode_does_not_leak_to_the_caller(detector: Detector) -> None:
    for mode in ("stream", "frame", "global"):
        for _ in detector.stream(flat_frames(1, 2), mode=mode):
            assert not torch.is_inference_mode_enabled()


def test_progress_counts_every_frame_once(detector: Detector) -> None:
    for mode in ("stream", "frame", "global"):
        ticks: list[None] = []
        list(detector.stream(flat_frames(*LEVELS), mode=mode, on_frame=lambda: ticks.append(None)))  # noqa: B023
        assert len(ticks) == 7


def test_wrong_options_are_named(model: FakeModel, detector: Detector) -> None:
    assert check_size(416) == (416, 416)
    assert check_size((288, 512)) == (288, 512)
    for size in (400, 0, -32, (416, 100), (1, 2, 3), "416", 416.0, (416.0, 416), True):
        with pytest.raises(FaimError, match=r"size: .*multiple of 32"):
            Detector(model, size=size)  # type: ignore[arg-type]
    for conf in (1.5, -0.1, float("nan"), "a", None):
        with pytest.raises(FaimError, match=r"conf: .* expected a number from 0 to 1"):
            Detector(model, score_threshold=conf)  # type: ignore[arg-type]
    with pytest.raises(FaimError, match="sampling: 'random' given; expected one of uniform"):
        Detector(model, sampling="random")  # type: ignore[arg-type]
    with pytest.raises(FaimError, match="memory bank: capacity is -1; expected 0 to 4096"):
        make_detector(model, bank_frames=-1)
    with pytest.raises(FaimError, match="memory policy: 'all' given; expected one of recent"):
        make_detector(model, bank_policy="all")
    with pytest.raises(FaimError, match="seed: -1 given"):
        Detector(model, seed=-1)
    with pytest.raises(FaimError, match="device: 'nonsense'"):
        resolve_device("nonsense")
    with pytest.raises(FaimError, match="device: 'meta' cannot be used here"):
        resolve_device("meta")
    with pytest.raises(FaimError, match="mode: 'past'"):
        detector.stream([], mode="past")  # type: ignore[arg-type]
