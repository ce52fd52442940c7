"""Video files, through PyAV; the reader of an open container serves network streams too."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Any

import av
import numpy as np
from av.format import Flags
from av.video.reformatter import VideoReformatter
from loguru import logger

from faim.errors import FaimError
from faim.runtime.frames import Frame, Image, Look, Reading, SourceBase

#: frames a second where a container gives none that can be true.
UNKNOWN_FPS = 25.0


class VideoSource(SourceBase):
    """A video file; every iteration opens it anew.

    Rotation metadata is applied. `time` follows the presentation timestamps, so a variable frame
    rate is kept, and never goes back. A packet that cannot be decoded costs its frames, and a file
    that breaks off gives what it still holds; both end in a warning.

    Args:
        name: path.

    Raises:
        FaimError: on construction, when it cannot be opened, is empty or has no video stream; while
            iterating, when not one frame could be decoded.
    """

    def __init__(self, name: str) -> None:
        """See the class."""
        self.name = name
        if Path(name).is_file() and Path(name).stat().st_size == 0:
            raise FaimError(f"{name}: the file is empty; expected a video")
        with closing(self._open()) as reader:
            self.fps = reader.fps
            self.frame_count: int | None = reader.frame_count

    def _open(self) -> VideoReader:
        expected = "a complete video file (an MP4 that was cut short has lost its index)"
        return VideoReader(open_container(self.name, expected), self.name)

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        index, start, time = 0, 0.0, 0.0
        with closing(self._open()) as reader:
            while (reading := reader.read()) is not None:
                stamp, image = reading
                assert stamp is not None  # None is for real time
                start = start if index else stamp
                time = max(time, stamp - start)  # a damaged frame may upset the order
                yield Frame(index, time, image, reader.look)
                index += 1
        if index == 0:
            raise FaimError(f"{self.name}: not one frame can be decoded; expected an intact video")


class VideoReader:
    """The pictures of an open container's first video stream, one by one.

    Args:
        container: from `open_container`; the reader closes it.
        name: what messages call it.
        network: whether it may be endless; it then counts as real time unless its duration or
            size is known.

    Attributes:
        fps: nominal frames a second, above 0.
        frame_count: frames to expect by the header; None if unknown or in real time.
        look: how the last picture is to be shown.
        realtime: whether frames come at their own pace. Decoding then holds no frame back for the
            sake of threads, and a stream without time stamps is given none.
    """

    def __init__(self, container: Any, name: str, *, network: bool = False) -> None:
        """See the class."""
        stream = container.streams.video[0]
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.fps = rate if 0.1 <= rate <= 1000.0 else UNKNOWN_FPS
        self.realtime = network and not _has_end(container)
        self.frame_count = None if self.realtime else _count(container, stream, self.fps)
        self._name, self._container = name, container
        self._stamped = not (self.realtime and container.format.flags & Flags.no_timestamps.value)
        self._declared = int(stream.frames or 0)
        self._decoded = self._damaged = 0
        self._stamp: float | None = None
        self.look = Look()
        self._pixel_aspect = Fraction(stream.sample_aspect_ratio or 1)
        self._time_base = stream.time_base
        # Threads over frames are quicker, but hold back as many frames as there are threads.
        stream.thread_type = "SLICE" if self.realtime else "AUTO"
        self._reformatter = VideoReformatter()
        self._pictures = self._decode(stream)

    def read(self) -> Reading | None:
        """The next picture, or None at the end or where the connection broke.

        The stamp is the presentation time in seconds, counted by `fps` where there is none, and
        None where only the time of arrival is known.
        """
        for picture in self._pictures:
            self._decoded += 1
            self.look = self._look_of(picture)
            return self._stamp_of(picture), self._upright(picture)
        self._report()
        return None

    def _decode(self, stream: Any) -> Generator[Any, None, None]:
        """Decoded frames, those that damage cost left out and counted."""
        try:
            for packet in self._container.demux(stream):
                yield from self._decode_packet(stream, packet)
        except av.error.FFmpegError as error:  # the container or the connection breaks off here
            # In real time this is a loss, of which the source itself speaks.
            level = "TRACE" if self.realtime else "WARNING"
            logger.log(level, "{}: breaks off ({})", self._name, error.strerror)
            yield from self._decode_packet(stream, None)

    def _decode_packet(self, stream: Any, packet: Any) -> list[Any]:
        try:
            return stream.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            self._damaged += 1
            return []

    def _stamp_of(self, picture: Any) -> float | None:
        if not self._stamped or (self.realtime and picture.pts is None):
            return None
        if picture.pts is not None:
            # `picture.time` is not a number for those that come out after a broken connection.
            self._stamp = float(picture.pts * self._time_base)
        else:  # a bare stream
            self._stamp = 0.0 if self._stamp is None else self._stamp + 1.0 / self.fps
        return self._stamp

    def _look_of(self, picture: Any) -> Look:
        aspect = self._pixel_aspect
        return Look(
            1 / aspect if round(picture.rotation / 90) % 2 else aspect,
            picture.color_range,
            picture.color_primaries,
            picture.color_trc,
            picture.colorspace,
        )

    def _upright(self, picture: Any) -> Image:
        # One reformatter for all frames and no threads in it: the same bits as
        # `picture.to_ndarray(format="bgr24")`, which sets up its scaler and threads anew each time,
        # for half of the processor time (1280x720: 1.3 ms against 2.6 ms).
        converted: Any = self._reformatter.reformat(picture, format="bgr24", threads=1)
        image = converted.to_ndarray()
        quarter_turns = round(picture.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image

    def _report(self) -> None:
        if self._damaged:
            logger.warning("{}: {} damaged packets were left out", self._name, self._damaged)
            self._damaged = 0
        if 0 < self._decoded < self._declared:
            logger.warning(
                "{}: {} of {} frames could be decoded; it is damaged or cut short",
                self._name,
                self._decoded,
                self._declared,
            )

    def close(self) -> None:
        """Close the container; no other thread may be reading."""
        self._pictures.close()
        self._container.close()


def open_container(
    name: str,
    expected: str,
    *,
    timeout: float | None = None,
    options: dict[str, str] | None = None,
) -> Any:
    """An `av` input container that has a video stream.

    Args:
        name: path or URL.
        expected: what the message of an error asks for.
        timeout: seconds without an answer after which opening, and later reading, is given up.
        options: of FFmpeg.

    Raises:
        FaimError: it cannot be opened in time or has no video stream.
    """
    start = monotonic()
    try:
        container = av.open(name, container_options=options or {}, timeout=timeout)
    except av.error.FFmpegError as error:
        reason = getattr(error, "strerror", None) or str(error)
        # What FFmpeg says of an interrupted call depends on the protocol.
        if timeout is not None and monotonic() - start >= timeout:
            reason = f"no answer within {timeout:g} s"
        raise FaimError(
            f"{name}: cannot be opened as a video ({reason}); expected {expected}"
        ) from error
    if not container.streams.video:
        container.close()
        raise FaimError(f"{name}: has no video stream; expected a video")
    return container


def _has_end(container: Any) -> bool:
    return bool(container.duration and container.duration > 0) or container.size > 0


def _count(container: Any, stream: Any, fps: float) -> int | None:
    if stream.frames:
        return int(stream.frames)
    if stream.duration and stream.time_base:
        return max(1, round(float(stream.duration * stream.time_base) * fps))
    if container.duration:
        return max(1, round(container.duration / av.time_base * fps))
    return None
