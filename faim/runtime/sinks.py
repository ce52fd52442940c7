"""Where results go: JSON lines, an annotated video, a window, the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cv2

from faim.errors import FaimError
from faim.files import is_special
from faim.pictures.image import Image
from faim.runtime.drawing import Annotator, DrawStyle
from faim.runtime.found import names_of, tracks_of
from faim.runtime.frame_record import to_line
from faim.runtime.results import FrameResult
from faim.terminal import lead_nowhere, raise_failure
from faim.text import printable

Result: TypeAlias = FrameResult


class StopRun(Exception):  # noqa: N818 - not an error: somebody has seen enough
    """Whoever looks at the results has gone: the window was closed, the pipe has no reader."""


class Sink(Protocol):
    """Takes the results of one run, frame by frame."""

    def write(self, result: Result) -> None:
        """Take the next frame's result.

        Raises:
            FaimError: it cannot be stored; what was stored before stays valid.
            StopRun: the run should end here.
        """
        ...

    def close(self) -> None:
        """Finish what was written. Called once, also after an error or Ctrl-C."""
        ...


class LineFile:
    """A text file that grows by whole lines.

    It holds whole lines at any moment: what an error or Ctrl-C breaks is taken back. It is
    replaced, or made, with the first of them.

    Raises:
        FaimError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._file: Any = None
        self._good = 0
        check_place(self.path)

    def append(self, lines: str) -> None:
        """Write lines through to the file, all of them or none; names of no encoding as escapes.

        Raises:
            FaimError: it cannot be written.
            StopRun: it is a pipe that nobody reads.
        """
        if self._file is None:
            self._file = open_new(self.path)
        rest = content = lines.encode("utf-8", "backslashreplace")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            self._good += len(content)
        except BaseException as error:  # Ctrl-C too must not leave half a line
            with contextlib.suppress(OSError):  # a pipe or device cannot be shortened
                self._file.truncate(self._good)
                self._file.seek(self._good)
            if isinstance(error, BrokenPipeError):
                raise StopRun from error
            if isinstance(error, OSError):
                raise unwritable(self.path, error) from error
            raise

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()


class JsonLinesSink:
    """One JSON object a frame, in order; see `LineFile`.

    Args:
        path: a file, or "-" for stdout.

    Raises:
        FaimError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = None if str(path) == "-" else LineFile(path)

    def write(self, result: Result) -> None:
        """See `Sink`."""
        record = result.to_dict()
        if self._file is not None:
            self._file.append(to_line(record, "utf-8"))
            return
        line = to_line(record, sys.stdout.encoding or "utf-8")
        now(lambda: sys.stdout.write(line))

    def close(self) -> None:
        """See `Sink`."""
        if self._file is not None:
            self._file.close()


class Drawing:
    """The frames of one source with their detections, drawn once for all sinks that show them."""

    def __init__(self, style: DrawStyle | None = None) -> None:
        self._annotator = Annotator(style)
        self._drawn: tuple[Result, Image] | None = None

    def of(self, result: Result) -> Image:
        """The frame as (h, w, 3) uint8 BGR, not to be changed."""
        if self._drawn is None or self._drawn[0] is not result:
            image = self._annotator.draw(result.frame.image, result.detections)
            self._drawn = result, image
        return self._drawn[1]


class WindowSink:
    """The frames with their detections in a window; q or Esc ends the run.

    Raises:
        FaimError: there is no display, or this OpenCV has no windows.
    """

    def __init__(self, title: str = "FAIM", drawing: Drawing | None = None) -> None:
        # Qt aborts the whole process where there is no display, so ask before it does.
        displays = ("DISPLAY", "WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
            raise FaimError(
                "show: there is no display here (DISPLAY and WAYLAND_DISPLAY are not set); "
                "expected a desktop, or an annotated video file instead"
            )
        self._title = title
        self._drawing = drawing or Drawing()

    def write(self, result: Result) -> None:
        """See `Sink`."""
        try:
            cv2.imshow(self._title, self._drawing.of(result))
            key = cv2.waitKey(1) & 0xFF
        except cv2.error as error:
            raise FaimError(
                "show: this OpenCV cannot open windows; expected the package opencv-python and not "
                "opencv-python-headless"
            ) from error
        if key in (ord("q"), 27):
            raise StopRun

    def close(self) -> None:
        """See `Sink`."""
        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(self._title)


class LineSink:
    """One short line a frame, for a person at the terminal."""

    def __init__(self, print_line: Callable[[str], None] = print, prefix: str = "") -> None:
        """`prefix` stands before every line."""
        self._print_line, self._prefix = print_line, printable(prefix)

    def write(self, result: Result) -> None:
        """See `Sink`."""
        found = result.detections
        named = zip(names_of(found), tracks_of(found), found.confidence, strict=True)
        things = ", ".join(
            f"{printable(name)}{f' #{track}' if track >= 0 else ''} {score:.2f}"
            for name, track, score in named
        )
        line = f"frame {result.frame.index:5d}  {result.frame.time:8.2f} s  {things or '-'}"
        self._print_line(self._prefix + line)

    def close(self) -> None:
        """Nothing is held."""


def now(print_something: Callable[[], object]) -> None:
    """Print to stdout at once.

    Raises:
        FaimError: it cannot be written.
        StopRun: nobody reads it.
    """
    try:
        print_something()
        sys.stdout.flush()
        raise_failure()
    except BrokenPipeError as error:
        lead_nowhere(sys.stdout)
        raise StopRun from error
    except OSError as error:
        raise unwritable("standard output", error) from error


def check_place(path: str) -> None:
    """Raise FaimError if a file cannot be written, without touching one that is there."""
    try:
        place = Path(os.path.realpath(path))
        new = not os.path.exists(place)  # noqa: PTH110 - Path's raises for names too long
        if not is_special(path):
            place.open("ab").close()
            if new:
                place.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def open_new(path: str) -> io.FileIO:
    """The file to write to, empty and not buffered.

    Raises:
        FaimError: it cannot be opened.
    """
    try:
        return io.FileIO(path, "wb")
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: str, error: Exception) -> FaimError:
    """The sentence for a file that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return FaimError(
        f"{path}: cannot be written ({reason}); expected a writable file in an existing folder "
        "with space left"
    )
