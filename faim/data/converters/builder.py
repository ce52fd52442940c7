"""Any data set to CocoVID: a reader makes a video of a job, and this writes the one JSON file.

A converter lists its jobs, one a video, and gives a function that reads one of them::

    def read(job: Clip, strict: bool) -> tuple[VideoItem | None, Problems]: ...

    convert_videos(jobs, partial(read, strict=strict), classes, out, strict=strict, workers=4)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from loguru import logger
from rich.console import Console

from faim.data.converters.entries import video_entries
from faim.data.converters.items import (
    BoxItem,
    Category,
    FrameItem,
    Job,
    Problems,
    VideoItem,
)
from faim.data.converters.summary import Summary
from faim.data.converters.writer import write_coco_vid
from faim.data.rules import is_class_name
from faim.errors import FaimError
from faim.jobs.progress import run_jobs
from faim.jobs.unfinished import Unfinished, fingerprints
from faim.reading import shown

__all__ = [
    "PARTLY_LABELLED",
    "BoxItem",
    "Category",
    "FrameItem",
    "Job",
    "Problems",
    "Summary",
    "VideoItem",
    "convert_videos",
]

AnyJob = TypeVar("AnyJob", bound=Job)
#: `info` of data sets in which objects of the classes are left without a label, see `CocoVid`.
PARTLY_LABELLED: Mapping[str, Any] = {"exhaustive": False}

Read = Callable[[AnyJob], tuple[VideoItem | None, Problems]]


def convert_videos(
    jobs: Sequence[AnyJob],
    read: Read[AnyJob],
    classes: Sequence[Category],
    out: Path,
    *,
    strict: bool,
    workers: int,
    console: Console | None = None,
    found: Problems | None = None,
    info: Mapping[str, Any] | None = None,
) -> Summary:
    """Read all videos, in several processes, write them as one CocoVID file, and print a summary.

    A run that is stopped, with Ctrl-C say, leaves what it has in `<out>.part`; the same call goes
    on from there, without another look at the videos that are done. The file is the same whatever
    `workers` is and however often it was stopped.
    Boxes are clipped to their image, see `video_entries`. `instance_id` is unique in the file, and
    -1 where the track is not known.

    Args:
        jobs: one a video, in the order of the file.
        read: a function of a module, or a `functools.partial` of one: the video, or None for none,
            and what was wrong with it.
        classes: the categories; ids count from 1.
        out: the JSON file. Image names are written relative to its folder.
        strict: the first problem is an error.
        workers: processes; 0 and 1 read in this one.
        console: for the progress and the summary; by default stderr and stdout.
        found: what was wrong with the list of jobs itself.
        info: what the file says of itself, such as `PARTLY_LABELLED`; None for nothing.

    Raises:
        FaimError: there are no jobs or classes, or two of one name; nothing was found;
            a file cannot be read or written; with `strict`, the first problem.
    """
    _check(jobs, classes, out)
    found = found or Problems()
    if strict:
        found.refuse()
    digests = fingerprints(jobs, read, classes, out.parent, strict)
    work = partial(_read_job, read, len(classes), out.parent.absolute(), strict)
    try:
        with Unfinished(out) as unfinished:
            todo = [number for number, digest in enumerate(digests) if digest not in unfinished]
            left = [jobs[number] for number in todo]
            if len(left) < len(jobs):
                logger.info(
                    f"goes on after {len(jobs) - len(left)} of {len(jobs)} videos; to start anew, "
                    f"delete {unfinished.folder}"
                )
            done = len(jobs) - len(left)
            try:
                with closing(run_jobs(work, left, len(jobs), workers, console)) as lines:
                    for number, line in zip(todo, lines, strict=True):
                        unfinished.append(digests[number], line)
                        done += 1
            except KeyboardInterrupt:
                logger.info(f"stopped after {done} of {len(jobs)} videos; the same command goes on")
                raise
            summary = Summary(out, problems=found)
            with unfinished.trusted():
                kept = unfinished.read(digests)
                write_coco_vid(kept, classes, unfinished.folder, summary, info)
    except OSError as error:
        raise FaimError(
            f"{out}: cannot be written ({error}); expected a writable folder"
        ) from error
    if not summary.videos:
        examples = summary.problems.examples
        reasons = [
            f"{kind}: {count}, first {examples[kind]}"
            for kind, count in summary.problems.counts.items()
        ]
        raise FaimError(f"{out}: no video was left to write ({', '.join(reasons) or 'none read'})")
    summary.print(console or Console())
    return summary


def _check(jobs: Sequence[Job], classes: Sequence[Category], out: Path) -> None:
    if not jobs:
        raise FaimError(f"{out}: nothing to convert; expected at least one video")
    if not classes:
        raise FaimError(f"{out}: no class to convert; expected at least one")
    for name, count in Counter(category.name for category in classes).items():
        if count > 1:
            raise FaimError(
                f"{out}: {count} classes are named {shown(name)}; expected each name once"
            )
        if not is_class_name(name):
            raise FaimError(
                f"{out}: a class is named {shown(name)}; expected text without control characters"
            )
    for key, count in Counter(job.key for job in jobs).items():
        if count > 1:
            raise FaimError(f"{out}: {count} videos are named {key}; expected each name once")


def _read_job(read: Read[AnyJob], classes: int, base: Path, strict: bool, job: AnyJob) -> bytes:
    """What `Unfinished` keeps of a job: runs in the worker process."""
    try:
        video, found = read(job)
    except OSError as error:
        raise FaimError(f"{job.key}: cannot be read ({error}); expected readable files") from error
    problems = Problems(strict)
    problems.merge(found)
    if strict:
        problems.refuse()
    entries = None if video is None else video_entries(video, classes, base, problems)
    kept = {
        "video": entries,
        "counts": problems.counts,
        "examples": problems.examples,
        "notes": problems.notes,
    }
    return json.dumps(kept, separators=(",", ":"), allow_nan=False).encode()
