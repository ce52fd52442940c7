"""Ends a wait for the network that nobody wants any more."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import av.container.core

_this_thread = threading.local()
# Each is later than the one before by more than any time-out.
_too_late = itertools.count(10**12, 10**6)


@contextmanager
def interrupted_by(ended: threading.Event) -> Iterator[None]:
    """Where this thread's waits in PyAV fail within 0.1 s of `ended` being set.

    In the main thread they do so at a signal too, whose handler runs when the wait has ended:
    Ctrl-C raises KeyboardInterrupt on leaving. Holds for containers opened with a time-out.
    """
    before: tuple[threading.Event, ...] = getattr(_this_thread, "ended", ())
    signalled = threading.Event()
    _this_thread.ended = (*before, ended, signalled)
    try:
        with _signals_wait(signalled):
            yield
    finally:
        _this_thread.ended = before


@contextmanager
def _signals_wait(signalled: threading.Event) -> Iterator[None]:
    """Where handlers of signals run at the end, and `signalled` is set at once.

    Python would run them inside FFmpeg's question (see `_Clock`), where what they raise is lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
    for ends in (signal.SIGINT, signal.SIGTERM):
        if callable(handler := signal.getsignal(ends)):
            handlers[ends] = handler
    came: list[tuple[int, FrameType | None]] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append((number, frame))
        signalled.set()

    for number in handlers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number, frame in came:
            handlers[number](number, frame)


class _Clock:
    """What PyAV takes for the module `time`.

    Ten times a second FFmpeg asks PyAV, in the thread that waits, whether the call has lasted too
    long. There is no other way to end it early; and one that goes on when the interpreter has
    ended crashes the program with that question.
    """

    def monotonic(self) -> float:
        """Seconds, far too many where the wait is to end."""
        ended: tuple[threading.Event, ...] = getattr(_this_thread, "ended", ())
        over = any(event.is_set() for event in ended)
        return float(next(_too_late)) if over else time.monotonic()


_core: Any = av.container.core
_core.time = _Clock()
