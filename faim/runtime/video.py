"""Video files, through PyAV; the reader of an open container serves network streams too."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.format import Flags
from av.video.reformatter import VideoReformatter
from loguru import logger
from numpy.typing import NDArray

from faim.errors import FaimError
from faim.files import ffmpeg_path
from faim.pictures.image import Image
from faim.pictures.limits import check_pixels, max_pixels
from faim.runtime.container import (
    frames_by_duration,
    has_end,
    open_container,
    promised_frames,
    shown_stream,
)
from faim.runtime.excerpt import WHOLE, Picker
from faim.runtime.stamps import PacketClock, PictureClock
from faim.stream.frames import Frame, Look, Reading, SourceBase
from faim.wording import counted

#: frames a second where a container gives none that can be true.
UNKNOWN_FPS = 25.0


class VideoSource(SourceBase):
    """A video file; every iteration opens it anew.

    Of several video streams it is the one that ffmpeg would take. Rotation and reflection by
    metadata are applied. `time` follows the presentation timestamps as ffmpeg reads them, so a
    variable frame rate is kept and joined clips go on evenly; it never goes back. A packet that
    cannot be decoded costs its frames, and a file that breaks off gives what it still holds; both
    end in a warning.

    Args:
        name: path.

    Raises:
        FaimError: on construction, when it cannot be opened, is empty or has no video stream; while
            iterating, when not one frame could be decoded.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        if Path(name).is_file() and Path(name).stat().st_size == 0:
            raise FaimError(f"{name}: the file is empty; expected a video")
        with closing(self.open()) as reader:
            self.fps = reader.fps
            self.frame_count: int | None = reader.frame_count

    def open(self) -> VideoReader:
        """What gives its pictures one by one; the caller closes it."""
        expected = "a complete video file (an MP4 that was cut short has lost its index)"
        return VideoReader(open_container(ffmpeg_path(self.name), self.name, expected), self.name)

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        return self.pick(Picker(WHOLE))

    def pick(self, picker: Picker) -> Iterator[Frame]:
        """See `Skipping`."""
        index, start, time = 0, 0.0, 0.0
        with closing(self.open()) as reader:
            while (decoded := reader.next_picture()) is not None:
                stamp, picture = decoded
                assert stamp is not None  # None is for real time
                start = start if index else stamp
                time = max(time, stamp - start)  # a damaged frame may upset the order
                if picker.is_over(time):
                    return
                if picker.takes(index, time):
                    yield Frame(index, time, reader.to_image(picture), reader.look)
                index += 1
        if index == 0:
            raise FaimError(f"{self.name}: not one frame can be decoded; expected an intact video")


