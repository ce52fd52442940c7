"""The image files of a folder, and their order."""

from __future__ import annotations

import re
from pathlib import Path

IMAGE_EXTENSIONS = (
    ".apng",
    ".avif",
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".mpo",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)


def is_image_name(path: Path) -> bool:
    """Whether a file's name ends as an image's."""
    return path.suffix.lower() in IMAGE_EXTENSIONS


def images_in(folder: Path) -> list[Path]:
    """A folder's image files in natural order, hidden ones left out."""
    found = (path for path in folder.iterdir() if is_image_name(path))
    return sorted((path for path in found if not path.name.startswith(".")), key=natural_key)


def natural_key(path: Path) -> list[tuple[int, str]]:
    """A sorting key by which `frame2` comes before `frame10`."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
