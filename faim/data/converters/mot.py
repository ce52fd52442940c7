"""MOT17 and MOT20 (Milan et al., 2016; Dendorfer et al., 2020) to CocoVID: pedestrians.

Boxes in `gt.txt` count pixels from 1; 1 is subtracted from left and top. They cover the whole
person, also what is hidden or beyond the image, and are clipped to it. `visibility`, the visible
share of the box, is kept.
"""

from __future__ import annotations

import configparser
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

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
from faim.errors import FaimError
from faim.reading import read_text

PEDESTRIAN = 1
#: Classes of gt.txt; MOT16, Table 3, and 13 of MOT20.
CLASS_NAMES = {
    1: "pedestrian",
    2: "person on vehicle",
    3: "car",
    4: "bicycle",
    5: "motorbike",
    6: "non motorized vehicle",
    7: "static person",
    8: "distractor",
    9: "occluder",
    10: "occluder on the ground",
    11: "occluder full",
    12: "reflection",
    13: "crowd",
}
#: What the benchmark's evaluation neither asks for nor punishes.
_NEUTRAL = (1, 2, 7, 8, 12, 13)
DETECTORS = ("DPM", "FRCNN", "SDP")


@dataclass(frozen=True)
class SequenceJob:
    """One sequence and what to take of it, see `convert_mot`."""

    key: str
    folder: Path
    half: Literal["train", "val"] | None
    crowds: bool


class Row(NamedTuple):
    """One line of gt.txt; the box as x1, y1, x2, y2 from 0."""

    frame: int
    track: int
    xyxy: tuple[float, float, float, float]
    considered: bool
    category: int
    visibility: float


@dataclass(frozen=True)
class SequenceInfo:
    """What seqinfo.ini says; `rate` is in frames a second, where it says one."""

    images: str
    extension: str
    length: int
    width: int
    height: int
    rate: float | None


