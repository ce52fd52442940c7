"""Sources that can be read once: their clock, their loss and their return."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from loguru import logger

from faim.errors import FaimError
from faim.runtime.interrupt import interrupted_by
from faim.stream.frames import Frame, Look, Reading, SourceBase

#: seconds that `close` waits for a reader in another thread before it leaves the rest to it.
CLOSE_WAIT = 0.5
#: seconds by which damage may turn time stamps back; those that go back further start anew.
TURN_BACK = 1.0
#: seconds by which the time stamps of one picture may run ahead of the clock; beyond, they jumped.
RUN_AHEAD = 10.0


class Feed(Protocol):
    """An open device or connection.

    Attributes:
        fps: nominal frames a second, above 0.
        frame_count: frames to expect; None if unknown.
        realtime: False where it has a known end, which is then no loss.
    """

    fps: float
    frame_count: int | None
    realtime: bool

    def read(self) -> Reading | None:
        """The next picture, waiting for it; None when there are no more."""
        ...

    def close(self) -> None:
        """Free the device."""
        ...


@dataclass(frozen=True)
class Retry:
    """How long to wait for a lost camera or stream.

    Attributes:
        first: seconds before the first attempt; every failed one doubles it.
        longest: most seconds between two attempts.
        patience: seconds without a frame after which it is given up.
        clock: seconds that never go back.
        sleep: waits on an event for at most so many seconds; the event is set by `close`.
    """

    first: float = 0.5
    longest: float = 8.0
    patience: float = 60.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[threading.Event, float], object] = threading.Event.wait


class LiveSource(SourceBase):
    """A camera or stream, opened on construction and opened again when it is lost.

    Frame times go on over a reconnection by the time that has passed, never go back, and follow
    no jump of the time stamps. It may be closed while another thread reads it: that thread's
    iteration then ends. One that comes back with a known end (a broadcast that is over) has ended.

    Args:
        name: what a person calls it.
        connect: opens it, or raises FaimError.
        retry: when and how long to try again; the defaults of `Retry` if None.

    Attributes:
        lost: whether it was given up.

    Raises:
        FaimError: on construction, when it cannot be opened; while iterating, when it is closed
            already or not one frame came.
    """

    live = True
    lost = False

    def __init__(self, name: str, connect: Callable[[], Feed], retry: Retry | None = None) -> None:
        self.name = name
        self._connect = connect
        self._retry = Retry() if retry is None else retry
        self._closed = threading.Event()
        self._reading = threading.Lock()
        with interrupted_by(self._closed):
            feed = connect()
        self.fps, self.realtime = feed.fps, feed.realtime
        self.frame_count: int | None = feed.frame_count
        self._feed: Feed | None = feed

    def __iter__(self) -> Iterator[Frame]:
        """Frames from now on."""
        if self._closed.is_set():
            raise FaimError(f"{self.name}: was closed; expected a source that is open")
        if self._feed is None:
            with interrupted_by(self._closed):
                self._feed = self._connect()
        step = 1.0 / self.fps if self.realtime else None
        index, timeline = 0, _Timeline(self._retry.clock, step)
        try:
            while (reading := self._next(timeline)) is not None:
                stamp, image = reading
                look = getattr(self._feed, "look", Look())
                yield Frame(index, timeline.place(stamp), image, look)
                index += 1
        finally:
            with self._reading:
                self._drop()
        if index == 0 and not self._closed.is_set():
            raise FaimError(
                f"{self.name}: not one frame came; expected a camera or stream that gives video"
            )

    def close(self) -> None:
        """Free the device and wake a reader that waits for it or for its return."""
        self._closed.set()
        # A reader in another thread that does not wake up in time frees it when it does.
        if self._reading.acquire(timeout=CLOSE_WAIT):
            try:
                self._drop()
            finally:
                self._reading.release()

    def _drop(self) -> None:
        if self._feed is not None:
            self._feed.close()
            self._feed = None

    def _next(self, timeline: _Timeline) -> Reading | None:
        reading = self._read()
        if reading is not None or not self.realtime or self._closed.is_set():
            return reading
        reading = self._recover(timeline.seen)
        timeline.restart()
        return reading

    def _read(self) -> Reading | None:
        with self._reading, interrupted_by(self._closed):
            if self._closed.is_set() or self._feed is None:
                return None
            return self._feed.read()

    def _recover(self, seen: float) -> Reading | None:
        """The first picture after a loss; None when it is given up. `seen`: when the last came."""
        retry, delay = self._retry, self._retry.first
        while not self._closed.is_set():
            left = seen + retry.patience - retry.clock()
            if left <= 0:
                logger.warning("{}: no frame for {:.0f} s; given up", self.name, retry.patience)
                self.lost = True
                return None
            logger.warning("{}: lost; trying again in {:.1f} s", self.name, min(delay, left))
            retry.sleep(self._closed, min(delay, left))
            reading = self._reconnect()
            if self._feed is not None and not self._feed.realtime:
                logger.info("{}: has ended", self.name)
                return None
            if reading is not None:
                logger.warning("{}: is back after {:.1f} s", self.name, retry.clock() - seen)
                return reading
            delay = min(2 * delay, retry.longest)
        return None

    def _reconnect(self) -> Reading | None:
        with self._reading, interrupted_by(self._closed):
            self._drop()
            if self._closed.is_set():
                return None
            try:
                self._feed = self._connect()
            except FaimError as error:
                logger.trace("{}", error)
                return None
        return self._read()


class _Timeline:
    """Joins the time stamps of several connections to seconds that never go back.

    Args:
        clock: seconds that never go back.
        step: seconds from picture to picture where pictures come at their own pace, so that stamps
            that run ahead of the clock have jumped; None where they come as fast as they are read.

    Attributes:
        seen: the clock when the last picture came, or at the start.
    """

    def __init__(self, clock: Callable[[], float], step: float | None) -> None:
        self.seen = clock()
        self._clock, self._step = clock, step
        self._time: float | None = None
        self._origin: float | None = None

    def restart(self) -> None:
        """The stamps that follow have a zero of their own."""
        self._origin = None

    def place(self, stamp: float | None) -> float:
        """Seconds since the first picture of one that has come now."""
        now = self._clock()
        last = 0.0 if self._time is None else self._time
        time = 0.0 if self._time is None else last + now - self.seen
        if stamp is not None:
            if self._origin is None or self._jumps(stamp - self._origin, last, time):
                # Pictures that were waiting come faster than they were taken.
                time = time if self._time is None else max(time, last + (self._step or 0.0))
                self._origin = stamp - time
            time = max(last, stamp - self._origin)
        self._time, self.seen = time, now
        return time

    def _jumps(self, placed: float, last: float, arrived: float) -> bool:
        ahead = self._step is not None and placed > max(arrived, last + self._step) + RUN_AHEAD
        return ahead or placed < last - TURN_BACK
