"""Where frames come from: one small protocol, one class a kind of source."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from faim.errors import FaimError
from faim.pictures.files import IMAGE_EXTENSIONS, images_in, is_image_name, natural_key
from faim.reading import is_whole
from faim.runtime.camera import CameraSource
from faim.runtime.given import ArraySource, open_given
from faim.runtime.images import IMAGE_FPS, AnimationSource, ImageSource, open_image
from faim.runtime.pixels import ChannelOrder
from faim.runtime.source_list import videos_in
from faim.stream.frames import Frame, FrameSource, SourceBase

__all__ = [
    "IMAGE_EXTENSIONS",
    "AnimationSource",
    "ArraySource",
    "CameraSource",
    "FirstFrames",
    "Frame",
    "FrameSource",
    "ImageSource",
    "natural_key",
    "open_source",
]

#: Characters of a source's name that a message repeats.
LONGEST_NAME = 200
#: What is the number of a camera.
_CAMERA = re.compile(r"[0-9]+")


class FirstFrames(SourceBase):
    """The first `limit` frames of another source, which it closes."""

    def __init__(self, source: FrameSource, limit: int) -> None:
        """`limit` is 1 or more."""
        check_limit(limit)
        self.name, self.fps = source.name, source.fps
        self.live, self.realtime = source.live, source.realtime
        known = source.frame_count
        self.frame_count: int | None = None if known is None else min(limit, known)
        self.folder: Path | None = getattr(source, "folder", None)
        self._source, self._limit = source, limit

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        return islice(iter(self._source), self._limit)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()


def check_limit(limit: int | None) -> None:
    """Raise FaimError unless so many frames can be the most; None is no limit."""
    if limit is not None and not (is_whole(limit) and limit >= 1):
        raise FaimError(f"limit: {limit!r} given; expected 1 or more frames")


def open_source(
    source: object, *, fps: float = IMAGE_FPS, channel_order: ChannelOrder | None = None
) -> FrameSource:
    """Whatever a person may name, as a `FrameSource`.

    Args:
        source: a video file; an image, or a file of several (an animation, a TIFF of pages) that
            are shown in turn; a folder of images, taken in natural order (`2` before `10`), hidden
            files left out, or of one video; a quoted glob of the same; the number of
            a camera, as int or digits (write `./0` for a folder of that name); an http(s), rtsp,
            rtmp, udp or tcp URL; a named pipe, or "-" for the standard input; one array, tensor or
            PIL image, a list of them or of paths of images, or a batch of arrays or tensors
            (n, ...), see `to_image`; a generator of such, see `IteratorSource`; each picture may
            stand in a pair with its time, `(seconds, picture)`; an open `cv2.VideoCapture`; or a
            `FrameSource`, which comes back as it is. A camera or endless stream that is lost is
            tried again, see `LiveSource`.
        fps: frames a second of images and arrays.
        channel_order: of arrays ("bgr" by default) and tensors ("rgb" by default).

    Raises:
        FaimError: there is nothing there, or it is no such thing.

    Example:
        >>> import numpy as np
        >>> with open_source([np.zeros((4, 6, 3), np.uint8)]) as frames:
        ...     [(frame.index, frame.image.shape) for frame in frames]
        [(0, (4, 6, 3))]
    """
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, int) and not isinstance(source, bool):
        return CameraSource(source)
    if isinstance(source, (str, Path)):
        return _open_named(str(source), fps)
    if (given := open_given(source, fps, channel_order)) is not None:
        return given
    raise FaimError(
        f"source: got {type(source).__name__}; expected a path, a glob, a camera number, a URL, "
        "uint8 (h, w, 3) arrays, tensors, PIL images, or a generator or list of such"
    )


def is_live(source: object) -> bool:
    """Whether `open_source` takes it for a camera or the URL of a stream."""
    from faim.runtime.stream import is_stream

    if isinstance(source, str):
        return bool(_CAMERA.fullmatch(source)) or is_stream(source)
    return isinstance(source, int) and not isinstance(source, bool)


def _open_named(name: str, fps: float) -> FrameSource:
    # PyAV is imported only by those who read video through it.
    from faim.runtime.pipe import STANDARD_INPUT, STANDARD_INPUT_PATH, PipeSource, piped
    from faim.runtime.stream import StreamSource, is_stream, masked
    from faim.runtime.video import VideoSource

    if _CAMERA.fullmatch(name):
        return CameraSource(int(name))
    if is_stream(name):
        return StreamSource(name)
    if (pipe := piped(name)) is not None:
        return PipeSource(*pipe)
    if name == STANDARD_INPUT:
        return VideoSource(STANDARD_INPUT_PATH)
    path = Path(name)
    # os.path says False to names too long, for which Path's methods raise.
    if os.path.isdir(path):  # noqa: PTH112
        return _open_folder(path, name, fps)
    if os.path.exists(path):  # noqa: PTH110
        return open_image(path, name, fps) if is_image_name(path) else VideoSource(name)
    if glob.has_magic(name) and "://" not in name:
        return _open_glob(name, fps)
    shown = masked(name)
    shown = shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}…"
    raise FaimError(
        f"{shown}: no such file or folder; expected a video, a folder of images, a quoted glob, a "
        "camera number or a URL"
    )


def _open_folder(path: Path, name: str, fps: float) -> FrameSource:
    from faim.runtime.video import VideoSource

    images = images_in(path)
    videos = [] if images else videos_in(path)
    if len(videos) > 1:
        raise FaimError(
            f"{name}: holds {len(videos)} videos; expected one source, as each of them is"
        )
    if videos:
        return VideoSource(str(videos[0]))
    if not images:
        raise FaimError(
            f"{name}: no images in this folder; expected files ending in "
            f"{', '.join(IMAGE_EXTENSIONS)}, or videos"
        )
    return ImageSource(images, name, fps)


def _open_glob(pattern: str, fps: float) -> FrameSource:
    from faim.runtime.video import VideoSource

    matches = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - absolute ones too
    files = [path for path in matches if path.is_file() and not path.name.startswith(".")]
    images = [path for path in files if is_image_name(path)]
    if images:
        return ImageSource(sorted(images, key=natural_key), pattern, fps)
    if len(files) == 1:
        return VideoSource(str(files[0]))
    raise FaimError(
        f"{pattern}: matches {len(files)} files and no image; expected images "
        f"({', '.join(IMAGE_EXTENSIONS)}) or exactly one video"
    )
