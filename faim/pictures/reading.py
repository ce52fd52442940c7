"""Reading an image file: the one gateway, for its size and for its pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from loguru import logger
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from PIL.ImageFile import ImageFile

from faim.errors import FaimError
from faim.pictures.depth import bits_by_variable, bits_in_folder, to_8_bits
from faim.pictures.image import Image
from faim.pictures.limits import MOST_PIXELS, check_pixels, max_pixels, too_large
from faim.pictures.picture import Picture, Samples
from faim.text import printable

#: Pillow's names. Others are not asked for: some of its readers start other programs.
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF", "JPEG2000", "PPM")
#: A picture shown for at most the first of these milliseconds is shown for the second, as browsers
#: and FFmpeg do it.
_NO_TIME, _USUAL_TIME = 10, 100


def read_image(path: Path, annotated: tuple[int, int] | None = None) -> Image:
    """An image file's picture as (H, W, 3) uint8 BGR, as it is to be seen.

    EXIF's orientation is applied, alpha dropped, more than 8 bits are reduced to 8 (see
    `faim.pictures.depth`). Of several pages it is the first, with a warning, once a folder.

    Args:
        path: the file.
        annotated: width and height that its annotations are in. Where they are those of the picture
            before a quarter turn, whoever annotated it never looked at EXIF: it is not turned.

    Raises:
        FaimError: the file is missing, is no image, is cut off or damaged, holds floating-point
            samples, or has more pixels than `max_pixels`.
    """
    with open_picture(path) as picture:
        if picture.several:
            _warn_once(_Several(path.parent, path.name))
        stored = _is_as_stored(picture, annotated)
        return _to_bgr(picture, picture.stored_samples() if stored else picture.samples())


def image_size(path: Path, annotated: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height in pixels as `read_image` gives the image, from the header alone.

    Raises:
        FaimError: the file is missing, is no image, or has more pixels than `max_pixels`.
    """
    with open_picture(path) as picture:
        return picture.stored_size if _is_as_stored(picture, annotated) else picture.size


def is_sequence(path: Path) -> bool:
    """Whether a file holds several pages, or the pictures of an animation, to be shown in turn.

    A photograph with further pictures (MPO: the other eye, the brightness) is none.

    Raises:
        FaimError: as `image_size`.
    """
    with open_picture(path) as picture:
        return picture.several and not picture.photograph


def read_sequence(path: Path) -> Iterator[tuple[Image, float | None]]:
    """All pages of a file, each as `read_image` gives the first.

    Returns:
        Each with its duration in seconds; None where the file has no time, as TIFF.

    Raises:
        FaimError: as `read_image`; where a later page is damaged, after those before it.
    """
    with open_picture(path) as picture:
        for _ in picture.walk():
            image = _to_bgr(picture, picture.samples())
            shown = picture.milliseconds
            if shown is None:
                yield image, None
            else:
                yield image, (shown if shown > _NO_TIME else _USUAL_TIME) / 1000


@contextmanager
def open_picture(path: Path) -> Iterator[Picture]:
    """An image file whose header has been read.

    Raises:
        FaimError: the file is missing, is no image, or has more pixels than `max_pixels`; or what
            was done with it failed.
    """
    shown = printable(str(path))
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for names too long
        raise FaimError(f"{shown}: no such image")
    try:
        with path.open("rb") as stream, _identify(stream) as image:
            check_pixels(shown, *image.size)
            yield Picture(path, stream, image)
    except FaimError:
        raise
    except Pillow.DecompressionBombError as error:
        raise too_large(f"{shown}: is of too many pixels") from error
    except UnidentifiedImageError as error:
        raise FaimError(f"{shown}: cannot be decoded; expected an image") from error
    except Exception as error:  # the decoders of damaged files raise whatever they like
        reason = printable(getattr(error, "strerror", None) or str(error))[:120]
        if "truncated" in reason:
            raise FaimError(f"{shown}: is cut off; expected a whole image") from error
        raise FaimError(
            f"{shown}: cannot be decoded ({reason or type(error).__name__}); expected an intact "
            "image"
        ) from error


def _identify(stream: IO[bytes]) -> ImageFile:
    # Pillow's limit can be changed for the whole process alone: only where somebody asks for it.
    if max_pixels() > MOST_PIXELS:
        Pillow.MAX_IMAGE_PIXELS = max_pixels()
    return Pillow.open(stream, formats=_FORMATS)


def _is_as_stored(picture: Picture, annotated: tuple[int, int] | None) -> bool:
    return picture.size != picture.stored_size == annotated


def _to_bgr(picture: Picture, samples: Samples) -> Image:
    if samples.dtype == np.uint16:
        bits = bits_by_variable() or picture.bits or bits_in_folder(picture.path, _brightest)
        samples = to_8_bits(samples, bits)
    if samples.ndim == 2:
        return cv2.cvtColor(np.ascontiguousarray(samples), cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(samples, dtype=np.uint8)


def _brightest(path: Path) -> int | None:
    """See `bits_in_folder`."""
    try:
        with open_picture(path) as picture:
            if picture.bits is not None:
                return None
            return max(int(picture.samples().max()) for _ in picture.walk(some=True))
    except FaimError:
        return None


@dataclass(frozen=True)
class _Several:
    """A file of several pages; for who has been told of one in a folder, all there are the same."""

    folder: Path
    name: str = field(compare=False)


@cache
def _warn_once(seen: _Several) -> None:
    logger.warning(
        "{}: holds several pages or pictures, of which the first is taken; others in this folder "
        "are not told of",
        printable(str(seen.folder / seen.name)),
    )
