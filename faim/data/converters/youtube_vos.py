"""YouTube-VOS (Xu et al., 2018) to CocoVID: objects with masks in every fifth frame of a video.

A split is a folder of `JPEGImages/<video>/*.jpg`, `Annotations/<video>/*.png` and `meta.json`. A
mask is a PNG with a palette: the index of a pixel is the number of its object in the video, 0 is
background. `meta.json` names the class of each object::

    {"videos": {"003234408d": {"objects": {"1": {"category": "penguin", "frames": ["00000"]}}}}}

The release comes with a second folder of all frames, `train_all_frames/JPEGImages`, without masks
of their own; file names are frame numbers in both. In the split `valid` only the frames in which an
object appears for the first time have a mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from faim.data.converters.builder import (
    BoxItem,
    Category,
    Problems,
    Summary,
    VideoItem,
    convert_videos,
)
from faim.data.converters.davis2017 import read_indices
from faim.data.converters.masked_video import read_masked_video
from faim.data.mask_encoding import encode
from faim.data.rules import is_small
from faim.errors import FaimError
from faim.reading import read_json

#: The class of objects without one.
NO_CLASS = "object"


@dataclass(frozen=True)
class YouTubeJob:
    """One video; `categories` holds objects with their categories, or None: all are category 0."""

    key: str
    images: Path
    masks: Path
    categories: tuple[tuple[int, int], ...] | None


class _SparseProblems(Problems):
    """Frames without a mask are none: most have not been annotated."""

    def add(self, kind: str, where: str, count: int = 1) -> None:
        """See `Problems`."""
        if kind == "missing annotation":
            self.note("frame without annotation", count)
        else:
            super().add(kind, where, count)


def convert_youtube_vos(
    root: Path,
    out: Path,
    *,
    split: str = "train",
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> Summary:
    """Write the CocoVID JSON of one split.

    Frames without a mask file are left out and noted. `frame_id` is the number in the file's name,
    so that neighbours are five apart. Where the folder `<split>/JPEGImages` is not there,
    `<split>_all_frames/JPEGImages` is taken.

    Args:
        root: the folder of `<split>`.
        out: the JSON file.
        split: the folder with masks.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Raises:
        FaimError: a folder is missing or `meta.json` is damaged; see `convert_videos`.
    """
    folder = root.resolve() / split
    images, masks = _image_folder(folder), folder / "Annotations"
    if not masks.is_dir():
        raise FaimError(f"{masks}: no such folder; expected YouTube-VOS with its masks")
    found = _read_meta(folder / "meta.json") if (folder / "meta.json").is_file() else None
    if found is None:
        found = {video.name: None for video in sorted(masks.iterdir()) if video.is_dir()}
    classes = sorted({name for objects in found.values() for name in (objects or {}).values()})
    classes = classes or [NO_CLASS]
    jobs = []
    for name, objects in found.items():
        categories = None
        if objects is not None:
            categories = tuple((k, classes.index(each)) for k, each in objects.items())
        jobs.append(YouTubeJob(name, images / name, masks / name, categories))
    return convert_videos(
        jobs,
        partial(read_video, strict=strict),
        [Category(name) for name in classes],
        out,
        strict=strict,
        workers=workers,
        console=console,
    )


def read_video(job: YouTubeJob, strict: bool) -> tuple[VideoItem | None, Problems]:
    """One video with its objects; tracks are the objects' indices."""
    problems = _SparseProblems(strict)
    objects = partial(_boxes, job=job, problems=problems)
    video = read_masked_video(job, read_indices, objects, problems)
    if video is None:
        problems.note("video without annotation")
    elif all(frame.file.stem.isdecimal() for frame in video.frames):
        video = _numbered(video, problems)
    return video, problems


def _numbered(video: VideoItem, problems: Problems) -> VideoItem | None:
    """The video with its files' numbers, without frames whose number is too large for CocoVID."""
    frames = []
    for frame in video.frames:
        number = int(frame.file.stem)
        if is_small(number):
            frames.append(replace(frame, frame_id=number))
        else:
            problems.add("frame number too large", f"{frame.file} (expected below 2^53)")
    return replace(video, frames=tuple(frames)) if frames else None


def _image_folder(folder: Path) -> Path:
    for place in (folder, folder.with_name(f"{folder.name}_all_frames")):
        if (place / "JPEGImages").is_dir():
            return place / "JPEGImages"
    raise FaimError(f"{folder}/JPEGImages: no such folder; expected YouTube-VOS with its images")


def _read_meta(path: Path) -> dict[str, dict[int, str] | None]:
    """The classes of the objects of each video."""
    try:
        return {
            str(name): {int(index): _class_of(entry) for index, entry in video["objects"].items()}
            for name, video in read_json(path)["videos"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FaimError(
            f"{path}: is no list of objects ({type(error).__name__}: {error}); expected "
            '{"videos": {name: {"objects": {"1": {"category": …}}}}}'
        ) from error


def _class_of(entry: Mapping[str, Any]) -> str:
    name = entry.get("category", NO_CLASS)
    if not isinstance(name, str):
        raise TypeError(f"category {name!r}")
    return name


def _boxes(
    indices: npt.NDArray[np.uint8], path: Path, job: YouTubeJob, problems: Problems
) -> tuple[BoxItem, ...]:
    categories = None if job.categories is None else dict(job.categories)
    boxes = []
    for index in np.unique(indices[indices > 0]).tolist():
        if categories is not None and index not in categories:
            problems.add("unknown object", f"{path} (object {index}, which meta.json has not)")
            continue
        mask = encode(indices == index)
        if mask:
            category = 0 if categories is None else categories[index]
            boxes.append(BoxItem(category, mask[1], track=index, segmentation=mask[0]))
    return tuple(boxes)