class VideoReader:
    """The pictures of an open container's video stream, one by one.

    Args:
        container: from `open_container`; the reader closes it.
        name: what messages call it.
        network: whether it may be endless; it then counts as real time unless its duration or
            size is known.

    Raises:
        FaimError: its pictures have more pixels than `max_pixels`.

    Attributes:
        fps: nominal frames a second, above 0.
        frame_count: frames to expect by the header; None if unknown or in real time.
        look: how the last picture of which pixels were made is to be shown.
        realtime: whether frames come at their own pace. Decoding then holds no frame back for the
            sake of threads, and a stream without time stamps is given none.
    """

    def __init__(self, container: Any, name: str, *, network: bool = False) -> None:
        stream = shown_stream(container)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        self.fps = rate if 0.1 <= rate <= 1000.0 else UNKNOWN_FPS
        self.realtime = network and not has_end(container)
        self._promised = promised_frames(container, stream)
        expected = self._promised or frames_by_duration(container, stream, self.fps)
        self.frame_count = None if self.realtime else expected
        self._name, self._container = name, container
        flags = container.format.flags
        self._stamped = not (self.realtime and flags & Flags.no_timestamps.value)
        self._decoded = self._damaged = 0
        self._stamp: float | None = None
        self.look = Look()
        self._pixel_aspect = Fraction(stream.sample_aspect_ratio or 1)
        self._time_base = stream.time_base
        self._packet_clock = PacketClock(
            stream.time_base, self.fps, restarts=bool(flags & Flags.ts_discont.value)
        )
        self._picture_clock = PictureClock()
        check_pixels(name, stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.options = {"max_pixels": str(max_pixels())}  # should they grow later
        # Threads over frames are quicker, but hold back as many frames as there are threads.
        stream.thread_type = "SLICE" if self.realtime else "AUTO"
        self._reformatter = VideoReformatter()
        self._pictures = self._decode(stream)

    def read(self) -> Reading | None:
        """The next picture, or None at the end or where the connection broke.

        The stamp is the presentation time in seconds, counted by `fps` where there is none, and
        None where only the time of arrival is known.
        """
        decoded = self.next_picture()
        return None if decoded is None else (decoded[0], self.to_image(decoded[1]))

    def next_picture(self) -> tuple[float | None, Any] | None:
        """`read` without making pixels, which `to_image` does of a picture."""
        for picture in self._pictures:
            self._decoded += 1
            return self._stamp_of(picture), picture
        self._report()
        return None

    def to_image(self, picture: Any) -> Image:
        """The pixels of a decoded picture, as players show it; `look` is then that picture's."""
        self.look = self._look_of(picture)
        # One reformatter for all frames and no threads in it: the same bits as
        # `picture.to_ndarray(format="bgr24")`, which sets up its scaler and threads anew each time,
        # for half of the processor time (1280x720: 1.3 ms against 2.6 ms).
        converted: Any = self._reformatter.reformat(picture, format="bgr24", threads=1)
        return as_displayed(converted.to_ndarray(), _display_matrix(picture))

    def _decode(self, stream: Any) -> Generator[Any, None, None]:
        """Decoded frames, those that damage cost left out and counted."""
        try:
            for packet in self._container.demux(stream):
                self._packet_clock.mend(packet)
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
        ticks = self._picture_clock.stamp(picture.pts, picture.dts)
        if not self._stamped or (self.realtime and ticks is None):
            return None
        if ticks is not None:
            # `picture.time` is not a number for those that come out after a broken connection.
            self._stamp = float(ticks * self._time_base)
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

    def _report(self) -> None:
        if self._damaged:
            were = "was" if self._damaged == 1 else "were"
            packets = counted(self._damaged, "damaged packet")
            logger.warning("{}: {} {} left out", self._name, packets, were)
            self._damaged = 0
        if 0 < self._decoded < self._promised:
            logger.warning(
                "{}: {} of {} could be decoded; it is damaged or cut short",
                self._name,
                self._decoded,
                counted(self._promised, "frame"),
            )

    def close(self) -> None:
        """Close the container; no other thread may be reading."""
        self._pictures.close()
        self._container.close()


def _display_matrix(picture: Any) -> NDArray[np.int32] | None:
    try:
        data = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # beside it lies data of a kind that PyAV has no name for
        turn = np.deg2rad(picture.rotation)
        c, s = np.rint([np.cos(turn), np.sin(turn)]).astype(np.int32)
        return np.array([c, -s, 0, s, c, 0, 0, 0, 1], np.int32)
    return None if data is None else np.frombuffer(data, np.int32, 9)


def as_displayed(image: Image, matrix: NDArray[np.int32] | None) -> Image:
    """A stored picture as players show it: turned by quarters and reflected.

    Args:
        image: (h, w, 3) as decoded.
        matrix: (9,) FFmpeg's display matrix, None for as it is. Its numbers 0, 1, 3 and 4 say how
            a point (x, y) of the stored picture moves: to (m0 x + m3 y, m1 x + m4 y).
    """
    if matrix is None:
        return image
    xx, xy, yx, yy = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(xy) + abs(yx) > abs(xx) + abs(yy):  # the sides change places
        image, xx, yy = image.swapaxes(0, 1), yx, xy
    return np.ascontiguousarray(image[:: -1 if yy < 0 else 1, :: -1 if xx < 0 else 1])
