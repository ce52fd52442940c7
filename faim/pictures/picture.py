"""An open image file: its header, and the samples of its pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps
from PIL.ImageFile import ImageFile

from faim.errors import FaimError
from faim.pictures.depth import bits_by_variable, spread, to_8_bits
from faim.pictures.limits import check_pixels
from faim.pictures.orientation import ORIENTATION_TAG, QUARTER_TURNS, as_stored, upright
from faim.text import printable

#: (h, w) grey or (h, w, 3) BGR, uint8 or uint16.
Samples: TypeAlias = npt.NDArray[Any]

#: Tags of TIFF, and those pages of the first that are smaller copies or masks of others.
_PAGE_KIND, _BITS, _LARGEST_SAMPLE = 254, 258, 281
_NO_PAGE = 1 | 4
#: Place of the byte with the bits a sample in a PNG, and of the first chunk.
_PNG_BITS, _PNG_CHUNKS = 24, 8
#: A TIFF's orientation in the two orders of bytes.
_TURNED_TIFF = re.compile(
    rb"(?<=\x12\x01\x03\x00\x01\x00\x00\x00)[\x02-\x08](?=\x00)"
    rb"|(?<=\x01\x12\x00\x03\x00\x00\x00\x01\x00)[\x02-\x08]"
)


class Picture:
    """The current page of an image file; samples are decoded when they are asked for.

    What decoders raise comes out as it is; `open_picture` makes a sentence of it.

    Attributes:
        path: the file.
        photograph: whether further pictures are no sequence, but belong to the first (MPO).
    """

    def __init__(self, path: Path, stream: IO[bytes], image: ImageFile) -> None:
        """Of an image that Pillow has opened from the stream."""
        self.path = path
        self.photograph = image.format == "MPO"
        self._stream, self._image = stream, image
        self._orientation = _orientation(image, stream)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it is to be seen."""
        width, height = self._image.size
        turned = self._orientation in QUARTER_TURNS and not self._is("TIFF")  # Pillow has turned it
        return (height, width) if turned else (width, height)

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height before the orientation is applied."""
        width, height = self.size
        return (height, width) if self._orientation in QUARTER_TURNS else (width, height)

    @property
    def bits(self) -> int | None:
        """Bits in use of a sample, None where a file of 16 does not say."""
        if self._is("TIFF"):
            stored = max(self._tag(_BITS, (1,)))
            largest = max(self._tag(_LARGEST_SAMPLE, (2**stored - 1,)))
            bits = max(8, min(stored, int(largest).bit_length()))
        elif self._is("PNG"):
            bits = max(8, self._peek(_PNG_BITS, 1)[0])
        else:
            bits = 16 if self._image.mode.startswith("I") else 8
        return None if bits == 16 else bits

    @property
    def several(self) -> bool:
        """Whether the file holds more than one picture."""
        return len(self._pages()) > 1

    def walk(self, *, some: bool = False) -> Iterator[None]:
        """Make each page the current one, in order; or some, from the first to the last."""
        for page in spread(self._pages()) if some else self._pages():
            self._image.seek(page)
            check_pixels(printable(str(self.path)), *self._image.size)
            self._orientation = _orientation(self._image, self._stream)
            yield

    @property
    def milliseconds(self) -> float | None:
        """How long the page is shown, known once it is decoded; None where the file has no time."""
        return None if self._is("TIFF") else float(self._image.info.get("duration", 0))

    def samples(self) -> Samples:
        """The page as it is to be seen, without alpha."""
        return upright(self.stored_samples(), self._orientation)

    def stored_samples(self) -> Samples:
        """The page before its orientation is applied, without alpha."""
        mode = self._image.mode
        if mode == "F" or (mode == "I" and not self._is("PPM")):
            kind = "floating-point" if mode == "F" else "32-bit"
            raise FaimError(
                f"{printable(str(self.path))}: holds {kind} samples; expected whole numbers of 8 "
                "to 16 bits"
            )
        samples: Samples
        if mode.startswith("I"):
            samples = np.asarray(self._image).astype(np.uint16)
        elif self._has_deep_colours():
            return self._by_opencv()
        else:
            samples = _to_bgr(self._image)
        return as_stored(samples, self._orientation) if self._is("TIFF") else samples

    def _has_deep_colours(self) -> bool:
        """Whether Pillow would leave the upper 8 of 16 bits."""
        if self._is("TIFF"):
            return bool(max(self._tag(_BITS, (1,))) > 8)
        # Of an animation OpenCV would give the first picture alone.
        return self._is("PNG") and self._peek(_PNG_BITS, 1)[0] == 16 and not self.several

    def _by_opencv(self) -> Samples:
        self._stream.seek(0)
        content = self._stream.read()
        if self._is("TIFF"):  # OpenCV 5 cannot read what is turned, even where it is not to turn it
            content = _TURNED_TIFF.sub(b"\x01", content)
        page = self._image.tell()
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
        done, pages = cv2.imdecodemulti(
            np.frombuffer(content, np.uint8), flags, range=(page, page + 1)
        )
        if not done or pages[0].dtype not in (np.uint8, np.uint16):
            raise ValueError("samples of an unknown kind")
        return pages[0]

    def _pages(self) -> list[int]:
        animated = getattr(self._image, "is_animated", False)
        count = int(getattr(self._image, "n_frames", 1)) if animated else 1
        if count == 1 or not self._is("TIFF"):
            # The first picture of some PNGs is for who cannot show the animation.
            return list(range(int(bool(self._image.info.get("default_image"))), count))
        here = self._image.tell()
        found = []
        for page in range(count):
            self._image.seek(page)
            if not int(self._tag(_PAGE_KIND, 0)) & _NO_PAGE:
                found.append(page)
        self._image.seek(here)
        return found or [0]

    def _is(self, kind: str) -> bool:
        return self._image.format == kind

    def _tag(self, number: int, default: Any) -> Any:
        return self._image.tag_v2.get(number, default)  # type: ignore[attr-defined]

    def _peek(self, place: int, length: int) -> bytes:
        here = self._stream.tell()  # Pillow may be in the middle of an animation
        self._stream.seek(place)
        found = self._stream.read(length)
        self._stream.seek(here)
        return found


def _to_bgr(image: Pillow.Image) -> npt.NDArray[np.uint8]:
    if image.mode in ("RGBa", "La"):  # colours times alpha
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return cv2.cvtColor(np.asarray(rgb), cv2.COLOR_RGB2BGR)


def _orientation(image: ImageFile, stream: IO[bytes]) -> int:
    try:
        exif = _png_exif(stream) if image.format == "PNG" else image.getexif()
        return int(exif.get(ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF leaves a sound picture
        return 1


def _png_exif(stream: IO[bytes]) -> Pillow.Exif:
    """The EXIF of a PNG wherever it stands; Pillow would decode the picture on its way there."""
    exif, here = Pillow.Exif(), stream.tell()
    stream.seek(_PNG_CHUNKS)
    while len(head := stream.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        if head[4:] == b"eXIf":
            exif.load(stream.read(length))
            break
        stream.seek(length + 4, 1)
    stream.seek(here)
    return exif


def from_pillow(image: Pillow.Image, name: str) -> npt.NDArray[np.uint8]:
    """A Pillow image of a program as (h, w, 3) uint8 BGR, as it is to be seen.

    EXIF's orientation is applied, alpha dropped; of 16 bits the upper 8 of those in use are taken
    (`FAIM_SAMPLE_BITS`, or else all).

    Raises:
        FaimError: it cannot be decoded, or holds other samples; `name` says which it is.
    """
    try:
        shown = ImageOps.exif_transpose(image)
        if shown.mode == "I" or shown.mode == "F":
            raise ValueError("32-bit samples")
        if shown.mode.startswith("I;16"):
            grey = to_8_bits(np.asarray(shown).astype(np.uint16), bits_by_variable() or 16)
            return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
        return _to_bgr(shown)
    except FaimError:
        raise
    except Exception as error:  # Pillow decodes only now, and raises whatever it likes
        raise FaimError(
            f"{name}: the PIL image of mode {image.mode} cannot be used "
            f"({printable(str(error))[:120]}); expected an intact one of 8 or 16 bits a sample"
        ) from error
