"""EPIC-KITCHENS-55 (Damen et al., ECCV 2018) to CocoVID: boxes of the objects people speak of.

`EPIC_train_object_labels.csv` has a line for each noun looked for in a frame, with none, one or
several boxes (top, left, height, width). Frames that it does not name are not annotated and are
left out. Which box is which object over time is not known.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

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
from faim.data.converters.epic_splits import default_split, read_split
from faim.errors import FaimError
from faim.pictures.reading import image_size
from faim.reading import read_text

LABELS = "EPIC_train_object_labels.csv"
NOUNS = "EPIC_noun_classes.csv"
#: Pixels that the boxes count in, whatever size the images are.
LABEL_SIZE = (1920, 1080)
#: Where a video's images may be, as the data's archives or its download script lay them out.
IMAGE_FOLDERS = (
    "object_detection_images/train/{kitchen}/{video}",
    "EPIC_KITCHENS_2018/object_detection_images/train/{kitchen}/{video}",
    "{kitchen}/object_detection_images/{video}",
    "EPIC-KITCHENS/{kitchen}/object_detection_images/{video}",
)

_NUMBER = r"\s*(-?\d+)\s*"
_BOX = re.compile(rf"\({','.join([_NUMBER] * 4)}\)")
_BOXES = re.compile(rf"\[\s*(?:{_BOX.pattern}\s*,?\s*)*\]".replace("(-?", "(?:-?"))


@dataclass(frozen=True)
class VideoJob:
    """One video; `rows` are line number, frame, noun class and boxes, as in the file."""

    key: str
    images: Path
    split: str
    rows: tuple[tuple[int, str, str, str], ...]
    nouns: tuple[int, ...]


def convert_epic_kitchens(
    root: Path,
    out: Path,
    *,
    annotations: Path | None = None,
    split: Path | None = None,
    only: str | None = None,
    all_classes: bool = False,
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> Summary:
    """Write the CocoVID JSON of the training videos, or of one part of them.

    Each video's entry says in `split` which part it is of. The classes are the same in all parts:
    the nouns that have a box in any of them (290, as in FAIM, Appendix A.3).

    Args:
        root: the folder of images, see `IMAGE_FOLDERS`.
        out: the JSON file.
        annotations: the folder of the two CSV files; by default `root` or `root/annotations`.
        split: a file of video_id,split; by default see `epic_splits`. Videos it does not name are
            left out.
        only: the part to write; by default all.
        all_classes: take all 352 nouns as classes.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Raises:
        FaimError: a CSV file is missing or lacks columns, no video is in the part; see
            `convert_videos`.
    """
    root = root.resolve()
    folder = annotations or _annotations(root)
    nouns = _read_nouns(folder / NOUNS)
    rows, kitchens = _read_labels(folder / LABELS)
    parts = read_split(split) if split else default_split(kitchens)
    if not all_classes:
        used = {noun for lines in rows.values() for _, _, noun, boxes in lines if "(" in boxes}
        nouns = {number: name for number, name in nouns.items() if str(number) in used}
    chosen = [video for video in rows if video in parts and parts[video] == (only or parts[video])]
    if not chosen:
        raise FaimError(
            f"{folder / LABELS}: no video is of the split {only or split}; expected some of its "
            f"{len(rows)} videos ({', '.join(sorted(set(parts.values())))})"
        )
    jobs = [
        VideoJob(
            video,
            _images(root, kitchens[video], video),
            parts[video],
            tuple(rows[video]),
            tuple(nouns),
        )
        for video in sorted(chosen)
    ]
    return convert_videos(
        jobs,
        partial(read_video, strict=strict),
        [Category(name, {"noun_id": number}) for number, name in nouns.items()],
        out,
        strict=strict,
        workers=workers,
        console=console,
    )


def read_video(job: VideoJob, strict: bool) -> tuple[VideoItem | None, Problems]:
    """One video; `frame_id` is the frame's number in the 60 frames a second that were recorded."""
    problems = Problems(strict)
    boxes: dict[int, list[BoxItem]] = defaultdict(list)
    for line, frame, noun, text in job.rows:
        where = f"{LABELS}:{line}"
        if not frame.isdecimal() or not noun.isdecimal() or not _BOXES.fullmatch(text):
            problems.add("unreadable", f"{where} ({frame}, {noun}, {text[:60]!r})")
            continue
        found = boxes[int(frame)]
        if int(noun) not in job.nouns:
            if "(" in text:
                problems.add("unknown class", f"{where} (noun class {noun})")
            continue
        category = job.nouns.index(int(noun))
        for top, left, height, width in _BOX.findall(text):
            x, y = float(left), float(top)
            box = BoxItem(category, (x, y, x + float(width), y + float(height)))
            if box in found:
                problems.note("box given twice")
            else:
                found.append(box)
    frames = tuple(_frames(job.images, boxes, problems))
    return (VideoItem(job.key, frames, {"split": job.split}) if frames else None), problems