def convert_mot(
    root: Path,
    out: Path,
    *,
    detector: str = "FRCNN",
    half: Literal["train", "val"] | None = None,
    crowds: bool = False,
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> Summary:
    """Write the CocoVID JSON of the training sequences.

    Args:
        root: the MOT folder, or its `train`.
        out: the JSON file.
        detector: MOT17 has each sequence three times, with the results of three detectors: the one
            to take. The ground truth is the same.
        half: of each sequence of n frames only the first ⌊n/2⌋ + 1, or the rest, as MMTracking and
            CenterTrack split the training set to have a validation set.
        crowds: mark people whom the benchmark does not consider as crowds; by default they are
            left out. `CocoVid` leaves crowds out too: faim's figures know no ignored regions.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Raises:
        FaimError: no sequence is found; see `convert_videos`.
    """
    folder = root / "train" if (root / "train").is_dir() else root
    if not folder.is_dir():
        raise FaimError(f"{root}: no such folder; expected MOT17 or MOT20")
    sequences = sorted(path for path in folder.iterdir() if (path / "seqinfo.ini").is_file())
    chosen = [path for path in sequences if _detector(path) in (None, detector)]
    if not chosen:
        raise FaimError(
            f"{folder}: no sequence with seqinfo.ini of the detector {detector}; expected folders "
            "like MOT17-02-FRCNN or MOT20-01"
        )
    jobs = [SequenceJob(path.name, path.resolve(), half, crowds) for path in chosen]
    return convert_videos(
        jobs,
        partial(read_sequence, strict=strict),
        [Category(CLASS_NAMES[PEDESTRIAN])],
        out,
        strict=strict,
        workers=workers,
        console=console,
    )


def read_sequence(job: SequenceJob, strict: bool) -> tuple[VideoItem | None, Problems]:
    """One sequence; `frame_id` is the frame's number less 1."""
    problems = Problems(strict)
    truth = job.folder / "gt" / "gt.txt"
    if not truth.is_file():
        problems.add("missing annotation", str(truth))
        return None, problems
    try:
        info = _read_info(job.folder / "seqinfo.ini")
    except FaimError as error:
        problems.add("unreadable", str(error))
        return None, problems
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in _rows(truth, info, problems):
        rows[row.frame].append(row)
    frames = []
    for number in _half(info.length, job.half):
        file = job.folder / info.images / f"{number:06}{info.extension}"
        if not file.is_file():
            problems.add("missing image", str(file))
            continue
        boxes = tuple(_boxes(rows[number], job.crowds, info, problems))
        frames.append(FrameItem(file, info.width, info.height, number - 1, boxes))
    if not frames:
        return None, problems
    extra = {} if info.rate is None else {"fps": info.rate}
    return VideoItem(job.key, tuple(frames), extra), problems


def _half(length: int, half: Literal["train", "val"] | None) -> range:
    """Frame numbers, from 1."""
    last = length // 2 + 1
    if half is None:
        return range(1, length + 1)
    return range(1, last + 1) if half == "train" else range(last + 1, length + 1)


def _detector(path: Path) -> str | None:
    suffix = path.name.rsplit("-", 1)[-1]
    return suffix if suffix in DETECTORS else None


def _read_info(path: Path) -> SequenceInfo:
    parser = configparser.ConfigParser()
    try:
        parser.read_string(read_text(path, "[Sequence]"))
        section = parser["Sequence"]
        return SequenceInfo(
            images=section.get("imDir", "img1"),
            extension=section.get("imExt", ".jpg"),
            length=int(section["seqLength"]),
            width=int(section["imWidth"]),
            height=int(section["imHeight"]),
            rate=_rate(section.get("frameRate", "30")),
        )
    except (ValueError, KeyError, configparser.Error) as error:
        raise FaimError(
            f"{path}: is damaged ({error}); expected [Sequence] with seqLength, imWidth and "
            "imHeight"
        ) from error


def _rate(text: str) -> float | None:
    """Frames a second, or None for what is no such number: no frame depends on it."""
    try:
        rate = float(text)
    except ValueError:
        return None
    if not 0 < rate < math.inf:
        return None
    return int(rate) if rate.is_integer() else rate


def _rows(path: Path, info: SequenceInfo, problems: Problems) -> Iterator[Row]:
    """The sound lines; a track is in a frame once."""
    seen: set[tuple[int, int]] = set()
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = _parse(line)
        except (ValueError, IndexError):
            problems.add("unreadable", f"{where} ({line[:60]!r})")
            continue
        if not 1 <= row.frame <= info.length:
            problems.add("unknown frame", f"{where} (frame {row.frame} of {info.length})")
        elif row.category not in CLASS_NAMES:
            problems.add("unknown class", f"{where} (class {row.category})")
        elif (row.frame, row.track) in seen:
            problems.add("track twice in a frame", f"{where} (track {row.track})")
        else:
            seen.add((row.frame, row.track))
            yield row


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _parse(line: str) -> Row:
    cells = line.split(",")
    left, top, width, height = (float(cell) for cell in cells[2:6])
    x, y, visibility = left - 1, top - 1, float(cells[8])
    if not math.isfinite(visibility):
        raise ValueError("no visibility")
    return Row(
        frame=int(cells[0]),
        track=int(cells[1]),
        xyxy=(x, y, x + width, y + height),
        considered=float(cells[6]) != 0,
        category=int(cells[7]),
        visibility=visibility,
    )


def _boxes(
    rows: list[Row], crowds: bool, info: SequenceInfo, problems: Problems
) -> Iterator[BoxItem]:
    for row in rows:
        wanted = row.category == PEDESTRIAN and row.considered
        if not wanted and not (crowds and row.category in _NEUTRAL):
            kind = "not considered" if row.category == PEDESTRIAN else CLASS_NAMES[row.category]
            problems.note(kind)
            continue
        x1, y1, x2, y2 = row.xyxy
        clipped = max(x1, 0.0), max(y1, 0.0), min(x2, info.width), min(y2, info.height)
        if x1 < x2 and y1 < y2 and (clipped[0] >= clipped[2] or clipped[1] >= clipped[3]):
            problems.note("person beyond the image")
            continue
        extra = {"visibility": row.visibility}
        yield BoxItem(0, clipped, track=row.track, extra=extra, crowd=not wanted)
