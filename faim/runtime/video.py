"""Video files and network streams, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from loguru import logger

from faim.errors import FaimError
from faim.runtime.frames import Frame, Image, SourceBase

STREAM_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "srt", "tcp", "udp"})
#: seconds until an unreachable stream counts as absent, and a silent one as ended.
STREAM_TIMEOUT = 10.0


class VideoSource(SourceBase):
    """A video file or stream; every iteration opens it anew.

    Rotation metadata is applied. `time` follows the presentation timestamps, so a variable frame
    rate is kept. A packet that cannot be decoded costs its frames, and a file that breaks off
    gives what it still holds; both end in a warning.

    Args:
        name: path or URL.
        live: True for what can be read once only.

    Raises:
        FaimError: on construction, when it cannot be opened, is empty or has no video stream; while
            iterating, when not one frame could be decoded.
    """

    def __init__(self, name: str, live: bool = False) -> None:
        """See the class."""
        self.name = name
        self.live = live
        if not live and Path(name).is_file() and Path(name).stat().st_size == 0:
            raise FaimError(f"{name}: the file is empty; expected a video")
        with self._open() as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            self.fps = rate if 0.1 <= rate <= 1000.0 else 25.0
            self.frame_count: int | None = None if live else self._count(container, stream)
            self._declared = int(stream.frames or 0)

    def _open(self) -> Any:
        options = {"rtsp_transport": "tcp"} if self.name.startswith("rtsp") else {}
        timeout = STREAM_TIMEOUT if self.live else None
        try:
            container = av.open(self.name, options=options, timeout=timeout)
        except av.error.FFmpegError as error:
            reason = getattr(error, "strerror", None) or str(error)
            expected = (
                "a stream that answers"
                if self.live
                else "a complete video file (an MP4 that was cut short has lost its index)"
            )
            raise FaimError(
                f"{self.name}: cannot be opened as a video ({reason}); expected {expected}"
            ) from error
        if not container.streams.video:
            container.close()
            raise FaimError(f"{self.name}: has no video stream; expected a video")
        return container

    def _count(self, container: Any, stream: Any) -> int | None:
        if stream.frames:
            return int(stream.frames)
        if stream.duration and stream.time_base:
            return max(1, round(float(stream.duration * stream.time_base) * self.fps))
        if container.duration:
            return max(1, round(container.duration / av.time_base * self.fps))
        return None

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        index, damage, start, time = 0, 0, None, 0.0
        with self._open() as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for item in _decode(container, stream):
                if isinstance(item, av.error.FFmpegError):
                    damage += 1
                    continue
                if item.time is None:  # a bare stream without timestamps
                    time += 1.0 / self.fps if index else 0.0
                else:
                    start = item.time if start is None else start
                    time = item.time - start
                yield Frame(index, time, _upright(item))
                index += 1
        self._report(index, damage)

    def _report(self, decoded: int, damage: int) -> None:
        if decoded == 0:
            raise FaimError(f"{self.name}: not one frame can be decoded; expected an intact video")
        if damage:
            logger.warning("{}: {} damaged packets were left out", self.name, damage)
        if decoded < self._declared:
            logger.warning(
                "{}: {} of {} frames could be decoded; the file is damaged or cut short",
                self.name,
                decoded,
                self._declared,
            )


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Decoded frames and, in place of those that damage cost, its error."""
    try:
        for packet in container.demux(stream):
            yield from _decode_packet(stream, packet)
    except av.error.FFmpegError as error:  # the container itself breaks off here
        yield error
        yield from _decode_packet(stream, None)


def _decode_packet(stream: Any, packet: Any) -> list[Any]:
    try:
        return stream.decode(packet)
    except av.error.EOFError:
        return []
    except av.error.FFmpegError as error:
        return [error]


def _upright(frame: Any) -> Image:
    image = frame.to_ndarray(format="bgr24")
    quarter_turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image
