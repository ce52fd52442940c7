"""Image files as frames: one a frame, or one file of many."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from loguru import logger

from faim.errors import FaimError
from faim.pictures.reading import is_sequence, read_image, read_sequence
from faim.runtime.excerpt import WHOLE, Picker
from faim.stream.frames import Frame, SourceBase
from faim.text import printable

#: frames a second given to images and arrays, which carry no clock of their own.
IMAGE_FPS = 25.0


class ImageSource(SourceBase):
    """Image files, one a frame, in the order given.

    A damaged image costs its frame, with a warning; the others keep their `index` and `time`.
    Of an animation or a file of pages the first picture is taken, with a warning.

    Attributes:
        folder: the one that all of them share, which `Frame.file` starts from.
        unread: images that could not be read, in the latest iteration.

    Raises:
        FaimError: while iterating, when not one of them could be read.
    """

    def __init__(self, paths: Sequence[Path], name: str, fps: float = IMAGE_FPS) -> None:
        self.name = name
        self.fps = fps
        self.frame_count: int | None = len(paths)
        self.unread = 0
        self._paths = tuple(paths)
        self.folder = Path(os.path.commonpath([path.parent.absolute() for path in paths]))
        self._files = tuple(path.absolute().relative_to(self.folder).as_posix() for path in paths)

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        return self.pick(Picker(WHOLE))

    def pick(self, picker: Picker) -> Iterator[Frame]:
        """See `Skipping`; images that nobody looks at are not read."""
        self.unread = many = 0
        for index, (path, file) in enumerate(zip(self._paths, self._files, strict=True)):
            if picker.is_over(index / self.fps):
                break
            if not picker.takes(index, index / self.fps):
                continue
            many += 1
            try:
                image = read_image(path)
            except FaimError as error:
                self.unread += 1
                logger.warning("{}; its frame {} is left out", error, index)
                continue
            yield Frame(index, index / self.fps, image, file=file)
        if 0 < self.unread == many:
            raise FaimError(
                f"{printable(self.name)}: none of its {many} images can be read; expected intact "
                "images"
            )
        if self.unread:
            logger.warning(
                "{}: {} of {} images could not be read", printable(self.name), self.unread, many
            )


class AnimationSource(SourceBase):
    """The pictures of one file in turn: an animation in its own time, pages at a steady rate.

    A file that breaks off gives what it still holds, with a warning.

    Raises:
        FaimError: while iterating, when not one picture can be read.
    """

    def __init__(self, path: Path, name: str, fps: float = IMAGE_FPS) -> None:
        """`fps` is that of pages, which carry no clock of their own."""
        self.name = name
        self.frame_count: int | None = None
        _, shown = next(read_sequence(path))
        self.fps = 1 / shown if shown else fps
        self._path = path

    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first."""
        index, time = 0, 0.0
        try:
            for image, shown in read_sequence(self._path):
                yield Frame(index, time, image)
                index, time = index + 1, time + (shown or 1 / self.fps)
        except FaimError as error:
            if index == 0:
                raise
            logger.warning("{}; it breaks off after {} pictures", error, index)


def open_image(path: Path, name: str, fps: float = IMAGE_FPS) -> ImageSource | AnimationSource:
    """The source of one image file."""
    try:
        if is_sequence(path):
            return AnimationSource(path, name, fps)
    except FaimError:
        pass  # what is wrong is said when it is read
    return ImageSource([path], name, fps)
