"""Masks as RLE with their tight box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from faim.data.records import Annotation, check_mask

Box = tuple[float, float, float, float]


def encode(mask: npt.NDArray[Any]) -> tuple[dict[str, Any], Box] | None:
    """The compressed RLE of a mask (h, w), and its box x1, y1, x2, y2; None without a pixel."""
    return (encode_mask(mask), tight_box(mask)) if mask.any() else None


def encode_mask(mask: npt.NDArray[Any]) -> dict[str, Any]:
    """The compressed RLE of a mask (h, w), of which every value but 0 is the object."""
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.bool_).view(np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")}


def tight_box(mask: npt.NDArray[Any]) -> Box:
    """x1, y1, x2, y2 in pixels of the smallest box around a mask (h, w); without a pixel all 0."""
    x, y, w, h = cv2.boundingRect(np.ascontiguousarray(mask, dtype=np.bool_).view(np.uint8))
    return float(x), float(y), float(x + w), float(y + h)


def encode_polygon(points: npt.NDArray[np.float64], height: int, width: int) -> dict[str, Any]:
    """The compressed RLE of one polygon, (n, 2) x and y in pixels, n at least 3."""
    inside = np.clip(points, 0, (width, height))
    rle = coco_mask.frPyObjects([inside.ravel().tolist()], height, width)[0]
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


def rle_box(segmentation: Mapping[str, Any], height: int, width: int) -> Box | None:
    """The tight box of a mask in compressed or uncompressed RLE; None without a pixel.

    Raises:
        FaimError: the mask is damaged, or not of this size.
    """
    found = check_mask(Annotation((0, 0, 1, 1), 0, -1, dict(segmentation)), height, width)
    runs = np.asarray(found)
    if not runs[1::2].any():
        return None
    rle = coco_mask.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    x, y, w, h = coco_mask.toBbox(rle).tolist()
    return x, y, x + w, y + h
