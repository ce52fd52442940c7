"""Names of files made of what sources and classes are called."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from faim.stream.frames import Frame, FrameSource
from faim.text import printable

#: What Windows, or a shell, takes for something else than a part of a name.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
#: Bytes of a name; file systems take 255, and something may be appended.
_LONGEST = 200


def safe_name(text: str) -> str:
    """A text as the name of one file or folder on any system; every script stays as it is.

    Example:
        >>> safe_name("traffic light"), safe_name("../a:b"), safe_name("con"), safe_name("")
        ('traffic light', '_a_b', '_con', '_')
    """
    name = _FORBIDDEN.sub("_", printable(unicodedata.normalize("NFC", text))).strip(" .")
    name = name.encode()[:_LONGEST].decode("utf-8", "ignore").rstrip(" .")
    return f"_{name}" if not name or _RESERVED.fullmatch(name) else name


def folder_names(class_names: Sequence[str]) -> list[str]:
    """The folder of each class, no two alike even where a and A are.

    Example:
        >>> folder_names(["dog", "a/b", "a:b", "Dog"])
        ['dog', 'a_b', 'a_b_2', 'Dog_3']
    """
    taken: set[str] = set()
    names = []
    for number, class_name in enumerate(class_names):
        name = safe_name(class_name)
        while name.casefold() in taken:
            name = f"{name}_{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


class FrameNames:
    """The name of each frame's files, without an ending: its number, or that of its image.

    Where two images differ in their ending alone, the second keeps it as a part of the name.

    Example:
        >>> import numpy as np
        >>> image, names = np.zeros((2, 2, 3), np.uint8), FrameNames()
        >>> names.of(Frame(12, 0.48, image)), names.of(Frame(0, 0.0, image, file="b/7.jpg"))
        ('000012', 'b/7')
    """

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def of(self, frame: Frame) -> str:
        """With `/` where images lie in several folders."""
        if frame.file is None:
            return f"{frame.index:06d}"
        name = str(PurePosixPath(frame.file).with_suffix(""))
        return name if self._files.setdefault(name, frame.file) == frame.file else frame.file


def source_stem(source: FrameSource) -> str:
    """What a source is called, as the name of a folder: `walk` of `videos/walk.mp4`.

    Of images it is the folder that they share.
    """
    folder = getattr(source, "folder", None)
    if folder is not None:
        return safe_name(folder.name)
    name = urlsplit(source.name).path if "://" in source.name else source.name
    return safe_name(Path(name).stem or source.name)


def image_path(source: FrameSource, frame: Frame) -> Path | None:
    """The frame's image file; None where it has none, and relative where its folder is unknown."""
    if frame.file is None:
        return None
    folder = getattr(source, "folder", None)
    return Path(frame.file) if folder is None else Path(os.path.abspath(folder), frame.file)  # noqa: PTH100 - links stay
