from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_helpers import FakeClock, FakeDevice, FakeFeed, endless, picture, web_server
from runtime_helpers import flat_frames, write_video

from faim.errors import FaimError
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.live import LiveSource
from faim.runtime.sources import ArraySource, FirstFrames, open_source
from faim.runtime.stream import StreamSource
from faim.stream.frames import Frame, FrameSource, SourceBase


class Steps(SourceBase):
    """Frames of 10 a second; the n-th waits for `gate(n)`."""

    name, fps, frame_count, live = "steps", 10.0, None, True

    def __init__(
        self, count: int, *, realtime: bool = False, gate: Callable[[int], None] = lambda n: None
    ) -> None:
        self.realtime = realtime
        self.given = 0
        self.left = threading.Event()
        self._count, self._gate = count, gate

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in range(self._count):
                self._gate(index)
                self.given += 1
                yield Frame(index, index / 10, picture(index))
        finally:
            self.left.set()


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 10
    while any(thread.name.startswith("decode ") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "a decoding thread goes on"
        time.sleep(0.01)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@given(count=st.integers(0, 12), depth=st.integers(1, 5), limit=st.integers(1, 14))
def test_the_same_frames_in_the_same_order(count: int, depth: int, limit: int) -> None:
    images = flat_frames(*range(count), size=(2, 2))
    plain = ArraySource(images)
    ahead = DecodeAhead(plain, depth)
    for source in (ahead, FirstFrames(ahead, limit), DecodeAhead(FirstFrames(plain, limit), depth)):
        expected = images if source is ahead else images[:limit]
        assert source.frame_count == len(expected)
        for _ in range(2):  # as often as one likes
            read = list(source)
            assert [frame.index for frame in read] == list(range(len(expected)))
            assert [frame.time for frame in read] == [index / 25 for index in range(len(read))]
            for frame, image in zip(read, expected, strict=True):
                np.testing.assert_array_equal(frame.image, image)
    assert ahead.dropped == 0


def test_it_is_a_source_like_the_one_within(tmp_path: Path) -> None:
    video = open_source(write_video(tmp_path / "a.mp4", flat_frames(10, 20, 30)))
    with DecodeAhead(video) as ahead:
        assert isinstance(ahead, FrameSource)
        assert (ahead.name, ahead.fps, ahead.frame_count) == (str(tmp_path / "a.mp4"), 25.0, 3)
        assert (ahead.live, ahead.realtime) == (False, False)
        for frame, expected in zip(ahead, video, strict=True):
            assert (frame.index, frame.time) == (expected.index, expected.time)
            np.testing.assert_array_equal(frame.image, expected.image)
    ahead = DecodeAhead(Steps(0, realtime=True))
    assert (ahead.live, ahead.realtime) == (True, True)
    assert (FirstFrames(ahead, 1).live, FirstFrames(ahead, 1).realtime) == (True, True)


def test_depth_below_one() -> None:
    with pytest.raises(FaimError, match="depth: 0 given; expected 1 or more"):
        DecodeAhead(ArraySource([]), 0)


@pytest.mark.parametrize("depth", [1, 3])
def test_a_file_waits_for_a_late_reader(depth: int) -> None:
    source = Steps(20)
    ahead = DecodeAhead(source, depth)
    assert source.given == 0
    frames = iter(ahead)
    next(frames)
    # One is with the reader, `depth` wait, and one is in the hands of the thread.
    wait_until(lambda: source.given == depth + 2)
    time.sleep(0.02)
    assert source.given == depth + 2
    assert [frame.index for frame in frames] == list(range(1, 20))
    assert ahead.dropped == 0


def test_a_late_reader_of_a_camera_gets_the_newest_frames() -> None:
    pauses = {1: threading.Event(), 20: threading.Event()}
    source = Steps(30, realtime=True, gate=lambda n: n in pauses and pauses[n].wait(10))
    ahead = DecodeAhead(source, depth=4)
    frames = iter(ahead)
    first = next(frames)
    pauses[1].set()
    wait_until(lambda: source.given == 20 and ahead.dropped == 20 - 1 - 4)
    waiting = list(islice(frames, 4))
    assert first.index == 0
    assert [frame.index for frame in waiting] == [1, 2, 3, 4]
    assert [frame.time for frame in waiting] == pytest.approx([1.6, 1.7, 1.8, 1.9])
    assert [int(frame.image[0, 0, 0]) for frame in waiting] == [16, 17, 18, 19]
    pauses[20].set()
    ahead.close()


@pytest.mark.parametrize("realtime", [False, True])
def test_an_error_comes_after_the_frames_before_it(realtime: bool) -> None:
    def gate(index: int) -> None:
        if index == 3:
            raise FaimError("steps: broken; expected none")

    ahead = DecodeAhead(Steps(9, realtime=realtime, gate=gate))
    frames = iter(ahead)
    read = []
    with pytest.raises(FaimError, match="steps: broken"):
        read.extend(iter(lambda: next(frames).index, None))
    assert read == [0, 1, 2]
    assert next(frames, None) is None


def test_an_error_of_opening_is_raised_too(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", flat_frames(1, 2))
    ahead = DecodeAhead(open_source(path))
    path.write_bytes(b"no longer a video")
    with pytest.raises(FaimError, match=r"a\.mp4: cannot be opened as a video"):
        list(ahead)


@pytest.mark.parametrize("how", ["break", "close iterator", "forget", "close source", "exception"])
@pytest.mark.parametrize("realtime", [False, True])
def test_the_thread_ends_with_the_iteration(how: str, realtime: bool) -> None:
    source = Steps(1_000_000, realtime=realtime)
    ahead = DecodeAhead(source, depth=2)
    frames = iter(ahead)
    next(frames)
    if not realtime:
        wait_until(lambda: source.given == 4)  # the thread is blocked
    if how == "break":
        for _ in frames:
            break
        del frames
    elif how == "close iterator":
        frames.close()  # type: ignore[attr-defined]
    elif how == "forget":
        del frames
        gc.collect()
    elif how == "close source":
        ahead.close()
        assert next(frames, None) is None
    else:
        with pytest.raises(KeyboardInterrupt):
            frames.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert source.left.wait(10)


def test_iterations_side_by_side() -> None:
    ahead = DecodeAhead(ArraySource(flat_frames(*range(9), size=(2, 2))), depth=1)
    for one, other in zip(ahead, ahead, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    ahead.close()


def test_close_reaches_a_camera_in_its_back_off() -> None:
    asleep = threading.Event()

    def sleep(closed: threading.Event, _seconds: float) -> None:
        asleep.set()
        assert closed.wait(30)

    clock = FakeClock()
    retry = clock.retry(first=1000.0)
    object.__setattr__(retry, "sleep", sleep)
    feed = FakeFeed([0.0, 0.1], clock)
    ahead = DecodeAhead(LiveSource("cam", FakeDevice(feed), retry))
    frames = iter(ahead)
    next(frames)
    assert asleep.wait(10)
    ahead.close()
    assert next(frames, None) is None
    wait_until(lambda: feed.closed == 1)


@pytest.fixture
def falls_silent(tmp_path: Path) -> Iterator[str]:
    """A stream of 100 frames, after which the connection stays open and nothing comes."""
    frames = list(np.random.default_rng(0).integers(0, 256, (100, 48, 64, 3), dtype=np.uint8))
    content = write_video(tmp_path / "a.ts", frames).read_bytes()
    # FFmpeg looks at some seconds of a stream before it hands out the first frame.
    with web_server(endless(content * 3, then=60.0)) as url:
        yield url


def test_close_reaches_a_silent_stream(falls_silent: str) -> None:
    """Long before its time-out; `_no_thread_left` looks whether the thread has ended."""
    ahead = DecodeAhead(StreamSource(falls_silent, timeout=600))
    frames = iter(ahead)
    next(frames)
    time.sleep(0.2)
    ahead.close()
    assert next(frames, None) is None


READS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.stream import StreamSource
ahead = DecodeAhead(StreamSource(sys.argv[1], timeout=60))
frames = iter(ahead)
print(next(frames).index, flush=True)
"""


def test_the_interpreter_does_not_wait_for_a_silent_stream(falls_silent: str) -> None:
    """The thread is inside FFmpeg, waiting for bytes, when the program ends."""
    code = READS + "time.sleep(0.5)\n"
    done = subprocess.run(
        [sys.executable, "-c", code, falls_silent], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_ctrl_c_while_a_stream_is_silent(falls_silent: str) -> None:
    code = READS + (
        "try:\n    for frame in frames: pass\n"
        "except KeyboardInterrupt:\n    ahead.close(); print('interrupted')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, falls_silent],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "0\n"
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=30)
    assert (child.returncode, output, errors) == (0, "interrupted\n", "")
