"""Writing an image file: the one gateway."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from faim.errors import FaimError
from faim.files import check_writable, write_whole
from faim.text import printable


def check_image_name(path: Path) -> None:
    """See that a file's name ends as an image's that can be written.

    Raises:
        FaimError: it does not.
    """
    try:
        # OpenCV crashes at names that are not UTF-8; the ending is all that it is asked for.
        known = path.suffix.isascii() and cv2.haveImageWriter(f"image{path.suffix}")
    except cv2.error:
        known = False
    if not known:
        raise FaimError(
            f"{printable(str(path))}: cannot be written; expected a name ending in .png or .jpg"
        )


def encode_image(path: Path, image: npt.NDArray[np.uint8]) -> bytes:
    """The content of an image file of the kind that a name ends in.

    Args:
        path: the file's name, of any bytes; it is not touched.
        image: (h, w, 3) BGR or (h, w) grey.

    Raises:
        FaimError: its ending is no image format's, or the format cannot hold this image.
    """
    check_image_name(path)
    try:
        done, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        done = False
    if not done:
        raise FaimError(f"{printable(str(path))}: cannot be written as an image of this kind")
    return encoded.tobytes()


def write_image(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write an image file of the kind that its name ends in, whole or not at all.

    Args:
        path: its name, of any bytes.
        image: (h, w, 3) BGR or (h, w) grey.

    Raises:
        FaimError: it cannot be written, and an older file stays; or its ending is no image
            format's.
    """
    content = encode_image(path, image)
    check_writable(path)
    write_whole(path, lambda part: part.write_bytes(content))
