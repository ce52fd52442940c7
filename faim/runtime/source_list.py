"""The sources that a command line names: folders of videos, and images named one by one.

Importing it costs little: it is asked for the outputs' names before anything else runs.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from faim.errors import FaimError
from faim.pictures.files import IMAGE_EXTENSIONS, images_in, is_image_name, natural_key
from faim.text import printable

#: Ends of names that are taken for videos in a folder; a file named by itself may have any.
VIDEO_EXTENSIONS = (
    *(".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".m1v"),
    *(".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".ogv", ".rm", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
)
#: Those of images that may be animations or have pages, each a source by itself.
_MAY_BE_SEQUENCES = (".apng", ".avif", ".gif", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class ImageFiles:
    """Image files named one by one: a sequence.

    Attributes:
        paths: in natural order.
    """

    paths: tuple[Path, ...]

    def __str__(self) -> str:
        """What a person calls them."""
        first, last = self.paths[0], self.paths[-1]
        if first.parent == last.parent:
            return f"{len(self.paths)} images, {first} to {last.name}"
        return f"{len(self.paths)} images, {first} to {last}"


@dataclass(frozen=True)
class FolderVideo:
    """A video that its folder, or a glob, stands for; one that cannot be opened is left out."""

    path: Path

    def __str__(self) -> str:
        """Its path."""
        return str(self.path)


#: What a prediction opens: what `open_source` takes by name, or one of the two above.
Named: TypeAlias = str | int | ImageFiles | FolderVideo


def listed_sources(named: Sequence[str | int]) -> list[Named]:
    """What the names stand for, in their order.

    A folder or quoted glob of videos is each of its videos. Image files named one by one, as a
    shell makes them of an unquoted glob, are one sequence in the place of the first, but not
    animations. Everything else is a source as it is.

    Raises:
        FaimError: a folder or glob of images and videos.
    """
    listed: list[Named] = []
    for name in named:
        listed += _contents(name) if isinstance(name, str) else [name]
    several = len(listed) > 1
    images = {name for name in listed if several and isinstance(name, str) and _is_image(name)}
    if len(images) < 2:
        return listed
    first = next(place for place, name in enumerate(listed) if name in images)
    shown = sorted((Path(str(name)) for name in listed if name in images), key=natural_key)
    others = [name for name in listed[first:] if name not in images]
    return [*listed[:first], ImageFiles(tuple(shown)), *others]


def videos_in(folder: Path) -> list[Path]:
    """A folder's video files in natural order, hidden ones left out."""
    return _videos_of(list(folder.iterdir()))


def mixed(name: str, images: int, videos: int) -> FaimError:
    """The sentence for a folder or glob of images and videos."""
    return FaimError(
        f"{printable(name)}: holds images ({images}) and videos ({videos}); expected one kind, or "
        "the files that are meant by their names"
    )


def _contents(name: str) -> list[Named]:
    """The videos of a folder or glob that has some; else the name itself."""
    if os.path.isdir(name):  # noqa: PTH112 - no error for long names
        images, videos = images_in(Path(name)), videos_in(Path(name))
    elif glob.has_magic(name) and "://" not in name and not os.path.exists(name):  # noqa: PTH110
        found = [Path(each) for each in glob.glob(name, recursive=True)]  # noqa: PTH207 - absolute ones too
        files = [path for path in found if path.is_file() and not path.name.startswith(".")]
        images = [path for path in files if is_image_name(path)]
        videos = _videos_of(files)
    else:
        return [name]
    if images and videos:
        raise mixed(name, len(images), len(videos))
    return [FolderVideo(path) for path in videos] or [name]


def _videos_of(paths: list[Path]) -> list[Path]:
    found = [path for path in paths if path.suffix.lower() in VIDEO_EXTENSIONS]
    shown = (path for path in found if not path.name.startswith(".") and path.is_file())
    return sorted(shown, key=natural_key)


def _is_image(name: str) -> bool:
    """Whether it is an image file of one picture."""
    if not name.lower().endswith(IMAGE_EXTENSIONS) or not os.path.isfile(name):  # noqa: PTH113
        return False
    if not name.lower().endswith(_MAY_BE_SEQUENCES):
        return True
    # Only here: the reader of images takes a while to import.
    from faim.pictures.reading import is_sequence

    try:
        return not is_sequence(Path(name))
    except FaimError:  # what is wrong is said when it is read
        return True
