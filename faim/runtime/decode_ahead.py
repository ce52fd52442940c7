"""Frames decoded in a thread of their own, ahead of who needs them."""

from __future__ import annotations

import atexit
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from faim.errors import FaimError
from faim.stream.frames import Frame, FrameSource, SourceBase

#: seconds to wait for a thread that was told to end. It is a daemon and holds up nobody.
JOIN_SECONDS = 0.5


class DecodeAhead(SourceBase):
    """The frames of another source, read by a thread of its own up to `depth` ahead.

    Where the source is `realtime`, a late reader loses the oldest waiting frame for every new one,
    so that it never lags behind; `index` counts what it gets, by the source's `stride` if it has
    one, `time` stays true. Elsewhere the
    thread waits, and every frame comes. An error of the source is raised in its place, after the
    frames before it. The thread starts with the first frame asked for, and ends when the source
    does, when the iteration is abandoned and on `close`.

    Args:
        source: is iterated in the thread and closed by `close`, which may be called while the
            thread reads. To limit frames that get through, put `FirstFrames` around this.
        depth: frames that may wait, 1 or more. One more may be in the hands of the thread.

    Raises:
        FaimError: a depth below 1.
    """

    def __init__(self, source: FrameSource, depth: int = 4) -> None:
        if depth < 1:
            raise FaimError(f"depth: {depth} given; expected 1 or more frames")
        self.name, self.fps, self.frame_count = source.name, source.fps, source.frame_count
        self.live, self.realtime = source.live, source.realtime
        self._source, self._depth = source, depth
        self._latest: _Handover | None = None
        self._running: dict[_Handover, threading.Thread] = {}
        _open.add(self)

    @property
    def dropped(self) -> int:
        """Frames that a late reader lost, in the latest iteration; 0 unless `realtime`."""
        return 0 if self._latest is None else self._latest.dropped

    @property
    def lost(self) -> bool:
        """Whether it is a camera or stream that went away and was given up."""
        return bool(getattr(self._source, "lost", False))

    @property
    def goes_on(self) -> bool:
        """Whether the latest iteration was given up before its source's end."""
        if getattr(self._source, "goes_on", False):
            return True
        return self._latest is not None and not self._latest.exhausted

    @property
    def whole_count(self) -> int | None:
        """Frames to expect of the whole source, also where a part of it is read."""
        count: int | None = getattr(self._source, "whole_count", self.frame_count)
        return count

    @property
    def folder(self) -> Path | None:
        """Where the files that frames name are; None where they have none."""
        return getattr(self._source, "folder", None)

    @property
    def unread(self) -> int:
        """Frames that the source could not read, in the latest iteration."""
        return getattr(self._source, "unread", 0)

    @property
    def ready(self) -> bool:
        """Whether the latest iteration, once begun, would go on without waiting."""
        return self._latest is not None and self._latest.ready

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first, or from now on where `live`."""
        handover = self._start(threading.Condition())
        yield from self._read(handover)

    def begin(self, changed: threading.Condition) -> Iterator[Frame]:
        """As `iter`, but the thread starts at once; `close` ends it where nobody asks for a frame.

        Args:
            changed: is notified whenever frames come or end; shared by several sources, it lets one
                reader wait for whichever is `ready` first.
        """
        return self._read(self._start(changed))

    def _start(self, changed: threading.Condition) -> _Handover:
        handover = self._latest = _Handover(self._depth, changed, drops=self.realtime)
        # The thread must not know the iterator, which would otherwise never be abandoned.
        thread = threading.Thread(
            target=_fill, args=(self._source, handover), name=f"decode {self.name}", daemon=True
        )
        self._running[handover] = thread
        thread.start()
        return handover

    def _read(self, handover: _Handover) -> Iterator[Frame]:
        try:
            index = 0
            while (frame := handover.get()) is not None:
                yield replace(frame, index=index) if self.realtime else frame
                index += getattr(self._source, "stride", 1)
        finally:
            handover.stop()
            if (thread := self._running.pop(handover, None)) is not None:
                _join(thread)

    def close(self) -> None:
        """End the threads, their iterations and the source."""
        running = dict(self._running)
        for handover in running:
            handover.stop()
        self._source.close()
        for thread in running.values():
            _join(thread)


_open: weakref.WeakSet[DecodeAhead] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # A thread that comes back from FFmpeg when the interpreter has ended crashes the program.
    for ahead in list(_open):
        ahead.close()


class _Handover:
    """A bounded queue from one thread to another, either of which may leave.

    Attributes:
        dropped: frames that gave way to newer ones.
        exhausted: whether the last frame was taken, and one more asked for.
    """

    def __init__(self, depth: int, changed: threading.Condition, *, drops: bool) -> None:
        self.dropped = 0
        self.exhausted = False
        self._depth, self._drops = depth, drops
        self._waiting: deque[Frame] = deque()
        self._changed = changed
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    @property
    def ready(self) -> bool:
        """Whether `get` would return at once."""
        return bool(self._waiting) or self._ended or self._stopped

    def put(self, frame: Frame) -> bool:
        """Hand over a frame, waiting for room; False when nobody wants it any more."""
        with self._changed:
            if self._drops and len(self._waiting) == self._depth:
                self._waiting.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._stopped or len(self._waiting) < self._depth)
            if self._stopped:
                return False
            self._waiting.append(frame)
            self._changed.notify_all()
            return True

    def end(self, error: BaseException | None) -> None:
        """No more frames come; `error` says why, unless they are simply at an end."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def get(self) -> Frame | None:
        """The oldest frame, waiting for it; None at the end. Raises what the source raised."""
        with self._changed:
            self._changed.wait_for(lambda: self.ready)
            if self._waiting:
                self._changed.notify_all()
                return self._waiting.popleft()
            error, self._error = self._error, None
            self.exhausted = self._ended and not self._stopped
        if error is not None and not self._stopped:
            raise error
        return None

    def stop(self) -> None:
        """Nobody wants frames any more: forget those that wait, wake both sides."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()


def _fill(source: FrameSource, handover: _Handover) -> None:
    error: BaseException | None = None
    try:
        for frame in source:
            if not handover.put(frame):
                break
    except BaseException as caught:
        error = caught
    handover.end(error)


def _join(thread: threading.Thread) -> None:
    # A forgotten iterator may be collected in any thread, or while the interpreter goes down.
    if thread is not threading.current_thread() and not sys.is_finalizing():
        thread.join(JOIN_SECONDS)
