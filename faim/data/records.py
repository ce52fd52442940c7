"""What a video dataset is made of, and how its files are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from faim.errors import FaimError
from faim.pictures.reading import read_image
from faim.text import printable


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object in one frame.

    Attributes:
        box: x1, y1, x2, y2 in image pixels, clipped to the image.
        category_id: dense index into `CocoVid.classes`.
        instance_id: the same number for the same object within a video; -1 unknown.
        segmentation: compressed or uncompressed RLE ({"size": [h, w], "counts": …}), a list of
            polygons, or None.
    """

    box: tuple[float, float, float, float]
    category_id: int
    instance_id: int = -1
    segmentation: dict[str, Any] | list[list[float]] | None = None


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One image of a video; `degradation` names what was done to a synthetic frame.

    `crowds` are regions of groups that no single box describes: no objects to be found or learnt,
    but a detection of the class within one is not wrong.
    """

    image_id: int
    path: Path
    width: int
    height: int
    frame_id: int
    annotations: tuple[Annotation, ...] = ()
    degradation: str | None = None
    crowds: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """The frames of one video, sorted by `frame_id`; at least one.

    `split` names the part of the dataset that it belongs to ("S1"), where its file does.
    """

    video_id: int
    name: str
    frames: tuple[FrameRecord, ...]
    split: str | None = None


def read_frame(frame: FrameRecord) -> np.ndarray:
    """The frame's image as `read_image`; FaimError too if its size is not the annotated one."""
    image = read_image(frame.path, (frame.width, frame.height))
    if image.shape[:2] != (frame.height, frame.width):
        raise FaimError(
            f"{printable(str(frame.path))}: is {image.shape[1]}x{image.shape[0]}; expected "
            f"{frame.width}x{frame.height}, as its annotation file says"
        )
    return image


def read_mask(annotation: Annotation, height: int, width: int) -> np.ndarray:
    """The annotation's mask as (height, width) bool.

    Raises:
        FaimError: it has none, the mask is damaged, or its size is not the image's.
    """
    checked = check_mask(annotation, height, width)
    if isinstance(checked, list):
        rle = coco_mask.merge(coco_mask.frPyObjects(checked, height, width))
    else:
        runs = {"counts": checked.tolist(), "size": [height, width]}
        rle = coco_mask.frPyObjects(runs, height, width)
    return coco_mask.decode(rle).astype(bool)


def check_mask(
    annotation: Annotation, height: int, width: int
) -> list[list[float]] | npt.NDArray[np.int64]:
    """See that the annotation's mask can be read, without drawing it.

    Returns:
        Its polygons, or its run lengths (column by column, background first).

    Raises:
        FaimError: as `read_mask`.
    """
    what = f"annotation with box {annotation.box}"
    segmentation = annotation.segmentation
    if not segmentation:
        raise FaimError(f"{what}: no mask; expected `segmentation`")
    try:
        if isinstance(segmentation, list):
            return _sound_polygons(segmentation, height, width)
        return _sound_runs(segmentation, height, width)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise FaimError(
            f"{what}: damaged mask ({error}); expected RLE or polygons of {width}x{height}"
        ) from error


# pycocotools trusts its input: damaged run lengths write beyond its buffers or leave pixels
# undefined. So they are checked here first.


def _sound_polygons(polygons: list[list[float]], height: int, width: int) -> list[list[float]]:
    reach = max(height, width)
    for polygon in polygons:
        points = np.asarray(polygon, dtype=np.float64)
        if points.ndim != 1 or points.size < 6 or points.size % 2:
            raise ValueError("a polygon is not x, y of at least three points")
        if not ((points >= -reach) & (points <= 2 * reach)).all():
            raise ValueError("a polygon lies far outside the image")
    return polygons


def _sound_runs(segmentation: dict[str, Any], height: int, width: int) -> npt.NDArray[np.int64]:
    counts, size = segmentation["counts"], segmentation["size"]
    if list(size) != [height, width]:
        raise ValueError(f"its size is {size}, not [{height}, {width}]")
    if isinstance(counts, list):
        if not all(type(run) is int for run in counts):
            raise TypeError("its run lengths are no whole numbers")
        runs = np.array(counts, np.int64)
    else:
        runs = _run_lengths(counts)
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError("its run lengths do not fill the image")
    return runs


#: Characters of the longest run length: 30 bits are more pixels than any image has.
_LONGEST_RUN = 6


def _run_lengths(counts: str) -> npt.NDArray[np.int64]:
    """The run lengths in COCO's compressed form.

    Each is written in characters of five bits, lowest first, with a sixth bit on all but the last;
    from the fourth on, as the difference from the one before the previous.
    """
    if not isinstance(counts, str):
        raise TypeError(f"its run lengths are {counts!r}")
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not ((digits >= 0) & (digits < 64)).all():
        raise ValueError("a character that is none of its form in its run lengths")
    ends = np.flatnonzero(digits < 32)
    if not len(ends) or ends[-1] != len(digits) - 1:
        raise ValueError("its run lengths are cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _LONGEST_RUN:
        raise ValueError("a run length beyond any image")
    shifts = 5 * (np.arange(len(digits)) - np.repeat(starts, lengths))
    values = np.add.reduceat((digits & 31) << shifts, starts)
    # The fifth bit of the last character is the sign.
    values -= np.where(digits[ends] & 16, np.int64(1) << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
