"""Several sources through one detector: each a stream of its own, none held up by another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from live_helpers import recorded_warnings
from runtime_helpers import FakeModel, flat_frames
from torch import Tensor

from faim.errors import FaimError
from faim.pictures.image import Image
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.many import stream_many
from faim.runtime.pipeline import Detector
from faim.runtime.results import FrameResult
from faim.runtime.sources import ArraySource
from faim.stream.frames import Frame, FrameSource, SourceBase
from faim.structures import Proposals


class Gated(SourceBase):
    """Frames that each wait for `gate(n)` in the thread that reads them."""

    def __init__(
        self,
        images: Sequence[Image],
        *,
        gate: Callable[[int], object] = lambda n: None,
        realtime: bool = False,
        name: str = "gated",
    ) -> None:
        self.name, self.fps, self.frame_count = name, 25.0, None
        self.live = self.realtime = realtime
        self.left = threading.Event()
        self.closed = False
        self._images, self._gate = images, gate

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index, image in enumerate(self._images):
                self._gate(index)
                yield Frame(index, index / self.fps, image)
        finally:
            self.left.set()

    def close(self) -> None:
        self.closed = True


class Gathering(FakeModel):
    """Waits before its first batch until every source has frames to give."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        super().__init__()
        self._ready = ready

    def propose(self, images: Tensor) -> Proposals:
        if not self.batches:
            wait_until(self._ready)
        return super().propose(images)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    wait_until(lambda: not decoding())


def decoding() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode ")]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def clip(seed: int, count: int, size: tuple[int, int] = (40, 56)) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    levels = generator.integers(0, 256, count)
    return flat_frames(*levels.tolist(), size=size)


def by_source(
    results: Iterator[tuple[int, FrameResult]],
) -> dict[int, list[FrameResult]]:
    found: dict[int, list[FrameResult]] = {}
    for number, result in results:
        found.setdefault(number, []).append(result)
    return found


def test_each_stream_is_what_it_is_alone(detector: Detector) -> None:
    clips = [clip(0, 3), clip(1, 14, (64, 64)), clip(2, 8, (90, 30))]
    pauses = (0.0, 0.0005, 0.003)
    sources = [
        Gated(images, gate=lambda n, pause=pause: time.sleep(pause))
        for images, pause in zip(clips, pauses, strict=True)
    ]
    found = by_source(stream_many(detector, sources))
    for number, images in enumerate(clips):
        alone = list(detector.stream(images))
        assert [r.frame.index for r in found[number]] == list(range(len(images)))
        for one, other in zip(found[number], alone, strict=True):
            assert one.frame.time == other.frame.time
            np.testing.assert_array_equal(one.frame.image, other.frame.image)
            np.testing.assert_array_equal(one.detections.xyxy, other.detections.xyxy)
            np.testing.assert_array_equal(one.detections.confidence, other.detections.confidence)
            np.testing.assert_array_equal(one.detections.class_id, other.detections.class_id)
    assert all(source.closed for source in sources)


def test_base_calls_are_batched() -> None:
    readers = [DecodeAhead(ArraySource(clip(seed, 6))) for seed in range(3)]
    model = Gathering(lambda: all(reader.ready for reader in readers))
    ticks: list[int] = []
    results = list(stream_many(Detector(model), readers, on_frame=ticks.append))
    assert len(results) == sum(model.batches) == 18
    assert sorted(ticks) == sorted([0, 1, 2] * 6)
    # The first round may begin before all have frames; from then on a round takes one of each.
    assert max(model.batches) == 3
    assert len(model.batches) < 18


def test_a_failing_source_is_left_out(detector: Detector) -> None:
    def fail(index: int) -> None:
        if index == 2:
            raise FaimError("camera 7: has gone; expected it to stay")

    sources: list[FrameSource] = [
        ArraySource(clip(0, 5)),
        Gated(clip(1, 9), gate=fail),
        ArraySource(clip(2, 7)),
    ]
    counts = [0, 0, 0]

    def run() -> None:
        for number, _ in stream_many(detector, sources):
            counts[number] += 1

    with (
        recorded_warnings() as warnings,
        pytest.raises(FaimError, match="camera 7: has gone; expected it to stay"),
    ):
        run()
    assert counts == [5, 2, 7]
    assert warnings == ["camera 7: has gone; expected it to stay; the other sources go on"]


def test_limit_counts_each_source(detector: Detector) -> None:
    sources = [ArraySource(clip(0, 9)), ArraySource(clip(1, 2)), ArraySource(clip(2, 4))]
    found = by_source(stream_many(detector, sources, limit=3))
    assert {number: len(results) for number, results in found.items()} == {0: 3, 1: 2, 2: 3}
    for limit in (0, -1):
        with pytest.raises(FaimError, match=rf"limit: {limit} given; expected 1 or more"):
            stream_many(detector, sources, limit=limit)


@pytest.mark.parametrize("realtime", [False, True])
@pytest.mark.parametrize("silent_from", [0, 1])
def test_a_silent_source_holds_up_nobody(
    detector: Detector, realtime: bool, silent_from: int
) -> None:
    done = threading.Event()
    slow = Gated(
        clip(0, 3),
        gate=lambda n: n < silent_from or done.wait(10),
        realtime=realtime,
    )
    counts = [0, 0]
    for number, _ in stream_many(detector, [slow, ArraySource(clip(1, 12))]):
        counts[number] += 1
        if counts[1] == 12 and not done.is_set():
            assert counts[0] <= silent_from
            done.set()
    assert counts == [3, 12]


def test_a_camera_that_is_faster_than_the_detector_loses_old_frames() -> None:
    begun = threading.Event()
    camera = Gated(clip(0, 30), gate=lambda n: n == 0 or begun.wait(10), realtime=True)
    reader = DecodeAhead(camera)

    class Slow(FakeModel):
        def propose(self, images: Tensor) -> Proposals:
            begun.set()
            assert camera.left.wait(10)
            return super().propose(images)

    video = Gated(clip(1, 6), gate=lambda n: begun.wait(10))
    found = by_source(stream_many(Detector(Slow()), [reader, video]))
    assert [result.frame.index for result in found[0]] == [0, 1, 2, 3, 4]
    assert [round(result.frame.time * 25) for result in found[0]] == [0, 26, 27, 28, 29]
    assert reader.dropped == 25
    assert len(found[1]) == 6  # a file waits


def test_closing_early_ends_all_threads(detector: Detector) -> None:
    sources = [Gated(clip(seed, 500)) for seed in range(3)]
    results = stream_many(detector, sources)
    assert not decoding()
    next(results)
    assert len(decoding()) == 3
    results.close()  # type: ignore[attr-defined]
    wait_until(lambda: not decoding())
    assert all(source.closed for source in sources)


def test_nothing_to_look_at(detector: Detector) -> None:
    assert list(stream_many(detector, [])) == []
    assert list(stream_many(detector, [ArraySource([]), ArraySource([])])) == []
