"""Where results go: JSON lines, an annotated video, a window, the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import av
import cv2
import supervision as sv

from faim.errors import FaimError
from faim.runtime.drawing import Annotator, fit
from faim.runtime.results import FrameResult

Result: TypeAlias = FrameResult[sv.Detections]

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv")
#: ticks a second of written videos: exact for all usual frame rates.
VIDEO_CLOCK = 90_000


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


class JsonLinesSink:
    """One JSON object a frame, in order, written through to the file line by line.

    The file holds whole lines at any moment: a line that an error or Ctrl-C breaks is taken back.

    Args:
        path: a file, replaced if it exists, or "-" for stdout.

    Raises:
        FaimError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        """See the class."""
        self.path = str(path)
        self._file: Any = None
        self._good = 0
        if self.path != "-":
            try:
                self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115
            except OSError as error:
                raise _unwritable(self.path, error) from error

    def write(self, result: Result) -> None:
        """See `Sink`."""
        line = json.dumps(to_record(result), ensure_ascii=False) + "\n"
        if self._file is None:
            _print_line(line)
        else:
            self._append(line.encode())

    def _append(self, line: bytes) -> None:
        try:
            rest = line
            while rest:
                rest = rest[self._file.write(rest) :]
            self._good += len(line)
        except BaseException as error:  # Ctrl-C too must not leave half a line
            with contextlib.suppress(OSError):  # a pipe or device cannot be shortened
                self._file.truncate(self._good)
                self._file.seek(self._good)
            if isinstance(error, BrokenPipeError):
                raise StopRun from error
            if isinstance(error, OSError):
                raise _unwritable(self.path, error) from error
            raise

    def close(self) -> None:
        """See `Sink`."""
        if self._file is not None:
            self._file.close()


def to_record(result: Result) -> dict[str, Any]:
    """The JSON object of one frame; boxes in pixels with 2 decimals, scores with 4.

    Returns:
        `{"frame", "time", "width", "height", "detections": [{"bbox": [x1, y1, x2, y2], "score",
        "label", "class_id"}]}`.
    """
    found = result.detections
    height, width = result.frame.image.shape[:2]
    rows = zip(found.xyxy, found.confidence, found.data["class_name"], found.class_id, strict=True)
    return {
        "frame": result.frame.index,
        "time": round(float(result.frame.time), 6),
        "width": width,
        "height": height,
        "detections": [
            {
                "bbox": [round(float(side), 2) for side in box],
                "score": round(float(score), 4),
                "label": str(name),
                "class_id": int(class_id),
            }
            for box, score, name, class_id in rows
        ],
    }


class VideoSink:
    """The frames with their detections, as H.264 (MPEG-4 where PyAV has no x264).

    The file grows in fragments of about a second, which play even after kill -9; `close` turns an
    MP4 into an ordinary one. Frames keep their times. The first frame sets the size (made even);
    frames of other sizes are fitted into it.

    Args:
        path: a file ending in .mp4, .m4v, .mov or .mkv, replaced if it exists.
        fps: nominal frames a second of the source.

    Raises:
        FaimError: another ending, or the file cannot be written.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        """See the class."""
        self.path = str(path)
        if Path(path).suffix.lower() not in VIDEO_EXTENSIONS:
            raise FaimError(
                f"{path}: cannot tell the kind of video by its name; expected one ending in "
                f"{', '.join(VIDEO_EXTENSIONS)}"
            )
        try:
            Path(path).open("wb").close()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self._fps = fps
        self._annotator = Annotator()
        self._container: Any = None
        self._stream: Any = None
        self._last_tick = -1

    def write(self, result: Result) -> None:
        """See `Sink`."""
        image = self._annotator.draw(result.frame.image, result.detections)
        try:
            if self._stream is None:
                self._start(*image.shape[:2])
            fitted = fit(image, self._stream.height, self._stream.width)
            frame = av.VideoFrame.from_ndarray(fitted, format="bgr24")
            # Ticks have to rise even where a source repeats a timestamp.
            self._last_tick = max(round(result.frame.time * VIDEO_CLOCK), self._last_tick + 1)
            frame.pts, frame.time_base = self._last_tick, Fraction(1, VIDEO_CLOCK)
            self._container.mux(self._stream.encode(frame))
        except av.error.FFmpegError as error:
            raise _unwritable(self.path, error) from error

    def _start(self, height: int, width: int) -> None:
        options = {"flush_packets": "1"}
        if Path(self.path).suffix.lower() != ".mkv":
            options["movflags"] = "hybrid_fragmented"
        self._container = av.open(self.path, "w", options=options)
        # Without B frames the first timestamp is 0 in fragments too.
        codec = {"bf": "0", "g": str(max(1, round(self._fps)))}
        rate = Fraction(self._fps).limit_denominator(1001)
        if "libx264" in av.codecs_available:
            codec |= {"preset": "veryfast", "crf": "23"}
            stream = self._container.add_stream("libx264", rate=rate, options=codec)
        else:
            stream = self._container.add_stream("mpeg4", rate=rate, options=codec)
            stream.bit_rate = max(500_000, int(height * width * self._fps * 0.15))
        stream.height, stream.width = height + height % 2, width + width % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, VIDEO_CLOCK)
        self._stream = stream

    def close(self) -> None:
        """See `Sink`; a run without frames leaves no file."""
        if self._container is None:
            with contextlib.suppress(OSError):
                Path(self.path).unlink()
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
        except av.error.FFmpegError as error:
            raise _unwritable(self.path, error) from error
        finally:
            _close_container(container, self.path)


class WindowSink:
    """The frames with their detections in a window; q or Esc ends the run.

    Raises:
        FaimError: there is no display, or this OpenCV has no windows.
    """

    def __init__(self, title: str = "FAIM") -> None:
        """See the class."""
        # Qt aborts the whole process where there is no display, so ask before it does.
        displays = ("DISPLAY", "WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
            raise FaimError(
                "show: there is no display here (DISPLAY and WAYLAND_DISPLAY are not set); "
                "expected a desktop, or an annotated video file instead"
            )
        self._title = title
        self._annotator = Annotator()

    def write(self, result: Result) -> None:
        """See `Sink`."""
        try:
            cv2.imshow(self._title, self._annotator.draw(result.frame.image, result.detections))
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

    def __init__(self, print_line: Callable[[str], None] = print) -> None:
        """See the class."""
        self._print_line = print_line

    def write(self, result: Result) -> None:
        """See `Sink`."""
        found = result.detections
        named = zip(found.data["class_name"], found.confidence, strict=True)
        things = ", ".join(f"{name} {score:.2f}" for name, score in named)
        line = f"frame {result.frame.index:5d}  {result.frame.time:8.2f} s  {things or '-'}"
        self._print_line(line)

    def close(self) -> None:
        """Nothing is held."""


def _print_line(line: str) -> None:
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Python would complain once more when it flushes stdout at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StopRun from error
    except OSError as error:
        raise _unwritable("standard output", error) from error


def _close_container(container: Any, path: str) -> None:
    try:
        container.close()
    except av.error.FFmpegError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str, error: Exception) -> FaimError:
    reason = getattr(error, "strerror", None) or str(error)
    return FaimError(
        f"{path}: cannot be written ({reason}); expected a writable file in an existing folder "
        "with space left"
    )
