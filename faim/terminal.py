"""Standard output and error of a command: its work never ends for want of a reader."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TextIO, cast


class LenientStream:
    """A text stream that keeps its first failure to itself, and is silent from then on.

    Attributes:
        failure: why it could not be written; None while it can.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """See `TextIO`; returns the length of `text` even where it goes nowhere."""
        if self.failure is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """See `TextIO`."""
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._fail(error)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the stream's own."""
        return getattr(self._stream, name)

    def _fail(self, error: OSError) -> None:
        self.failure = error
        lead_nowhere(self._stream)


def lead_nowhere(stream: IO[str]) -> None:
    """Let what is still buffered vanish, for which Python would complain at exit."""
    with suppress(OSError, ValueError):
        descriptor, nowhere = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def raise_failure() -> None:
    """Raise the OSError that a `LenientStream` in the place of `sys.stdout` has kept, if any."""
    failure = getattr(sys.stdout, "failure", None)
    if failure is not None:
        raise failure


@contextmanager
def lenient_streams() -> Iterator[LenientStream]:
    """Where `sys.stdout`, which is given, and `sys.stderr` are lenient.

    Both are flushed at the end. Closed ones (`2>&-`) lead nowhere, and never into a file that is
    opened later.
    """
    _fill_closed_descriptors()
    before = sys.stdout, sys.stderr
    streams = [_lenient(stream) for stream in before]
    sys.stdout, sys.stderr = (cast("TextIO", stream) for stream in streams)
    try:
        yield streams[0]
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


def _lenient(stream: TextIO | None) -> LenientStream:
    if stream is None:  # what Python makes of a closed descriptor
        stream = io.StringIO()
    elif isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")  # a terminal without accents ends no run
    return LenientStream(stream)


def _fill_closed_descriptors() -> None:
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free is always taken: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
