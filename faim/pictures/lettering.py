"""Text on pictures, in any script.

OpenCV's letters are ASCII and quick; other text is drawn by Pillow, in a font that has its letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from faim.text import printable

Image = npt.NDArray[np.uint8]
Color = tuple[int, int, int]  # blue, green, red

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
    left, top, right, _ = _font(drawn.font, scale).getbbox(drawn.text, anchor="ls")
    return round(right - min(left, 0)), round(-top)


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


class Labels:
    """Labels of boxes, side by side where they would cover each other.

    Args:
        color: of the ground, by class.
        text_color: of the letters, by class.
        scale: of the letters, see `put_text`.
        padding: pixels around the text.
        thickness: of OpenCV's letters in pixels.
    """

    def __init__(
        self,
        color: sv.ColorPalette,
        text_color: sv.Color | sv.ColorPalette,
        *,
        scale: float,
        padding: int,
        thickness: int = 1,
    ) -> None:
        """See the class."""
        self._scale = scale
        self._style: dict[str, Any] = {
            "color": color,
            "color_lookup": sv.ColorLookup.CLASS,
            "text_color": text_color,
            "text_padding": padding,
            "smart_position": True,
        }
        self._plain = sv.LabelAnnotator(text_scale=scale, text_thickness=thickness, **self._style)
        self._rich: dict[str, sv.RichLabelAnnotator] = {}

    def annotate(self, image: Image, detections: sv.Detections, labels: Sequence[str]) -> Image:
        """The image with a label above each box; `image` may be changed."""
        drawn = [lettering(label) for label in labels]
        fonts = list(dict.fromkeys(each.font for each in drawn if each.font))
        if not fonts:
            return self._plain.annotate(image, detections, labels=[each.text for each in drawn])
        for font in fonts:
            # Plain labels beside others look as they do.
            chosen = [(each.font or fonts[0]) == font for each in drawn]
            texts = [each.text for each, wanted in zip(drawn, chosen, strict=True) if wanted]
            part = detections[np.array(chosen)]
            image = self._in(font).annotate(image, part, labels=texts)
        return image

    def _in(self, font: str) -> sv.RichLabelAnnotator:
        if font not in self._rich:
            self._rich[font] = sv.RichLabelAnnotator(
                font_path=font, font_size=_pixels(self._scale), **self._style
            )
        return self._rich[font]


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
