"""The size of an image file, from its header alone."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from faim.errors import FaimError

_ORIENTATION = 0x0112
#: Values of the EXIF orientation that turn the image by a quarter.
_TURNED = (5, 6, 7, 8)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, as `records.read_image` gives the image: EXIF rotation applied.

    Raises:
        FaimError: the file is missing, is no image, or is so large that Pillow refuses it.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION) in _TURNED
            width, height = image.size
    except FileNotFoundError as error:
        raise FaimError(f"{path}: no such image") from error
    except Image.DecompressionBombError as error:
        raise FaimError(f"{path}: cannot be read ({error}); expected a smaller image") from error
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError) as error:
        raise FaimError(f"{path}: cannot be read; expected an image") from error
    return (height, width) if turned else (width, height)
