"""OVIS (Qi et al., IJCV 2022), in the form of YouTube-VIS, to CocoVID: boxes and masks.

The annotations of OVIS's validation and test videos are not public. YOLOV, whose setting FAIM
follows (FAIM, Appendix A.4), trains on all 607 training videos and sends its boxes of the 140
validation videos to the benchmark's server; there an image is called `<video id>_<frame from 1>`,
kept here as `source_id`. To measure without the server, hold training videos out.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from faim.data.converters.builder import (
    BoxItem,
    Category,
    FrameItem,
    Problems,
    Summary,
    VideoItem,
    convert_videos,
)
from faim.data.converters.common_options import held_out_file
from faim.data.converters.order import shuffled
from faim.data.converters.ovis_form import check_form
from faim.data.mask_encoding import Box, rle_box
from faim.errors import FaimError
from faim.reading import read_json


@dataclass(frozen=True)
class VideoJob:
    """One video: its entry and those of its objects as JSON, and the ids of the classes."""

    key: str
    images: Path
    video: str
    objects: str
    category_ids: tuple[int, ...]


def convert_ovis(
    root: Path,
    out: Path,
    *,
    split: str = "train",
    hold_out: float = 0,
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> tuple[Summary, ...]:
    """Write the CocoVID JSON of one split, or two of it.

    Args:
        root: the folder of `annotations_<split>.json` and the images, `<split>/<video>/*.jpg`.
        out: the JSON file.
        split: train, or valid or test: their images only.
        hold_out: write a part of the videos to `<out>_held_out.json` instead: their number, or
            below 1 their share, rounded. Which ones is decided by the order of the SHA-256 of
            their names, so it is the same everywhere, and a larger part holds the smaller one.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Returns:
        What was written to `out`, and what was held out if anything was.

    Raises:
        FaimError: the annotation file is missing or not of this form, no video is left on one
            side of the split; see `convert_videos`.
    """
    root = root.resolve()
    path = root / f"annotations_{split}.json"
    content = read_json(path)
    check_form(content, path)
    classes = sorted((each["id"], each["name"]) for each in content["categories"])
    images = root / split if (root / split).is_dir() else root
    jobs = _jobs(content, images, tuple(number for number, _ in classes))
    held = _held_out([job.key for job in jobs], hold_out)
    parts = [([job for job in jobs if job.key not in held], out)]
    if held:
        parts.append(([job for job in jobs if job.key in held], held_out_file(out)))
    return tuple(
        convert_videos(
            part,
            partial(read_video, strict=strict),
            [Category(name) for _, name in classes],
            target,
            strict=strict,
            workers=workers,
            console=console,
        )
        for part, target in parts
    )


def read_video(job: VideoJob, strict: bool) -> tuple[VideoItem | None, Problems]:
    """One video; tracks are the ids of its objects, frames count from 0."""
    problems = Problems(strict)
    video: dict[str, Any] = json.loads(job.video)
    names, width, height = video["file_names"], video["width"], video["height"]
    boxes: list[list[BoxItem]] = [[] for _ in names]
    for entry in json.loads(job.objects):
        where = f"video {job.key}, object {entry['id']}"
        if entry["category_id"] not in job.category_ids:
            problems.add("unknown class", f"{where} (category {entry['category_id']})")
            continue
        if len(entry["segmentations"]) != len(names):
            lengths = f"{len(entry['segmentations'])} of {len(names)}"
            problems.add("masks for other than all frames", f"{where} ({lengths})")
        category = job.category_ids.index(entry["category_id"])
        for index in range(min(len(names), len(entry["segmentations"]))):
            box = _box(entry, index, category, (height, width), where, problems)
            if box is not None:
                boxes[index].append(box)
    frames = []
    for index, name in enumerate(names):
        file = job.images / name
        if not file.is_file():
            problems.add("missing image", str(file))
            continue
        source = {"source_id": f"{video['id']}_{index + 1}"}
        frames.append(FrameItem(file, width, height, index, tuple(boxes[index]), source))
    return (VideoItem(job.key, tuple(frames)) if frames else None), problems


def _box(
    entry: dict[str, Any],
    index: int,
    category: int,
    size: tuple[int, int],
    where: str,
    problems: Problems,
) -> BoxItem | None:
    """The object in one frame, or None where it is not seen."""
    mask, bbox = entry["segmentations"][index], _at(entry, "bboxes", index)
    if mask is None and bbox is None:
        return None
    xyxy: Box | None
    try:
        if not isinstance(mask, dict | None):
            raise FaimError("no RLE")
        xyxy = _corners(bbox) if bbox is not None else rle_box(mask or {}, *size)
    except FaimError:
        problems.add("damaged mask", f"{where}, frame {index}")
        return None
    if xyxy is None:
        problems.add("box without area", f"{where}, frame {index} (box {bbox})")
        return None
    occlusion = _at(entry, "occlusion", index)
    return BoxItem(
        category,
        xyxy,
        track=entry["id"],
        segmentation=mask,
        extra={"occlusion": occlusion} if isinstance(occlusion, str) else {},
        crowd=bool(entry.get("iscrowd")),
    )


def _at(entry: dict[str, Any], key: str, index: int) -> Any:
    values = entry.get(key)
    return values[index] if isinstance(values, list) and index < len(values) else None


def _corners(bbox: Any) -> Box | None:
    """x, y, width and height as corners."""
    try:
        x, y, w, h = map(float, bbox)
    except (TypeError, ValueError):
        return None
    return x, y, x + w, y + h


def _jobs(content: dict[str, Any], images: Path, category_ids: tuple[int, ...]) -> list[VideoJob]:
    objects: dict[int, list[dict[str, Any]]] = {video["id"]: [] for video in content["videos"]}
    for entry in content.get("annotations") or ():
        objects[entry["video_id"]].append(entry)
    return [
        VideoJob(
            key=video["file_names"][0].split("/")[0],
            images=images,
            video=json.dumps(video),
            objects=json.dumps(objects[video["id"]]),
            category_ids=category_ids,
        )
        for video in content["videos"]
    ]


def _held_out(names: list[str], hold_out: float) -> set[str]:
    share = hold_out * len(names) if hold_out < 1 else hold_out
    count = round(share) if math.isfinite(share) else -1
    if hold_out and not 0 < count < len(names):
        raise FaimError(
            f"hold-out is {hold_out:g}; expected to hold out 1 to {len(names) - 1} of the "
            f"{len(names)} videos"
        )
    return set(shuffled(names)[:count])