def _frames(
    images: Path, boxes: dict[int, list[BoxItem]], problems: Problems
) -> Iterator[FrameItem]:
    """The frames whose image is there, with its own size."""
    for number in sorted(boxes):
        file = images / f"{number:010}.jpg"
        if not file.is_file():
            problems.add("missing image", str(file))
            continue
        try:
            size = image_size(file)
        except FaimError as error:
            problems.add("unreadable", str(error))
            continue
        yield FrameItem(file, *size, number, tuple(_scaled(box, size) for box in boxes[number]))


def _scaled(box: BoxItem, size: tuple[int, int]) -> BoxItem:
    if size == LABEL_SIZE:
        return box
    across, down = size[0] / LABEL_SIZE[0], size[1] / LABEL_SIZE[1]
    x1, y1, x2, y2 = box.xyxy
    return BoxItem(box.category, (x1 * across, y1 * down, x2 * across, y2 * down))


def _annotations(root: Path) -> Path:
    for folder in (root, root / "annotations"):
        if (folder / LABELS).is_file():
            return folder
    raise FaimError(f"{root}: no {LABELS} here or in annotations/; expected EPIC-KITCHENS-55")


def _images(root: Path, kitchen: str, video: str) -> Path:
    """The first of `IMAGE_FOLDERS` that is there."""
    folders = [root / place.format(kitchen=kitchen, video=video) for place in IMAGE_FOLDERS]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _read_nouns(path: Path) -> dict[int, str]:
    """Names by noun id, in the order of the ids."""
    try:
        found = {int(row["noun_id"]): row["class_key"] for _, row in _rows(path)}
    except (KeyError, ValueError) as error:
        raise FaimError(
            f"{path}: is damaged ({error}); expected the columns noun_id and class_key"
        ) from error
    if not found:
        raise FaimError(f"{path}: names no class; expected at least one")
    return dict(sorted(found.items()))


def _read_labels(
    path: Path,
) -> tuple[dict[str, list[tuple[int, str, str, str]]], dict[str, str]]:
    """The lines of each video, and its kitchen."""
    rows: dict[str, list[tuple[int, str, str, str]]] = defaultdict(list)
    kitchens: dict[str, str] = {}
    for line, row in _rows(path):
        try:
            video = row["video_id"]
            kitchens.setdefault(video, row["participant_id"])
            rows[video].append((line, row["frame"], row["noun_class"], row["bounding_boxes"] or ""))
        except KeyError as error:
            raise FaimError(
                f"{path}: has no column {error}; expected noun_class, participant_id, video_id, "
                "frame and bounding_boxes"
            ) from error
    if not rows:
        raise FaimError(f"{path}: has no rows; expected one for each noun looked for in a frame")
    return rows, kitchens


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a CSV file with their numbers."""
    try:
        text = io.StringIO(read_text(path, "a CSV file"), newline="")
        reader = csv.DictReader(text, restval="")
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise FaimError(f"{path}: cannot be read ({error}); expected a CSV file") from error
