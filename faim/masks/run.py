"""`faim masks`: every box of a CocoVID file gets a mask."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from loguru import logger
from rich.console import Console

from faim.data.converters.items import Problems
from faim.data.rules import Entry
from faim.errors import FaimError
from faim.files import check_writable, write_whole
from faim.jobs.progress import run_jobs
from faim.jobs.unfinished import Unfinished, digests
from faim.masks.finish import Finishing
from faim.masks.jobs import Existing, Worklist, read_worklist
from faim.masks.protocol import MaskMethod
from faim.masks.summary import MaskSummary
from faim.masks.work import mask_video
from faim.outputs import check_outputs
from faim.version import __version__

#: Raised when the lines that `Unfinished` keeps, or the finishing, change.
VERSION = 1
#: Processes by default, for methods that several can run at once.
MOST_WORKERS = 8


@dataclass(frozen=True)
class MaskRequest:
    """What is asked for.

    Attributes:
        annotations: CocoVID or plain COCO file.
        out: the JSON file to write, another one.
        method: makes the masks.
        images: where relative `file_name`s start; by default the folder of `annotations`.
        finishing: what is done to every mask; see `finishing_of`.
        workers: processes; None takes as many as the method and the machine can use.
        strict: the first problem is an error.
        existing: what becomes of masks that the file has.
    """

    annotations: Path
    out: Path
    method: MaskMethod
    images: Path | None = None
    finishing: Finishing = field(default_factory=Finishing)
    workers: int | None = None
    strict: bool = False
    existing: Existing = "refuse"


def run_masks(request: MaskRequest, console: Console | None = None) -> MaskSummary:
    """Make the masks, write the file, and print a summary.

    The file is the input's with `segmentation` and `area` of annotations set, and `info["masks"]`:
    how they were made. It is the same whatever `workers` is, and however often the run was stopped:
    what is done is kept in `<out>.part`, and the same call goes on from there.

    Args:
        request: what to do.
        console: for the progress and the summary; by default stderr and stdout.

    Raises:
        FaimError: a file cannot be read or written; it has no boxes, or masks already; the method
            cannot work, or not in several processes; with `strict`, the first problem.
    """
    workers = _workers(request)
    _check_out(request)
    listed = read_worklist(request.annotations, request.images, request.existing, request.strict)
    _check_content(request.annotations, listed)
    try:
        with Unfinished(request.out) as unfinished:
            summary = _run(request, listed, workers, unfinished, console)
    except OSError as error:
        raise FaimError(
            f"{request.out}: cannot be written ({error.strerror or error}); expected a writable "
            "folder with space left"
        ) from error
    if not summary.sources.total() and not summary.kept:
        kinds = summary.problems.examples.items()
        reasons = "; ".join(f"{kind}: {where}" for kind, where in kinds)
        raise FaimError(f"{request.annotations}: no mask could be made ({reasons}); expected some")
    summary.print(console or Console())
    return summary


def _run(
    request: MaskRequest,
    listed: Worklist,
    workers: int,
    unfinished: Unfinished,
    console: Console | None,
) -> MaskSummary:
    common = VERSION, provenance(request), request.strict
    keys = digests(listed.jobs, common)
    todo = [pair for pair in zip(keys, listed.jobs, strict=True) if pair[0] not in unfinished]
    done = len(keys) - len(todo)
    if done:
        logger.info(
            f"goes on after {done} of {len(keys)} videos; to start anew, delete {unfinished.folder}"
        )
    work = partial(mask_video, request.method, finishing_of(request), request.strict)
    try:
        with closing(run_jobs(work, todo, len(keys), workers, console, ordered=False)) as results:
            for key, line in results:
                unfinished.append(key, line)
                done += 1
    except KeyboardInterrupt:
        logger.info(f"stopped after {done} of {len(keys)} videos; the same command goes on")
        raise
    summary = MaskSummary(request.out, request.method.name, len(keys))
    summary.kept, summary.crowds, summary.problems = listed.kept, listed.crowds, listed.problems
    with unfinished.trusted():
        annotations = _annotations(request, listed, unfinished.read(keys), summary)
    if not summary.sources.total() and not summary.kept:
        return summary
    info = _info(request, listed, summary)
    content = {**listed.content, "annotations": annotations, "info": info}
    text = json.dumps(content, separators=(",", ":"))
    write_whole(request.out, lambda part: part.write_text(text, encoding="utf-8"))
    return summary


def finishing_of(request: MaskRequest) -> Finishing:
    """What is asked for; in masks of an exact method no hole is filled, and none is too small."""
    if not request.method.exact:
        return request.finishing
    return replace(request.finishing, holes=0.0, least=0.0)


def provenance(request: MaskRequest) -> dict[str, Any]:
    """How masks are made: method, version, parameters and finishing."""
    method = request.method
    return {
        "method": method.name,
        "version": method.version,
        "parameters": method.parameters,
        "finishing": asdict(finishing_of(request)),
        "faim": __version__,
    }


def _annotations(
    request: MaskRequest, listed: Worklist, lines: Iterator[dict[str, Any]], summary: MaskSummary
) -> list[Any]:
    """The file's annotations with the masks of `lines`, which are counted in `summary`."""
    annotations = list(listed.content["annotations"])
    if request.existing == "replace":
        annotations = [_without_mask(entry) for entry in annotations]
    for line, places in zip(lines, listed.places, strict=True):
        summary.problems.merge(Problems(False, line["counts"], line["examples"], line["notes"]))
        for own, masks in zip(places, line["masks"], strict=True):
            for place, mask in zip(own, masks, strict=True):
                if place >= 0 and mask:
                    new = {"segmentation": mask["segmentation"], "area": mask["area"]}
                    annotations[place] = {**annotations[place], **new}
                    summary.sources[mask["source"]] += 1
    summary.without = len(annotations) - summary.sources.total() - summary.kept - summary.crowds
    return annotations


