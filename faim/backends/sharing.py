"""What threads and processes may share of a backend, and what each needs for itself."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from faim.errors import FaimError

Key = TypeVar("Key")
Value = TypeVar("Value")


class MadeOnce(Generic[Key, Value]):
    """Values made when first asked for, each once, whichever threads ask.

    Args:
        make: makes the value of a key; what it raises is raised, and it is tried again next time.
    """

    def __init__(self, make: Callable[[Key], Value]) -> None:
        self._make = make
        self._made: dict[Key, Value] = {}
        self._lock = threading.Lock()

    def __getitem__(self, key: Key) -> Value:
        """The value of a key."""
        if key not in self._made:
            with self._lock:
                if key not in self._made:
                    self._made[key] = self._make(key)
        return self._made[key]


class MadePerThread(Generic[Key, Value]):
    """The same, but every thread gets values of its own, which go when it ends."""

    def __init__(self, make: Callable[[Key], Value]) -> None:
        """See `MadeOnce`."""
        self._make = make
        self._local = threading.local()

    def __getitem__(self, key: Key) -> Value:
        """This thread's value of a key."""
        made: dict[Key, Value] = self._local.__dict__.setdefault("made", {})
        if key not in made:
            made[key] = self._make(key)
        return made[key]


def check_not_forked() -> None:
    """Raise FaimError in a process forked from one that has been here before.

    The libraries that run networks have threads, which a fork leaves behind and waits for.
    """
    if os.getpid() != _home():
        raise FaimError(
            "detector: this process was forked from one that had loaded a detector, whose threads "
            "stayed there; expected multiprocessing's start method spawn, or faim.load in the "
            "forked processes alone"
        )


@functools.cache
def _home() -> int:
    """The process that asked first; a forked child has its parent's answer."""
    return os.getpid()
