from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import pytest
from live_helpers import FakeClock, FakeDevice, FakeFeed, picture, recorded_warnings

from faim.errors import FaimError
from faim.runtime.live import LiveSource, Retry


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    with recorded_warnings() as messages:
        yield messages


def test_a_source_that_cannot_be_opened_is_an_error_at_once() -> None:
    device = FakeDevice(None)
    with pytest.raises(FaimError, match="device: not there"):
        LiveSource("device", device)
    assert device.attempts == 1


def test_backs_off_and_gives_up(warnings: list[str]) -> None:
    clock = FakeClock()
    feed = FakeFeed([0.0, 0.1, 0.2], clock)
    source = LiveSource("cam", device := FakeDevice(feed), clock.retry())
    assert source.live
    assert source.realtime
    assert len(list(source)) == 3
    # 0.5 doubling to 8, until 60 s have passed since the last frame.
    assert clock.naps == pytest.approx([0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8, 4.5])
    assert device.attempts == 1 + len(clock.naps)
    assert feed.closed == 1
    assert warnings[0] == "cam: lost; trying again in 0.5 s"
    assert warnings[-1] == "cam: no frame for 60 s; given up"
    assert source.lost
    assert len(warnings) == len(clock.naps) + 1


def test_goes_on_after_a_loss(warnings: list[str]) -> None:
    clock = FakeClock()
    first = FakeFeed([7.0, 7.1, 7.2], clock)
    second = FakeFeed([50.0, 50.1], clock)
    third = FakeFeed([0.0], clock)
    source = LiveSource("cam", FakeDevice(first, None, None, second, third), clock.retry())
    frames = list(islice(source, 6))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4, 5]
    # Lost for 0.5 + 1 + 2 s and the 0.1 s that each picture takes; the second loss starts at 0.5.
    times = [0.0, 0.1, 0.2, 3.8, 3.9, 4.5]
    assert [frame.time for frame in frames] == pytest.approx(times)
    assert clock.naps == pytest.approx([0.5, 1, 2, 0.5])
    assert [feed.closed for feed in (first, second, third)] == [1, 1, 1]
    assert [message for message in warnings if "is back" in message] == [
        "cam: is back after 3.6 s",
        "cam: is back after 0.6 s",
    ]


def test_without_stamps_time_is_that_of_arrival() -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([None] * 3, clock, pace=0.3), FakeFeed([None], clock, pace=0.2))
    frames = list(islice(LiveSource("cam", device, clock.retry()), 4))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.3, 0.6, 1.3])


def test_stamps_that_start_anew_do_not_turn_time_back() -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([9.0, 11.0, 0.0, 0.3, 0.3], clock))
    frames = list(islice(LiveSource("cam", device, clock.retry()), 5))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 2.0, 2.1, 2.4, 2.4])


def test_stamps_in_disorder_do_not_shift_those_that_follow() -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([5.0, 5.3, 5.1, 5.4, 5.5], clock))
    frames = list(islice(LiveSource("cam", device, clock.retry()), 5))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.3, 0.3, 0.4, 0.5])


def test_stamps_that_jump_ahead_do_not_move_time() -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([5.0, 5.1, 18_005.2, 18_005.3, 3.0, 3.1], clock))
    frames = list(islice(LiveSource("cam", device, clock.retry()), 6))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_clock_that_starts_anew_among_waiting_frames() -> None:
    """They come at once: the next is then a frame after the last."""
    clock = FakeClock()
    device = FakeDevice(FakeFeed([5.0, 5.1, 5.2, 0.0, 0.1], clock, pace=0.0))
    frames = list(islice(LiveSource("cam", device, clock.retry()), 5))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_a_pause_as_long_as_the_stamps_say_is_kept() -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([0.0, 40.0, 80.0], clock, pace=40.0))
    frames = list(islice(LiveSource("cam", device, clock.retry()), 3))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 40.0, 80.0])


def test_a_file_may_pause_as_long_as_it_says() -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([0.0, 0.1, 3600.0], clock, pace=0.0, realtime=False))
    frames = list(LiveSource("film", device, clock.retry()))
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.1, 3600.0])


def test_one_that_comes_back_with_an_end_has_ended(warnings: list[str]) -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([0.0, 0.1], clock), FakeFeed([0.0], clock, realtime=False))
    source = LiveSource("broadcast", device, clock.retry())
    assert len(list(source)) == 2
    assert not source.lost
    assert warnings == ["broadcast: lost; trying again in 0.5 s"]


def test_a_known_end_is_no_loss(warnings: list[str]) -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([0.0, 0.1], clock, realtime=False))
    source = LiveSource("film", device, clock.retry())
    assert source.live
    assert not source.realtime
    assert len(list(source)) == 2
    assert (device.attempts, clock.naps, warnings) == (1, [], [])


def test_no_frame_at_all_is_an_error() -> None:
    clock = FakeClock()
    source = LiveSource("cam", FakeDevice(FakeFeed([], clock)), clock.retry(patience=5.0))
    with pytest.raises(FaimError, match="cam: not one frame came; expected a camera"):
        list(source)
    assert sum(clock.naps) == pytest.approx(5.0)


def test_closed_before_it_was_read() -> None:
    clock = FakeClock()
    with LiveSource("cam", FakeDevice(feed := FakeFeed([0.0], clock)), clock.retry()) as source:
        pass
    assert feed.closed == 1
    with pytest.raises(FaimError, match="cam: was closed; expected a source that is open"):
        list(source)


def test_close_frees_the_device_of_an_unfinished_iteration() -> None:
    clock = FakeClock()
    source = LiveSource("cam", FakeDevice(feed := FakeFeed([0.0, 0.1], clock)), clock.retry())
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert feed.closed == 1
    assert next(frames, None) is None


def test_close_wakes_a_reader_from_its_back_off() -> None:
    clock = FakeClock()
    asleep = threading.Event()

    def sleep(closed: threading.Event, _seconds: float) -> None:
        asleep.set()
        assert closed.wait(30)

    device = FakeDevice(FakeFeed([0.0], clock))
    source = LiveSource("cam", device, Retry(first=1000.0, longest=1000.0, sleep=sleep))
    frames: list[float] = []
    reader = threading.Thread(target=lambda: frames.extend(frame.time for frame in source))
    reader.start()
    assert asleep.wait(10)
    source.close()
    reader.join(10)
    assert not reader.is_alive()
    assert frames == [0.0]
    assert device.attempts == 1


def test_a_reader_that_hangs_frees_the_device_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faim.runtime.live.CLOSE_WAIT", 0.01)
    inside, answer = threading.Event(), threading.Event()

    class Hanging(FakeFeed):
        def read(self) -> tuple[float | None, object]:
            inside.set()
            assert answer.wait(10)
            assert not self.closed
            return 0.0, picture(1)

    source = LiveSource("cam", FakeDevice(feed := Hanging([], FakeClock())))
    frames: list[object] = []
    reader = threading.Thread(target=lambda: frames.extend(source))
    reader.start()
    assert inside.wait(10)
    source.close()
    assert feed.closed == 0
    answer.set()
    reader.join(10)
    assert not reader.is_alive()
    assert feed.closed == 1
    assert len(frames) == 1
