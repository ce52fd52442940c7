"""Image files of every kind, made here."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image

#: What the eight orientations of EXIF do to what is stored, by NumPy.
UPRIGHT = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """A BGR picture without symmetry: four corners of other colours."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 20, 40, 200
    image[: height // 2, width // 2 :] = 30, 200, 50
    image[height // 2 :, : width // 2] = 220, 60, 40
    image[height // 2 :, width // 2 :] = 240, 240, 235
    return image


def encoded(image: np.ndarray, kind: str, **options: Any) -> bytes:
    """The bytes of a BGR (or grey) picture as Pillow writes them."""
    written = io.BytesIO()
    shown = Image.fromarray(image[..., ::-1] if image.ndim == 3 else image)
    shown.save(written, kind, **options)
    return written.getvalue()


def turned(image: np.ndarray, kind: str, orientation: int) -> bytes:
    """The same with an orientation."""
    if kind == "TIFF":
        return encoded(image, kind, tiffinfo={0x0112: orientation})
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    return encoded(image, kind, exif=exif, **lossless.get(kind, {}))


def of_16_bits(image: np.ndarray, ending: str = ".png") -> bytes:
    """The bytes of a uint16 picture as OpenCV writes them."""
    return cv2.imencode(ending, image)[1].tobytes()