def _info(request: MaskRequest, listed: Worklist, summary: MaskSummary) -> Entry:
    """The file's `info` with how the masks were made."""
    info = dict(listed.content.get("info") or {})
    made = {**provenance(request), "counts": summary.counts}
    if request.existing == "keep" and "masks" in info:
        made["before"] = info["masks"]
    info["masks"] = made
    return info


def _without_mask(entry: Any) -> Any:
    """The entry without an old mask, so that none is taken for a new one; not a group's."""
    if not isinstance(entry, dict) or entry.get("iscrowd"):
        return entry
    return {key: value for key, value in entry.items() if key != "segmentation"}


def _workers(request: MaskRequest) -> int:
    if request.method.parallel:
        wanted = request.workers
        return min(os.cpu_count() or 1, MOST_WORKERS) if wanted is None else wanted
    if request.workers is not None and request.workers > 1:
        raise FaimError(
            f"--workers {request.workers}: method {request.method.name} runs in one process; "
            "expected 1"
        )
    return 1


def _check_out(request: MaskRequest) -> None:
    if request.out.suffix != ".json":
        raise FaimError(f"{request.out}: cannot be written; expected a name that ends in .json")
    check_outputs([request.out], [request.annotations])
    check_writable(request.out)


def _check_content(annotation_file: Path, listed: Worklist) -> None:
    """FaimError unless the file's `info` can be written in, and a box has a mask or can get one."""
    info = listed.content.get("info")
    if info is not None and not isinstance(info, dict):
        kind = type(info).__name__
        raise FaimError(f"{annotation_file}: `info` is a {kind}; expected an object")
    if not listed.jobs and not listed.kept:
        first = next(iter(listed.problems.examples.values()), "none is there")
        raise FaimError(f"{annotation_file}: no box can get a mask ({first}); expected some")
