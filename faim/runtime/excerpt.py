"""Part of a source: every n-th frame, between two times."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from faim.errors import FaimError
from faim.reading import is_whole, shown
from faim.stream.frames import Frame, FrameSource, SourceBase

#: seconds by which two times are the same: those of frames are written with six decimals.
SAME_TIME = 1e-6
#: seconds, which are 30 years.
LATEST = 1e9
#: Hours, which may be left out with the colon behind them, minutes and seconds.
_CLOCK = re.compile(r"(?:(\d{1,6}):(?=[0-5]?\d:))?(\d{1,6}):([0-5]?\d(?:\.\d*)?)")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d*)?|\.\d+")


@dataclass(frozen=True)
class Span:
    """Which frames of a source are looked at; those that are keep their numbers and times.

    Attributes:
        stride: every so many-th frame, counted from the first at or after `start`.
        start: seconds; a frame of just that time is in.
        end: seconds; a frame of just that time is out. None for to the end.
    """

    stride: int = 1
    start: float = 0.0
    end: float | None = None

    @classmethod
    def parse(
        cls, stride: int = 1, start: str | float | None = None, end: str | float | None = None
    ) -> Span:
        """From seconds or texts, see `parse_seconds`; None for all from the start, or to the end.

        Raises:
            FaimError: a stride below 1, no time, or an end that is not after the start.

        Example:
            >>> import numpy as np
            >>> from faim.runtime.sources import open_source
            >>> span = Span.parse(stride=2, start="0:00.04")
            >>> with span.of(open_source([np.zeros((4, 6, 3), np.uint8)] * 6)) as frames:
            ...     [(frame.index, frame.time) for frame in frames]
            [(1, 0.04), (3, 0.12), (5, 0.2)]
        """
        if not is_whole(stride) or stride < 1:
            raise FaimError(f"stride: {shown(stride)} given; expected a whole number from 1 on")
        first = 0.0 if start is None else parse_seconds("start", start)
        last = None if end is None else parse_seconds("end", end)
        if last is not None and last - first <= SAME_TIME:
            raise FaimError(
                f"end: {last:g} s given with start {first:g} s; expected an end after the start"
            )
        return cls(int(stride), first, last)

    def of(self, source: FrameSource) -> FrameSource:
        """The frames of a source that are looked at."""
        return source if self == WHOLE else Excerpt(source, self)

    def check(self, source: FrameSource) -> None:
        """Raise FaimError where a live source is to begin or end at a time."""
        for name, given in (("start", self.start > 0), ("end", self.end is not None)):
            if given and source.realtime:
                raise FaimError(
                    f"{name}: given with {source.name}, which is live and has no beginning; "
                    "expected a file, or --limit"
                )


#: All frames.
WHOLE = Span()


class Picker:
    """Which frames of one pass over a source are looked at, asked of every frame in order.

    Attributes:
        cut: whether a frame behind the end was met.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        self.cut = False
        self._first: int | None = None

    def takes(self, index: int, time: float) -> bool:
        """Whether the frame of this number and time is looked at."""
        if time < self._span.start - SAME_TIME:
            return False
        if self._first is None:
            self._first = index
        return (index - self._first) % self._span.stride == 0

    def is_over(self, time: float) -> bool:
        """Whether neither a frame of this time nor one after it is looked at."""
        over = self._span.end is not None and time >= self._span.end - SAME_TIME
        self.cut |= over
        return over

    def of(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Those of some frames that are looked at."""
        for frame in frames:
            if self.is_over(frame.time):
                return
            if self.takes(frame.index, frame.time):
                yield frame


@runtime_checkable
class Skipping(Protocol):
    """A source that need not make pixels of the frames that nobody looks at."""

    def pick(self, picker: Picker) -> Iterator[Frame]:
        """Those frames that `picker` takes, from the first."""
        ...


class Excerpt(SourceBase):
    """The frames of another source within a span; it closes that source.

    A span that begins within a video is right whatever its key frames are: all before it is
    decoded, which is quicker than to look at it.

    Attributes:
        fps: frames looked at a second of the source.
        stride: see `Span`.
        whole_count: frames of the other source, as far as they are known.
        folder: see `DecodeAhead`.

    Raises:
        FaimError: while iterating, when the source ends before the span.
    """

    def __init__(self, source: FrameSource, span: Span) -> None:
        self.name, self.stride = source.name, span.stride
        self.fps = source.fps / span.stride
        self.live, self.realtime = source.live, source.realtime
        self.frame_count: int | None = _expected(source, span)
        self.whole_count = source.frame_count
        self.folder: Path | None = getattr(source, "folder", None)
        self._source, self._span = source, span
        self._picker: Picker | None = None

    @property
    def goes_on(self) -> bool:
        """Whether the latest iteration ended before the other source did."""
        return self._picker is not None and self._picker.cut

    @property
    def lost(self) -> bool:
        """See `DecodeAhead`."""
        return bool(getattr(self._source, "lost", False))

    @property
    def unread(self) -> int:
        """See `DecodeAhead`; of the frames that are looked at."""
        return getattr(self._source, "unread", 0)

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first of the span."""
        picker = self._picker = Picker(self._span)
        source = self._source
        empty = True
        for frame in source.pick(picker) if isinstance(source, Skipping) else picker.of(source):
            empty = False
            yield frame
        if empty and (self._span.start or self._span.end is not None) and not self.unread:
            until = "" if self._span.end is None else f" and before {self._span.end:g} s"
            raise FaimError(
                f"{self.name}: has no frame from {self._span.start:g} s on{until}; expected a "
                "start and an end within it"
            )

    def close(self) -> None:
        """Close the other source."""
        self._source.close()


def parse_seconds(name: str, given: str | float) -> float:
    """A time in seconds: a number, "90", "1:30" or "0:01:30.5".

    Args:
        name: of the option, for messages.
        given: what was given.

    Raises:
        FaimError: it is no time.

    Example:
        >>> parse_seconds("start", "1:02:03.5")
        3723.5
    """
    value: Any = given
    if isinstance(given, str):
        text = given.strip()
        if clock := _CLOCK.fullmatch(text):
            hours, minutes, seconds = clock.groups()
            return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
        value = float(text) if _SECONDS.fullmatch(text) else None
    number = is_whole(value) or isinstance(value, (float, np.floating))
    if number and 0 <= value <= LATEST:
        return float(value)
    raise FaimError(
        f"{name}: {shown(given)} given; expected seconds from 0 on, as in 90 or 90.5, or H:MM:SS, "
        "as in 0:01:30.5"
    )


def _expected(source: FrameSource, span: Span) -> int | None:
    """Frames to expect, as headers have it."""
    if source.frame_count is None:
        return None
    first = min(math.ceil(span.start * source.fps), source.frame_count)
    last = source.frame_count
    if span.end is not None:
        last = max(first, min(last, math.ceil(span.end * source.fps)))
    return math.ceil((last - first) / span.stride)
