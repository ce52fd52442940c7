"""A region of interest: where in a frame detections count."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from loguru import logger
from numpy.typing import NDArray

from faim.errors import FaimError
from faim.pictures.files import IMAGE_EXTENSIONS, is_image_name
from faim.pictures.reading import read_image
from faim.reading import parse_json_value, read_text, shown

Points: TypeAlias = NDArray[np.float32]
#: From this brightness on a mask is white.
WHITE = 128
#: Share by which a mask's proportions may differ from a frame's before that is told of.
_STRETCH = 0.02
#: x1,y1,x2,y2 … of a polygon; semicolons between several.
_NUMBERS = re.compile(r"(?=.*,)[\d.,;eE+\-\s]+", re.DOTALL)
_EXPECTED = (
    "x1,y1,x2,y2,x3,y3 … in pixels, or as shares of the frame from 0 to 1; a .json file of "
    "polygons; or a mask image"
)


class Region(Protocol):
    """A part of every frame."""

    def holds(self, points: NDArray[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which points (k, 2), x y in pixels of a frame of height and width `size`, are in it."""
        ...


@dataclass(frozen=True)
class PolygonRegion:
    """What lies in one of some polygons and in none of some others; edges belong to a polygon.

    Attributes:
        inside: (n, 2) x y each; none stand for the whole frame.
        outside: the same for what does not count.
        shares: whether they are in shares of the frame's width and height, not in pixels.
    """

    inside: tuple[Points, ...]
    outside: tuple[Points, ...] = ()
    shares: bool = False

    def holds(self, points: NDArray[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
        """See `Region`."""
        height, width = size
        scale = np.array((width, height) if self.shares else (1, 1), np.float32)
        inside = [polygon * scale for polygon in self.inside]
        if inside and not any(_meets_frame(polygon, size) for polygon in inside):
            _warn_once(
                f"roi: lies wholly outside frames of {width}x{height} pixels; nothing is detected "
                "in them"
            )
        held = _in_any(inside, points) if inside else np.ones(len(points), bool)
        return held & ~_in_any([polygon * scale for polygon in self.outside], points)


@dataclass(frozen=True)
class MaskRegion:
    """What is True in a mask, which is stretched over the frame.

    Attributes:
        mask: (h, w) bool.
    """

    mask: NDArray[np.bool_]

    def holds(self, points: NDArray[Any], size: tuple[int, int]) -> NDArray[np.bool_]:
        """See `Region`."""
        rows, columns = self.mask.shape
        height, width = size
        if abs(columns * height / (rows * width) - 1) > _STRETCH:
            _warn_once(
                f"roi: the mask is {columns}x{rows} pixels and is stretched over frames of "
                f"{width}x{height}"
            )
        places = np.asarray(points, float).reshape(-1, 2) * [columns / width, rows / height]
        x, y = np.clip(np.floor(places).astype(int), 0, [columns - 1, rows - 1]).T
        return self.mask[y, x]


def make_region(given: object) -> Region:
    """A region from whatever a person may give.

    Args:
        given: a polygon as (n, 2) numbers, nested or one after the other, or several of them, in
            pixels of the frame, or in shares of it if all are in [0, 1]; a dictionary of
            "polygons", "exclude" or both; a mask, (h, w) bool, or uint8 in which white counts; the
            text "x1,y1,x2,y2,x3,y3", with semicolons between polygons; or the path of a JSON file
            of such polygons or such a dictionary, or of a mask image.

    Raises:
        FaimError: it is none of that.

    Example:
        >>> left = make_region("0,0, 0.5,0, 0.5,1, 0,1")
        >>> left.holds([(10, 10), (90, 10)], (50, 100)).tolist()
        [True, False]
    """
    if isinstance(given, Path) or (isinstance(given, str) and not _NUMBERS.fullmatch(given)):
        return _read_region(Path(given))
    if isinstance(given, str):
        return _polygon_region([_numbers(part) for part in given.split(";")], "roi")
    if hasattr(given, "__array__"):
        given = np.asarray(given)
        if _is_mask(given):
            return _mask_region(given, "roi")
        given = given.tolist()
    return _described_region(given, "roi")


def _read_region(path: Path) -> Region:
    where = f"roi: {path}"
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for names too long
        raise FaimError(f"{where}: no such file; expected {_EXPECTED}")
    if is_image_name(path):
        return _mask_region(read_image(path), where)
    if path.suffix.lower() != ".json":
        raise FaimError(
            f"{where}: neither .json nor an image ({', '.join(IMAGE_EXTENSIONS)}); expected "
            f"{_EXPECTED}"
        )
    what = 'polygons [[[x, y], …], …], or {"polygons": …, "exclude": …}'
    return _described_region(parse_json_value(read_text(path, what), path, what), where)


def _described_region(given: object, where: str) -> Region:
    if not isinstance(given, dict):
        return _polygon_region(_listed(given, where), where)
    if not given.keys() <= {"polygons", "exclude"}:
        raise FaimError(
            f'{where}: has the keys {shown(list(given))}; expected "polygons", "exclude" or both'
        )
    polygons, exclude = (_listed(given.get(key, []), where) for key in ("polygons", "exclude"))
    return _polygon_region(polygons, where, exclude)


def _polygon_region(inside: list[Any], where: str, outside: Sequence[Any] = ()) -> PolygonRegion:
    if not inside and not outside:
        raise FaimError(f"{where}: holds no polygon; expected {_EXPECTED}")
    polygons = [_polygon(each, where) for each in (*inside, *outside)]
    shares = all(polygon.min() >= 0 and polygon.max() <= 1 for polygon in polygons)
    return PolygonRegion(tuple(polygons[: len(inside)]), tuple(polygons[len(inside) :]), shares)


def _listed(given: Any, where: str) -> list[Any]:
    """Polygons of one or several, however they are nested."""
    if isinstance(given, (list, tuple)) and not given:
        return []
    depth, first = 0, given
    while isinstance(first, (list, tuple, np.ndarray)) and len(first):
        depth, first = depth + 1, first[0]
    if depth not in (1, 2, 3):
        raise FaimError(f"{where}: {shown(given)} given; expected {_EXPECTED}")
    return list(given) if depth == 3 else [given]


def _polygon(given: Any, where: str) -> Points:
    try:
        points = np.asarray(given)
    except ValueError:  # rows of different lengths
        points = np.empty(0)
    if points.ndim == 1 and len(points) % 2 == 0:
        points = points.reshape(-1, 2)
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "iuf":
        raise FaimError(f"{where}: {shown(given)} is no polygon; expected {_EXPECTED}")
    with np.errstate(over="ignore"):
        points = points.astype(np.float32)
    if len(points) < 3 or not np.isfinite(points).all():
        raise FaimError(
            f"{where}: {shown(given)} is no polygon; expected three points or more, x and y each"
        )
    if np.linalg.matrix_rank(points - points[0]) < 2:
        raise FaimError(f"{where}: {shown(given)} lies on a line; expected a polygon with an area")
    return points


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise FaimError(f"roi: {shown(text)} given; expected {_EXPECTED}") from error


def _is_mask(array: NDArray[Any]) -> bool:
    if array.dtype == bool:
        return array.ndim == 2
    flat = array.ndim == 2 and array.shape[1] != 2
    return array.dtype == np.uint8 and (flat or (array.ndim == 3 and array.shape[2] in (3, 4)))


def _mask_region(pixels: NDArray[Any], where: str) -> MaskRegion:
    """From (h, w) bool, or uint8 grey or BGR."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_BGR2GRAY)
    mask = pixels if pixels.dtype == bool else pixels >= WHITE
    if not mask.any():
        raise FaimError(
            f"{where}: nothing in the mask is white; expected white where objects count"
        )
    return MaskRegion(mask)


def _in_any(polygons: Sequence[Points], points: NDArray[Any]) -> NDArray[np.bool_]:
    def is_in(x: float, y: float, polygon: Points) -> bool:
        return cv2.pointPolygonTest(polygon, (float(x), float(y)), measureDist=False) >= 0

    return np.array([any(is_in(x, y, each) for each in polygons) for x, y in points], bool)


def _meets_frame(polygon: Points, size: tuple[int, int]) -> bool:
    height, width = size
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    return bool((low < (width, height)).all() and (high > 0).all())


@cache
def _warn_once(sentence: str) -> None:
    logger.warning("{}", sentence)
