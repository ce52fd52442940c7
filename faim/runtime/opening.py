"""What a detector is given to look at, and how."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import cv2

from faim.errors import FaimError
from faim.runtime.decode_ahead import JOIN_SECONDS, DecodeAhead
from faim.runtime.excerpt import WHOLE, Span
from faim.runtime.given import open_given
from faim.runtime.images import ImageSource
from faim.runtime.interrupt import interrupted_by
from faim.runtime.pixels import ChannelOrder, Picture
from faim.runtime.sources import is_live, open_source
from faim.runtime.stream import masked
from faim.stream.frames import Frame, FrameSource, SourceBase

Mode = Literal["stream", "global", "frame"]
#: What `open_source` takes.
Source: TypeAlias = str | int | Path | Picture | Iterable[Any] | cv2.VideoCapture | FrameSource


def no_end(source: FrameSource, mode: Mode = "global") -> FaimError:
    """The sentence for what needs a whole video on a live source."""
    if mode == "frame":
        return FaimError(
            f"{source.name}: a live source has no end, so post repp cannot work on it; expected "
            "post causal in mode stream, or a file"
        )
    return FaimError(
        f"{source.name}: a live source has no end, so mode global cannot work on it; expected mode "
        "stream or frame, or a file"
    )


def open_ahead(
    source: Source, span: Span = WHOLE, channel_order: ChannelOrder | None = None
) -> FrameSource:
    """The span of what `open_source` opens; what has to be decoded is, ahead, by a thread.

    A `FrameSource` comes back as it is, and what a program hands over is read where it asks.

    Raises:
        FaimError: it cannot be opened, or is live and has no such span.
    """
    if isinstance(source, FrameSource):
        span.check(source)
        return span.of(source)
    given = open_given(source, channel_order=channel_order)
    if given is None:
        [opened] = open_all([source], lambda each: span.of(open_source(each)))
    elif isinstance(given, ImageSource):
        opened = DecodeAhead(span.of(given))
    else:
        span.check(given)
        return span.of(given)
    try:
        span.check(opened)
    except FaimError:
        opened.close()
        raise
    return opened


def open_all(
    sources: Sequence[Any], opener: Callable[[Any], FrameSource] = open_source
) -> list[DecodeAhead]:
    """All sources opened at the same time, each decoded ahead by a thread.

    Of several, a camera or stream that cannot be opened is an `AbsentSource`, so that the others
    play. Ctrl-C is heard at once, whatever the opening waits for.

    Args:
        sources: what `opener` takes.
        opener: opens one of them.

    Raises:
        FaimError: one that is no camera or stream cannot be opened, or none of them can.
    """
    openings = [_Opening(source, opener) for source in sources]
    try:
        for opening in openings:
            opening.wait()
        fatal = [opening.error for opening in openings if not opening.may_be_absent]
        absent = [opening.error for opening in openings if opening.may_be_absent]
        for error in (*fatal, *(absent if len(absent) == len(openings) else ())):
            if error is not None:
                raise error
    except BaseException:
        for opening in openings:
            opening.abandon()
        for opening in openings:
            opening.close()
        raise
    return [DecodeAhead(opening.result()) for opening in openings]


class AbsentSource(SourceBase):
    """What could not be opened while others play: iterating raises the error."""

    def __init__(self, name: str, error: FaimError, *, live: bool = True) -> None:
        """`live` is False for a file."""
        self.name, self.fps, self.live = name, 1.0, live
        self.frame_count: int | None = None
        self._error = error

    def __iter__(self) -> Iterator[Frame]:
        """Raise the error."""
        raise self._error


class _Opening:
    """One source that a thread of its own opens.

    Attributes:
        error: what it raised, once it has ended.
    """

    def __init__(self, source: Any, opener: Callable[[Any], FrameSource]) -> None:
        self.error: BaseException | None = None
        self._source, self._opener = source, opener
        self._opened: FrameSource | None = None
        self._abandoned, self._done = threading.Event(), threading.Event()
        threading.Thread(target=self._open, name="open a source", daemon=True).start()

    def _open(self) -> None:
        try:
            with interrupted_by(self._abandoned):
                self._opened = self._opener(self._source)
        except BaseException as error:
            self.error = error
        self._done.set()
        if self._abandoned.is_set() and self._opened is not None:
            self._opened.close()

    @property
    def may_be_absent(self) -> bool:
        """Whether it failed, and as something that is not always there."""
        return isinstance(self.error, FaimError) and is_live(self._source)

    def wait(self) -> None:
        """Until it is open or has failed."""
        self._done.wait()  # `join` takes a thread for ended once Ctrl-C has come

    def result(self) -> FrameSource:
        """The source, of which `may_be_absent` has been asked."""
        if isinstance(self.error, FaimError):
            return AbsentSource(masked(str(self._source)), self.error)
        assert self._opened is not None
        return self._opened

    def abandon(self) -> None:
        """Nobody wants it any more: end the wait."""
        self._abandoned.set()

    def close(self) -> None:
        """Free what is open; a thread that does not end in time does that itself."""
        self._done.wait(JOIN_SECONDS)
        if self._opened is not None:
            self._opened.close()
