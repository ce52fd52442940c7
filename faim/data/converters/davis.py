"""DAVIS 2016 (Perazzi et al., CVPR 2016) to CocoVID: one foreground object a sequence.

Besides the images and masks, see `davis_layout`, the folder may hold `labels.json`, which DAVIS has
not: for each sequence an object with `coco` and `vid`, the class in that set's names or null, and
`clean`, false where other objects of the class are in view without annotation. Without it every
object is an "object".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
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
from faim.data.converters.common_options import target
from faim.data.converters.davis_layout import DavisLayout, find_layout
from faim.data.converters.masked_video import read_masked_video
from faim.data.mask_encoding import encode
from faim.errors import FaimError
from faim.pictures.reading import read_image
from faim.reading import read_json

LabelSet = Literal["coco", "vid"]
#: What the class is without `labels.json`.
OBJECT = "object"
#: Folders of `ImageSets` with the lists.
_LISTS = ("480p", "1080p", "2016", "2017")


@dataclass(frozen=True)
class SequenceJob:
    """One sequence; `category` is its object's."""

    key: str
    images: Path
    masks: Path
    category: int


def convert_davis(
    root: Path,
    out: Path,
    labels: LabelSet = "coco",
    *,
    clean_only: bool = False,
    classes: Sequence[str] | None = None,
    sequences: Mapping[str, str] | None = None,
    strict: bool = True,
    workers: int = 0,
    console: Console | None = None,
) -> Path:
    """`convert_davis2016` for programs: strict and silent unless told otherwise.

    Args:
        root: the DAVIS folder.
        out: the JSON file to write, or a folder for `annotations.json`.
        labels: see `convert_davis2016`, as are those that follow.
        clean_only: leave out the sequences that are not clean.
        classes: the categories in order.
        sequences: the class of each sequence to convert.
        strict: the first problem is an error.
        workers: processes.
        console: for the progress and the summary; by default nowhere.

    Returns:
        The JSON file.

    Raises:
        FaimError: see `convert_davis2016`.
    """
    return convert_davis2016(
        root,
        target(Path(out), "annotations.json"),
        labels=labels,
        clean_only=clean_only,
        classes=classes,
        sequences=sequences,
        strict=strict,
        workers=workers,
        console=console or Console(quiet=True),
    ).path


def convert_davis2016(
    root: Path,
    out: Path,
    *,
    labels: LabelSet = "coco",
    clean_only: bool = False,
    classes: Sequence[str] | None = None,
    sequences: Mapping[str, str] | None = None,
    split: str | None = None,
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> Summary:
    """Write the CocoVID JSON of a DAVIS folder, with RLE masks and their tight boxes.

    It says that not all objects have a label: whatever else is in view has none. A frame with an
    empty mask is kept, without an annotation; see `read_masked_video` for damaged ones.

    Args:
        root: the DAVIS folder.
        out: the JSON file. Images stay where they are.
        labels: which names; sequences without one in this set are left out, and counted.
        clean_only: leave out, and count, the sequences that are not clean; needs `labels.json`.
        classes: the categories in order; by default the classes that occur, sorted.
        sequences: the class of each sequence to convert, in this order; `labels.json` and the two
            options on it do not count then.
        split: "train", "val" …: only the sequences of this list in `ImageSets`.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Raises:
        FaimError: a folder or list is missing, or `labels.json` damaged; no sequence is left, a
            class is not in `classes`; see `convert_videos`.
    """
    layout, found = find_layout(root), Problems(strict)
    if sequences is None:
        sequences = _sequences(layout, labels, clean_only, found)
    if split is not None:
        members = layout.listed(split, _LISTS)
        sequences = {name: sequences[name] for name in members if name in sequences}
    names = sorted(set(sequences.values())) if classes is None else list(classes)
    if unknown := sorted(set(sequences.values()) - set(names)):
        raise FaimError(
            f"classes: {', '.join(unknown)} occur in {layout.root} but are not among {names}"
        )
    jobs = [
        SequenceJob(sequence, layout.images / sequence, layout.masks / sequence, names.index(name))
        for sequence, name in sequences.items()
    ]
    return convert_videos(
        jobs,
        partial(read_sequence, strict=strict),
        [Category(name) for name in names],
        out,
        strict=strict,
        workers=workers,
        console=console,
        found=found,
        info=PARTLY_LABELLED,
    )


def read_sequence(job: SequenceJob, strict: bool) -> tuple[VideoItem | None, Problems]:
    """One sequence; its object is track 1."""
    problems = Problems(strict)
    objects = partial(_box, category=job.category)
    return read_masked_video(job, _read_foreground, objects, problems), problems


def _box(mask: npt.NDArray[np.uint8], _: Path, category: int) -> tuple[BoxItem, ...]:
    found = encode(mask)
    return (BoxItem(category, found[1], track=1, segmentation=found[0]),) if found else ()


def _read_foreground(path: Path) -> npt.NDArray[np.uint8]:
    """The mask (h, w) of 0 and 1; DAVIS 2016 marks the foreground by any value above 0."""
    return (read_image(path).max(axis=2) > 0).astype(np.uint8)


def _sequences(
    layout: DavisLayout, labels: str, clean_only: bool, found: Problems
) -> dict[str, str]:
    """Class of each sequence to convert, in order of their names; `found` counts the others."""
    if labels not in ("coco", "vid"):
        raise FaimError(f"labels is {labels!r}; expected coco or vid")
    path = layout.root / "labels.json"
    if not path.exists():
        if clean_only:
            raise FaimError(f"{path}: no such file; expected one that says which are clean")
        return dict.fromkeys(layout.sequences(), OBJECT)
    chosen = {}
    for name, entry in sorted(read_json(path).items()):
        if not isinstance(entry, dict) or labels not in entry:
            raise FaimError(f"{path}: sequence {name} has no `{labels}`; expected a class or null")
        if not isinstance(entry[labels], str | None):
            raise FaimError(
                f"{path}: sequence {name} has {labels} {entry[labels]!r}; expected a class or null"
            )
        if not entry[labels]:
            found.note(f"sequence without a {labels} class")
        elif clean_only and not entry.get("clean", True):
            found.note("sequence that is not clean")
        else:
            chosen[name] = entry[labels]
    if not chosen:
        which = "clean sequence" if clean_only else "sequence"
        raise FaimError(f"{path}: no {which} has a {labels} class; expected at least one")
    return chosen
