"""Text on pictures, in any script.

OpenCV's letters are ASCII and quick; other text is drawn by Pillow, in a font that has its letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from faim.pictures.image import Image
from faim.text import printable

Color = tuple[int, int, int]  # blue, green, red
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom

_OPENCV_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: Pixels of a font as large as OpenCV's letters of scale 1.
_FONT_PIXELS = 30
#: Characters of a text that are drawn.
_LONGEST = 200
#: Words in names of fonts that are taken only where no other will do.
_SPECIAL = ("bold", "italic", "oblique", "condensed", "mono", "light", "black", "thin")


@dataclass(frozen=True)
class Lettering:
    """A text as it can be drawn.

    Attributes:
        text: one line; what no font has is written as an escape.
        font: the font's file; None for OpenCV's letters.
    """

    text: str
    font: str | None


@lru_cache(maxsize=4096)
def lettering(text: str) -> Lettering:
    """How to draw a text."""
    shown = unicodedata.normalize("NFC", printable(text))
    shown = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    if shown.isascii():
        return Lettering(shown, None)
    wanted = {char for char in shown if not char.isspace()}
    best, most = _dejavu(), -1
    for font in _fonts():
        having = sum(ord(char) in _letters(font) for char in wanted)
        if having > most:
            best, most = font, having
        if most == len(wanted):
            break
    lacking = wanted - {chr(code) for code in _letters(best)}
    return Lettering("".join(_escape(c) if c in lacking else c for c in shown), best)


def text_size(text: str, scale: float) -> tuple[int, int]:
    """Width and height above the line of a text in pixels, as `put_text` draws it."""
    drawn = lettering(text)
    if drawn.font is None:
        (width, height), _ = cv2.getTextSize(drawn.text, _OPENCV_FONT, scale, 1)
        return width, height
    font = _font(drawn.font, scale)
    left, top, right, _ = font.getbbox(drawn.text, anchor="ls")
    # As high as a capital at least, so that labels side by side are of one height.
    return round(right - min(left, 0)), round(-min(top, font.getbbox("A", anchor="ls")[1]))


def put_text(image: Image, text: str, origin: tuple[int, int], scale: float, color: Color) -> None:
    """Write onto an image.

    Args:
        image: (h, w, 3) uint8 BGR, changed.
        text: of any script; drawn in one line.
        origin: left end of the line that the letters stand on, x and y.
        scale: 1 is about 22 pixels for a capital.
        color: BGR.
    """
    drawn = lettering(text)
    if drawn.font is None:
        cv2.putText(image, drawn.text, origin, _OPENCV_FONT, scale, color, 1, cv2.LINE_AA)
        return
    font = _font(drawn.font, scale)
    left, top, right, bottom = (round(side) for side in font.getbbox(drawn.text, anchor="ls"))
    stencil = Pillow.new("L", (max(right - left, 1), max(bottom - top, 1)))
    ImageDraw.Draw(stencil).text((-left, -top), drawn.text, 255, font, anchor="ls")
    _paint(image, np.asarray(stencil), (origin[0] + left, origin[1] + top), color)


def put_label(
    image: Image,
    text: str,
    corner: Sequence[int],
    scale: float,
    colors: tuple[Color, Color],
    taken: Sequence[Rectangle],
    padding: tuple[int, int] = (2, 3),
) -> Rectangle:
    """Write a label above a corner, or as far below as it takes not to cover others.

    Args:
        image: (h, w, 3) uint8 BGR, changed.
        text: of any script.
        corner: upper left of what is labelled, x and y.
        scale: of the letters, see `put_text`.
        colors: of the ground and of the letters, BGR.
        taken: the labels that are there.
        padding: pixels beside and above the letters.

    Returns:
        What the label takes.
    """
    width, height = text_size(text, scale)
    width, height = width + 2 * padding[0], height + 2 * padding[1]
    left = min(max(corner[0] - 1, 0), max(image.shape[1] - width, 0))
    top = max(corner[1] - height, 0)
    while below := [
        other[3] for other in taken if _overlap((left, top, left + width, top + height), other)
    ]:
        top = max(below) + 1
    right, bottom = left + width, top + height
    cv2.rectangle(image, (left, top), (right, bottom), colors[0], cv2.FILLED)
    put_text(image, text, (left + padding[0], bottom - padding[1]), scale, colors[1])
    return left, top, right, bottom


class Labels:
    """Labels of boxes, none over another.

    Args:
        color: of the ground, by class unless said otherwise.
        text_color: of the letters, with the same numbers.
        scale: of the letters, see `put_text`.
        padding: pixels around the text.
        thickness: of OpenCV's letters in pixels.
    """

    def __init__(
        self,
        color: sv.ColorPalette,
        text_color: sv.ColorPalette,
        *,
        scale: float,
        padding: int,
        thickness: int = 1,
    ) -> None:
        self._color, self._text_color = color, text_color
        self._scale, self._padding = scale, padding
        self._plain = sv.LabelAnnotator(
            color,
            sv.ColorLookup.CLASS,
            text_color,
            text_scale=scale,
            text_thickness=thickness,
            text_padding=padding,
            smart_position=True,
        )

    def annotate(
        self,
        image: Image,
        detections: sv.Detections,
        labels: Sequence[str],
        numbers: npt.NDArray[np.int_] | None = None,
    ) -> Image:
        """The image, changed, with a label at each box; `numbers` are those of its colours."""
        numbers = detections.class_id if numbers is None else numbers
        drawn = [lettering(label) for label in labels]
        if all(each.font is None for each in drawn):
            plain = [each.text for each in drawn]
            return self._plain.annotate(image, detections, plain, custom_color_lookup=numbers)
        # Supervision too draws other scripts, but converts the whole image to and from Pillow's.
        taken: list[Rectangle] = []
        corners = detections.xyxy[:, :2].astype(int).tolist()
        for label, corner, number in zip(labels, corners, numbers, strict=True):
            colors = (
                self._color.by_idx(int(number)).as_bgr(),
                self._text_color.by_idx(int(number)).as_bgr(),
            )
            padding = self._padding, self._padding
            taken.append(put_label(image, label, corner, self._scale, colors, taken, padding))
        return image


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _paint(image: Image, stencil: Image, corner: tuple[int, int], color: Color) -> None:
    """Colour what the stencil (h, w) lets through; what lies outside the image is cut off."""
    x, y = corner
    left, top = max(x, 0), max(y, 0)
    right = min(x + stencil.shape[1], image.shape[1])
    bottom = min(y + stencil.shape[0], image.shape[0])
    if left >= right or top >= bottom:
        return
    share = stencil[top - y : bottom - y, left - x : right - x, None] / 255
    under = image[top:bottom, left:right]
    image[top:bottom, left:right] = np.round(share * color + (1 - share) * under).astype(np.uint8)


def _pixels(scale: float) -> int:
    return max(round(_FONT_PIXELS * scale), 8)


@lru_cache(maxsize=64)
def _font(font: str, scale: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font, _pixels(scale))


def _dejavu() -> str:
    """The font that matplotlib brings: Latin, Greek, Cyrillic, Arabic, Georgian and more."""
    from matplotlib import get_data_path

    return str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


def _fonts() -> Iterator[str]:
    yield _dejavu()
    yield from _system_fonts()


@cache
def _system_fonts() -> tuple[str, ...]:
    # Looking for them takes a second, so only for text that asks for it.
    from matplotlib.font_manager import findSystemFonts

    def special(font: str) -> bool:
        return any(word in Path(font).stem.lower() for word in _SPECIAL)

    found = (font for font in findSystemFonts() if "lastresort" not in font.lower())
    return tuple(sorted(found, key=lambda font: (special(font), font)))


@lru_cache(maxsize=1024)
def _letters(font: str) -> frozenset[int]:
    """Code points that a font has; none of one that cannot be drawn in any size."""
    from matplotlib.ft2font import FT2Font

    try:
        opened = FT2Font(font)
        return frozenset(opened.get_charmap()) if opened.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
