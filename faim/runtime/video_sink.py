"""Results as an annotated video."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from faim.errors import FaimError
from faim.runtime.drawing import Annotator, fit
from faim.runtime.sinks import Result, unwritable

VIDEO_EXTENSIONS = (".mp4", ".m4v", ".mov", ".mkv")
#: ticks a second of written videos: exact for all usual frame rates.
VIDEO_CLOCK = 90_000


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
        check_video_name(path)
        try:
            Path(path).open("wb").close()
        except OSError as error:
            raise unwritable(self.path, error) from error
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
            raise unwritable(self.path, error) from error

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
            raise unwritable(self.path, error) from error
        finally:
            _close_container(container, self.path)


def check_video_name(path: str | Path) -> None:
    """Raise FaimError unless the name ends as a video that `VideoSink` writes."""
    if Path(path).suffix.lower() not in VIDEO_EXTENSIONS:
        raise FaimError(
            f"{path}: cannot tell the kind of video by its name; expected one ending in "
            f"{', '.join(VIDEO_EXTENSIONS)}"
        )


def _close_container(container: Any, path: str) -> None:
    try:
        container.close()
    except av.error.FFmpegError as error:
        raise unwritable(path, error) from error
