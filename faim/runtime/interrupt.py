"""Ends a wait for the network that nobody wants any more."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av.container.core

_this_thread = threading.local()
# Each is later than the one before by more than any time-out.
_too_late = itertools.count(10**12, 10**6)


@contextmanager
def interrupted_by(ended: threading.Event) -> Iterator[None]:
    """Where this thread's waits in PyAV fail within 0.1 s of `ended` being set.

    Holds for containers that were opened with a time-out.
    """
    before = getattr(_this_thread, "ended", None)
    _this_thread.ended = ended
    try:
        yield
    finally:
        _this_thread.ended = before


class _Clock:
    """What PyAV takes for the module `time`.

    Ten times a second FFmpeg asks PyAV, in the thread that waits, whether the call has lasted too
    long. There is no other way to end it early; and one that goes on when the interpreter has
    ended crashes the program with that question.
    """

    def monotonic(self) -> float:
        """Seconds, far too many where the wait is to end."""
        ended: threading.Event | None = getattr(_this_thread, "ended", None)
        return float(next(_too_late)) if ended and ended.is_set() else time.monotonic()


_core: Any = av.container.core
_core.time = _Clock()
