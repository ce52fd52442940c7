"""Videos as entries of CocoVID, checked and without ids yet: what a worker process hands back."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from faim.data.converters.items import BoxItem, FrameItem, Problems, VideoItem, is_utf8
from faim.data.records import Annotation, check_mask
from faim.data.rules import BOX_TOLERANCE
from faim.errors import FaimError


def video_entries(
    video: VideoItem, classes: int, base: Path, problems: Problems
) -> dict[str, Any] | None:
    """The video as JSON values, its image names relative to `base`.

    Boxes are clipped to their image. What cannot be kept is left out and counted in `problems`:
    frames of a number that the video already has or without a size, boxes outside the image,
    without area, or of no class, damaged masks (the box stays), names that are not UTF-8.

    Returns:
        `name`, `extra` and `frames`, each with `annotations`; or None without frames.
    """
    if not is_utf8(video.name):
        problems.add("name is not UTF-8", video.name)
        return None
    seen: set[int] = set()
    frames = []
    for frame in video.frames:
        if not is_utf8(relative_name(frame.file, base)):
            problems.add("name is not UTF-8", str(frame.file))
        elif frame.frame_id in seen:
            problems.add("duplicate frame", f"{frame.file} (frame {frame.frame_id})")
        elif frame.width < 1 or frame.height < 1:
            problems.add("unreadable", f"{frame.file} (size {frame.width}x{frame.height})")
        else:
            seen.add(frame.frame_id)
            frames.append(_frame_entry(frame, classes, base, problems))
    if not frames:
        problems.add("video without frames", video.name)
        return None
    return {"name": video.name, "extra": dict(video.extra), "frames": frames}


def relative_name(path: Path, base: Path) -> str:
    """An image's name as seen from the JSON file's folder."""
    return f"{_relative_folder(path.parent, base)}/{path.name}"


@lru_cache(maxsize=1024)
def _relative_folder(folder: Path, base: Path) -> str:
    try:
        return Path(os.path.relpath(folder.resolve(), base.resolve())).as_posix()
    except ValueError:  # Windows: another drive
        return folder.resolve().as_posix()


def _frame_entry(frame: FrameItem, classes: int, base: Path, problems: Problems) -> dict[str, Any]:
    annotations = (_annotation(box, frame, classes, problems) for box in frame.boxes)
    return {
        "extra": dict(frame.extra),
        "frame_id": frame.frame_id,
        "file_name": relative_name(frame.file, base),
        "width": frame.width,
        "height": frame.height,
        "annotations": [entry for entry in annotations if entry is not None],
    }


def _annotation(
    box: BoxItem, frame: FrameItem, classes: int, problems: Problems
) -> dict[str, Any] | None:
    if not 0 <= box.category < classes:
        problems.add("unknown class", f"{_place(box, frame)} of class {box.category}")
        return None
    bbox = _clipped(box, frame, problems)
    if bbox is None:
        return None
    entry: dict[str, Any] = {
        "extra": dict(box.extra),
        "category": box.category,
        "track": box.track,
        "bbox": [_short(value) for value in bbox],
        "area": _short(bbox[2] * bbox[3]),
        "iscrowd": int(box.crowd),
    }
    if box.segmentation is not None:
        try:
            entry["segmentation"], entry["area"] = _mask(box.segmentation, frame)
        except FaimError:
            problems.add("damaged mask", _place(box, frame))
    return entry


def _clipped(
    box: BoxItem, frame: FrameItem, problems: Problems
) -> tuple[float, float, float, float] | None:
    """x, y, width, height inside the image, or None where nothing of the box is."""
    x1, y1, x2, y2 = box.xyxy
    if not all(map(math.isfinite, box.xyxy)) or x1 >= x2 or y1 >= y2:
        problems.add("box without area", _place(box, frame))
        return None
    left, top = max(x1, 0), max(y1, 0)
    right, bottom = min(x2, frame.width), min(y2, frame.height)
    # Added up again, as readers do, a sliver's far side may be its near one.
    empty = left + (right - left) <= left or top + (bottom - top) <= top
    beyond = max(left - x1, top - y1, x2 - right, y2 - bottom)
    if empty or beyond > BOX_TOLERANCE:
        size = f"{frame.width}x{frame.height}"
        problems.add("box outside the image", f"{_place(box, frame)} of {size}")
    return None if empty else (left, top, right - left, bottom - top)


def _place(box: BoxItem, frame: FrameItem) -> str:
    return f"{frame.file} (box {', '.join(f'{value:g}' for value in box.xyxy)})"


def _mask(segmentation: Mapping[str, Any], frame: FrameItem) -> tuple[dict[str, Any], int]:
    """The mask as compressed RLE, and its area; FaimError if it is damaged or of another size."""
    size = [frame.height, frame.width]
    checked = check_mask(Annotation((0, 0, 1, 1), 0, -1, dict(segmentation)), *size)
    runs = np.asarray(checked)
    counts = segmentation["counts"]
    if not isinstance(counts, str):
        rle = coco_mask.frPyObjects({"size": size, "counts": runs.tolist()}, *size)
        counts = rle["counts"].decode("ascii")
    return {"size": size, "counts": counts}, int(runs[1::2].sum())


def _short(value: float) -> float:
    """Whole numbers without `.0`."""
    return int(value) if value == int(value) else value
