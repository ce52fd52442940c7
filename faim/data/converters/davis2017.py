"""DAVIS 2017 (Pont-Tuset et al., 2017) to CocoVID: several objects a sequence, with masks.

A mask is a PNG with a palette: the index of a pixel is the number of its object in the sequence, 0
is background, 255 is void. The data set has no class names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console

from faim.data.converters.builder import (
    PARTLY_LABELLED,
    BoxItem,
    Category,
    Problems,
    Summary,
    VideoItem,
    convert_videos,
)
from faim.data.converters.davis_layout import find_layout
from faim.data.converters.masked_video import read_masked_video
from faim.data.mask_encoding import encode
from faim.errors import FaimError
from faim.reading import read_json

VOID = 255


@dataclass(frozen=True)
class SequenceJob:
    """One sequence; `classes` holds the category of object 1, 2 …, or None: all are category 0."""

    key: str
    images: Path
    masks: Path
    classes: tuple[int, ...] | None


def convert_davis2017(
    root: Path,
    out: Path,
    *,
    split: str = "train",
    labels: Path | None = None,
    resolution: str | None = None,
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> Summary:
    """Write the CocoVID JSON of one split.

    A frame without a mask, or with one that cannot be read or is of another size, is left out and
    counted: nothing is known about its objects. A frame with an empty mask is kept. The file says
    that not all objects have a label: those in the background have none.

    Args:
        root: the DAVIS folder, see `davis_layout`, of either track.
        out: the JSON file.
        split: the list `ImageSets/2017/<split>.txt`, one sequence a line.
        labels: a JSON object, sequence to the list of its objects' classes in the order of their
            indices; without it every object is an "object".
        resolution: which folder of images and masks; by default 480p, or the only one.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Raises:
        FaimError: a list, folder or labels file is missing or damaged; see `convert_videos`.
    """
    layout = find_layout(root, resolution)
    names = layout.listed(split, ("2017",))
    given = _read_labels(labels) if labels else None
    known = sorted({name for found in given.values() for name in found}) if given else ["object"]
    jobs = []
    for name in names:
        found = None if given is None else given.get(name, ())
        classes = None if found is None else tuple(known.index(each) for each in found)
        jobs.append(SequenceJob(name, layout.images / name, layout.masks / name, classes))
    return convert_videos(
        jobs,
        partial(read_sequence, strict=strict),
        [Category(name) for name in known],
        out,
        strict=strict,
        workers=workers,
        console=console,
        info=PARTLY_LABELLED,
    )


def read_sequence(job: SequenceJob, strict: bool) -> tuple[VideoItem | None, Problems]:
    """One sequence with its objects; tracks are the objects' indices."""
    problems = Problems(strict)
    objects = partial(_boxes, classes=job.classes, problems=problems)
    return read_masked_video(job, read_indices, objects, problems), problems


def read_indices(path: Path) -> npt.NDArray[np.uint8]:
    """The object indices of a mask (h, w): palette indices, or grey values.

    Raises:
        FaimError: the file is no such image.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L"):
                raise FaimError(f"{path}: has mode {image.mode}; expected a palette or grey values")
            return np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FaimError(f"{path}: cannot be decoded; expected a PNG of object indices") from error


def _boxes(
    indices: npt.NDArray[np.uint8],
    path: Path,
    classes: tuple[int, ...] | None,
    problems: Problems,
) -> tuple[BoxItem, ...]:
    boxes = []
    for index in np.unique(indices).tolist():
        if index in (0, VOID):
            continue
        if classes is not None and index > len(classes):
            problems.add("unknown class", f"{path} (object {index} of {len(classes)} labelled)")
            continue
        mask = encode(indices == index)
        if mask:
            category = 0 if classes is None else classes[index - 1]
            boxes.append(BoxItem(category, mask[1], track=index, segmentation=mask[0]))
    return tuple(boxes)


def _read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    labels = {}
    for name, found in read_json(path).items():
        if not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
            raise FaimError(f"{path}: sequence {name} has {found!r}; expected a list of classes")
        labels[name] = tuple(found)
    return labels
