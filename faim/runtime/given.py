"""What a Python program has in its hands, as sources of frames."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from numbers import Real
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from loguru import logger
from PIL import Image as Pillow
from torch import Tensor

from faim.errors import FaimError
from faim.pictures.files import IMAGE_EXTENSIONS, is_image_name
from faim.pictures.reading import read_image
from faim.runtime.images import IMAGE_FPS, ImageSource, open_image
from faim.runtime.pixels import ChannelOrder, check_channel_order, check_picture, to_image
from faim.stream.frames import Frame, FrameSource, SourceBase
from faim.text import printable
from faim.wording import counted


class ArraySource(SourceBase):
    """Pictures that are in memory already.

    Args:
        frames: arrays, tensors or PIL images as `to_image` takes them; or pairs of a time in
            seconds and such a picture.
        fps: the clock given to those without a time.
        channel_order: see `to_image`.

    Raises:
        FaimError: an element that is no such thing, or a time that goes back; the message has its
            place. Floats out of [0, 1] are found while iterating.
    """

    def __init__(
        self,
        frames: Sequence[Any],
        fps: float = IMAGE_FPS,
        channel_order: ChannelOrder | None = None,
    ) -> None:
        check_channel_order(channel_order)
        self.name = counted(len(frames), "array")
        self.fps = fps
        self.frame_count: int | None = len(frames)
        self._frames, self._order = frames, channel_order
        for index, _, picture in _timed(frames, fps):
            check_picture(picture, f"frame {index}")

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        for index, seconds, picture in _timed(self._frames, self.fps):
            yield Frame(index, seconds, to_image(picture, f"frame {index}", self._order))


class IteratorSource(SourceBase):
    """Pictures that come one by one, as from a generator, each asked for when it is needed.

    Iterating again goes on where the last iteration ended.

    Args:
        pictures: what `ArraySource` takes, or paths of image files. One of these that cannot be
            read costs its frame, with a warning; those after it keep their `index` and `time`.
        fps: the clock given to those without a time.
        channel_order: see `to_image`.

    Attributes:
        unread: files that could not be read, in the latest iteration.

    Raises:
        FaimError: while iterating, for an element that is no such thing or a time that goes back,
            and at the end if not one file could be read.
    """

    live = True

    def __init__(
        self,
        pictures: Iterable[Any],
        fps: float = IMAGE_FPS,
        channel_order: ChannelOrder | None = None,
    ) -> None:
        check_channel_order(channel_order)
        self.name = type(pictures).__name__
        self.fps = fps
        self.frame_count: int | None = None
        self.unread = 0
        self._pictures, self._order = iter(pictures), channel_order

    def __iter__(self) -> Iterator[Frame]:
        """The frames that are left."""
        self.unread = count = 0
        for index, seconds, picture in _timed(self._pictures, self.fps):
            count = index + 1
            if not isinstance(picture, (str, os.PathLike)):
                yield Frame(index, seconds, to_image(picture, f"frame {index}", self._order))
                continue
            try:
                image = read_image(Path(picture))
            except FaimError as error:
                self.unread += 1
                logger.warning("{}; its frame {} is left out", error, index)
                continue
            yield Frame(index, seconds, image, file=os.fspath(picture))
        if count and self.unread == count:
            raise FaimError(
                f"{self.name}: none of its {count} images can be read; expected intact images"
            )


class CaptureSource(SourceBase):
    """The frames that are left in an open `cv2.VideoCapture`, which stays its owner's to release.

    Frames of a file have the file's times, those of a camera the times of their arrival.

    Raises:
        FaimError: it is not open.
    """

    live = True

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self.name = "cv2.VideoCapture"
        if not capture.isOpened():
            raise FaimError(f"{self.name}: is not open; expected one whose isOpened() is True")
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(rate) if 1.0 <= rate <= 1000.0 else IMAGE_FPS
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count: int | None = count if count > 0 else None
        self.realtime = self.frame_count is None
        self._capture = capture

    def __iter__(self) -> Iterator[Frame]:
        """Frames from where it stands."""
        index, started, last = 0, 0.0, 0.0
        while True:
            read, array = self._capture.read()
            if not read:
                return
            started = started or time.monotonic()
            if self.realtime:
                seconds = time.monotonic() - started
            else:
                stamp = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
                seconds = stamp if stamp >= 0 else index / self.fps
            last = max(last, seconds)
            yield Frame(index, last, to_image(array, f"frame {index}"))
            index += 1


class ReadTwice(SourceBase):
    """A source that can be read once, for who reads it a second time for its pixels.

    Args:
        source: ends at some time.
        pixels: whether there is to be a second time; all frames are then kept in memory.
    """

    def __init__(self, source: FrameSource, pixels: bool) -> None:
        self.name, self.fps, self.frame_count = source.name, source.fps, source.frame_count
        self._source, self._pixels = source, pixels
        self._kept: list[Frame] = []

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        yield from self._kept
        for frame in self._source:
            if self._pixels:
                self._kept.append(frame)
            yield frame


def open_given(
    source: object, fps: float = IMAGE_FPS, channel_order: ChannelOrder | None = None
) -> FrameSource | None:
    """What is in memory, or in the hands of the program, as a source; None for anything else.

    Raises:
        FaimError: an element of it that is no picture, a capture that is not open.
    """
    check_channel_order(channel_order)
    if isinstance(source, cv2.VideoCapture):
        return CaptureSource(source)
    if isinstance(source, (np.ndarray, Tensor)):
        return ArraySource(list(source) if source.ndim == 4 else [source], fps, channel_order)
    if isinstance(source, Pillow.Image):
        return ArraySource([source], fps)
    if isinstance(source, (str, bytes, bytearray, os.PathLike, Mapping, Set)):
        return None
    if isinstance(source, Sequence):
        if source and all(isinstance(element, (str, os.PathLike)) for element in source):
            return _open_images([Path(path) for path in source], fps)
        return ArraySource(source, fps, channel_order)
    if isinstance(source, Iterable):
        return IteratorSource(source, fps, channel_order)
    return None


def read_twice(source: FrameSource, pixels: bool) -> FrameSource:
    """A source that a program handed over and that ends, so that whole videos can be made of it.

    A capture that does not say how many frames it has is taken for a camera and stays as it is; so
    does every other source.
    """
    given = isinstance(source, (IteratorSource, CaptureSource)) and not source.realtime
    return ReadTwice(source, pixels) if given else source


def holds_pictures(source: object) -> bool:
    """Whether somebody listed the pictures of this source one by one, and may want them back.

    Not so of a video, a folder, a glob, a camera, or what is read once.
    """
    if isinstance(source, (np.ndarray, Tensor, Pillow.Image)):
        return True
    listed = isinstance(source, Sequence) and not isinstance(source, (str, bytes, bytearray))
    return listed or is_one_picture(source)


def is_one_picture(source: object) -> bool:
    """Whether it is a single picture rather than several of them, or the file of a single one."""
    if isinstance(source, (np.ndarray, Tensor)):
        return source.ndim != 4
    if isinstance(source, (str, Path)):
        path = Path(source)
        # os.path says False to names too long, for which Path's methods raise.
        found = is_image_name(path) and os.path.isfile(path)  # noqa: PTH113
        return found and isinstance(open_image(path, str(path)), ImageSource)
    return isinstance(source, Pillow.Image)


def _open_images(paths: list[Path], fps: float) -> ImageSource:
    for index, path in enumerate(paths):
        if not is_image_name(path):
            raise FaimError(
                f"frame {index}: {printable(str(path))} stands in a list of image files; expected "
                f"names ending in {', '.join(IMAGE_EXTENSIONS)}, or one video by itself"
            )
    return ImageSource(paths, counted(len(paths), "image"), fps)


def _timed(elements: Iterable[Any], fps: float) -> Iterator[tuple[int, float, Any]]:
    """Number, time in seconds and picture of each element."""
    last = -math.inf
    for index, element in enumerate(elements):
        seconds, picture = index / fps, element
        if isinstance(element, tuple) and len(element) == 2 and isinstance(element[0], Real):
            seconds, picture = float(element[0]), element[1]
        if not last <= seconds < math.inf:
            raise FaimError(
                f"frame {index}: its time is {seconds:g} s, after {last:g} s of the one before; "
                "expected times in seconds that do not go back"
            )
        last = seconds
        yield index, seconds, picture
