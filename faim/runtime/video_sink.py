"""Results as an annotated video."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.reformatter import VideoReformatter

from faim.errors import FaimError
from faim.runtime.drawing import fit
from faim.runtime.finishing import finish_video
from faim.runtime.sinks import Drawing, Result, check_place, open_new, unwritable
from faim.stream.frames import Look

#: FFmpeg's containers by the ends of files' names.
_CONTAINERS = {".mp4": "mp4", ".m4v": "ipod", ".mov": "mov", ".mkv": "matroska"}
VIDEO_EXTENSIONS = tuple(_CONTAINERS)
#: ticks a second of written videos: exact for all usual frame rates.
VIDEO_CLOCK = 90_000
#: swscale's matrices by the numbers of H.273.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}
_UNKNOWN = 2


class VideoSink:
    """The frames with their detections, as H.264 (MPEG-4 where PyAV has no x264).

    The file grows in fragments of about a second, which play even after kill -9; `close` turns an
    MP4 into an ordinary one that plays while it loads. Where writing fails, what is there stays as
    it is. Frames keep their times, counted from the first, which sets the size (made even), the
    shape of pixels and the tags of colour; frames of other sizes are fitted into it. The file is
    replaced, or made, with that frame.

    Args:
        path: a file ending in .mp4, .m4v, .mov or .mkv.
        fps: nominal frames a second of the source.
        drawing: what draws the frames.
        audio_of: a video file of whose times the frames are, and whose sound is kept.

    Raises:
        FaimError: another ending, or the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float,
        drawing: Drawing | None = None,
        *,
        audio_of: Path | None = None,
    ) -> None:
        self.path = str(path)
        check_video_name(path)
        check_place(self.path)
        self._kind = _CONTAINERS[Path(self.path).suffix.lower()]
        self._fps, self._audio_of = fps, audio_of
        self._drawing = drawing or Drawing()
        self._reformatter = VideoReformatter()
        # Ours and not FFmpeg's, which would take a part of some names for a protocol, and which
        # writes the end of a file even where its beginning could not be written.
        self._file: io.FileIO | None = None
        self._container: Any = None
        self._stream: Any = None
        self._last_tick, self._first_time = -1, 0.0

    def write(self, result: Result) -> None:
        """See `Sink`."""
        image = self._drawing.of(result)
        with self._telling():
            if self._stream is None:
                height, width = image.shape[:2]
                self._start(height, width, result.frame.look)
                self._first_time = result.frame.time
            fitted = fit(image, self._stream.height, self._stream.width)
            frame = self._in_colour(av.VideoFrame.from_ndarray(fitted, format="bgr24"))
            # Ticks have to rise even where a source repeats a timestamp.
            ticks = round((result.frame.time - self._first_time) * VIDEO_CLOCK)
            self._last_tick = max(ticks, self._last_tick + 1)
            frame.pts, frame.time_base = self._last_tick, Fraction(1, VIDEO_CLOCK)
            self._container.mux(self._stream.encode(frame))

    def _start(self, height: int, width: int, look: Look) -> None:
        options = {"flush_packets": "1"}
        if self._kind != "matroska":
            options["movflags"] = "hybrid_fragmented"
        self._file = open_new(self.path)
        self._container = av.open(self._file, "w", format=self._kind, options=options)
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
        context = stream.codec_context
        context.time_base = Fraction(1, VIDEO_CLOCK)
        context.sample_aspect_ratio = look.pixel_aspect
        context.color_range = look.color_range
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.colorspace = look.matrix if look.matrix in _MATRICES else _UNKNOWN
        self._stream = stream

    def _in_colour(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as YUV by the matrix and in the range that the stream is said to have."""
        context = self._stream.codec_context
        return self._reformatter.reformat(
            frame,
            format="yuv420p",
            dst_colorspace=_MATRICES.get(context.colorspace),
            dst_color_range=context.color_range or None,
        )

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """What FFmpeg cannot write as one sentence; nothing is written after that."""
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            self._drop()
            raise unwritable(self.path, error) from error
        except FaimError:
            self._drop()
            raise

    def _drop(self) -> None:
        """Leave the file as it is, but for an empty one, which goes."""
        self._container = None
        if self._file is not None:
            empty = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode) and not self._file.tell()
            self._file.close()
            if empty:
                Path(os.path.realpath(self.path)).unlink(missing_ok=True)

    def close(self) -> None:
        """See `Sink`; a run without frames leaves no file."""
        if self._container is None:
            return
        with self._telling():
            self._container.mux(self._stream.encode(None))
            self._container.close()
        self._drop()
        finish_video(self.path, self._kind, self._audio_of, self._first_time)


def check_video_name(path: str | Path) -> None:
    """Raise FaimError unless the name ends as a video that `VideoSink` writes."""
    if Path(path).suffix.lower() not in VIDEO_EXTENSIONS:
        raise FaimError(
            f"{path}: cannot tell the kind of video by its name; expected one ending in "
            f"{', '.join(VIDEO_EXTENSIONS)}"
        )
