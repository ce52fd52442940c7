"""What `faim report` does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from loguru import logger
from rich.console import Console

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.tables import Case
from faim.files import check_writable, write_whole
from faim.report import figures, tables
from faim.report.columns import Column, check_same_file, make_columns, pick, read_runs
from faim.report.sections import (
    MOST_MAPS,
    FrameSection,
    MapSection,
    curves,
    frame_section,
    map_section,
)
from faim.report.svg import DASH_ARRAYS, SIGNS, series_shape, series_variable
from faim.version import __version__
from faim.wording import counted


@dataclass(frozen=True)
class ReportOptions:
    """One call of `faim report`.

    Attributes:
        runs: folders written by `faim eval --out`.
        out: the page to write.
        data: annotation file, in place of the one that the runs name.
        images: folder that the annotation file's image names start from; by default its own.
        frames: frames to show in which two columns differ, 0 for none.
        modes: only these modes; all by default.
        compare: the two columns whose frames are shown, each RUN:MODE; by default the first two.
    """

    runs: tuple[Path, ...]
    out: Path
    data: Path | None = None
    images: Path | None = None
    frames: int = 12
    modes: tuple[str, ...] = ()
    compare: tuple[str, str] | None = None


def run_report(options: ReportOptions, console: Console | None = None) -> Path:
    """Compare runs on one page; what cannot be shown is said there and logged.

    Args:
        options: what to compare.
        console: where progress is shown; stderr by default.

    Returns:
        The page.

    Raises:
        FaimError: a run folder, the annotation file or an option is wrong, the runs do not belong
            together, or the page cannot be written.
    """
    console = console or Console(stderr=True)
    check_writable(options.out)
    runs = read_runs(options.runs)
    if options.data is None:
        check_same_file(runs)
    columns = make_columns(runs, options.modes)
    compared = _compared(columns, options)
    with console.status("reading") as status:
        data, notes = _data(options, columns)
        cases = {c: c.run.detections(c.mode, data) for c in columns} if data else {}
        status.update("drawing curves")
        parts = _charts(columns, cases)
        if cases and compared:
            status.update("comparing frames")
            parts["frames"] = frame_section(*compared, cases, options.frames)
        status.update("placing features")
        parts["maps"] = _maps(columns, notes)
    content = {
        **_tables(columns),
        "frames": None,
        **parts,
        "columns": columns,
        "caption": _caption(columns, data, options),
        "notes": notes,
        "version": __version__,
    }
    page = render(content)
    write_whole(options.out, lambda part: part.write_text(page, encoding="utf-8"))
    frames: FrameSection | None = content["frames"]
    for note in notes + (frames.notes if frames else []):
        logger.warning("{}", note)
    return options.out


def render(content: dict[str, Any]) -> str:
    """The page's HTML; text is escaped, markup that comes as `Markup` is not."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(
        colour=lambda column: series_variable(column.number - 1),
        sign=lambda column: SIGNS[series_shape(column.number - 1)],
        dash=lambda column: DASH_ARRAYS[series_shape(column.number - 1)],
    )
    template = files("faim.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(content)


def _compared(columns: Sequence[Column], options: ReportOptions) -> tuple[Column, Column] | None:
    if options.compare:
        first, second = (pick(columns, text) for text in options.compare)
        if first is second:
            raise FaimError(f"--compare: {options.compare[0]!r} twice; expected two different ones")
    elif len(columns) > 1:
        first, second = columns[:2]
    else:
        return None
    return (first, second) if options.frames else None


def _data(options: ReportOptions, columns: Sequence[Column]) -> tuple[CocoVid | None, list[str]]:
    """The dataset; None and a sentence where the file that the runs name is not there."""
    named = Path(str(columns[0].run.about.get("data", "")))
    path = options.data or named
    if options.data is None and not os.path.isfile(path):  # noqa: PTH113 - raises no OSError
        told = f"{named} is not there" if named.name else "The runs do not say on what they ran"
        return None, [f"{told}: no curves and no frames are shown (--data names the file)."]
    if options.images and not os.path.isdir(options.images):  # noqa: PTH112 - likewise
        raise FaimError(f"--images: {options.images} is no folder; expected the images' folder")
    data = CocoVid(path, options.images)
    for column in columns:
        if column.run.classes != data.classes:
            raise FaimError(
                f"{path}: has other classes than {column.run.folder}; expected the data that the "
                "runs were evaluated on"
            )
    data.check(num_classes=None, masks_required=False, images_required=False)
    return data, []


def _charts(columns: Sequence[Column], cases: Mapping[Column, Case]) -> dict[str, Any]:
    names = figures.bar_classes(columns)
    classes = tables.per_class(columns)
    note = ""
    if len(names) < len(classes.rows):
        note = f"The {len(names)} of {len(classes.rows)} classes that differ most."
    return {
        "recall": curves(cases) if cases else None,
        "speed": figures.speed_accuracy(columns),
        "bars": figures.class_bars(columns, names),
        "bars_note": note,
        "machines": tables.machines(columns),
    }


def _tables(columns: Sequence[Column]) -> dict[str, Any]:
    parts = (tables.stability, tables.viewer, tables.errors)
    details = [*tables.groups(columns), *(part(columns) for part in parts)]
    return {
        "summary": tables.summary(columns),
        "details": [table for table in details if table.rows],
        "per_class": tables.per_class(columns),
        "about": tables.about(columns),
    }


def _maps(columns: Sequence[Column], notes: list[str]) -> list[MapSection]:
    """One section a run that kept features; what cannot be shown is added to the notes."""
    shown: list[MapSection] = []
    for title, run in {column.title: column.run for column in columns}.items():
        if len(shown) == MOST_MAPS:
            notes.append(f"The features of the first {MOST_MAPS} runs are shown.")
            break
        made = map_section(run, title)
        if isinstance(made, str):
            if made not in notes:
                notes.append(made)
        elif made:
            shown.append(made)
    return shown


def _caption(columns: Sequence[Column], data: CocoVid | None, options: ReportOptions) -> str:
    about = columns[0].run.about
    name = Path(str(options.data or about.get("data") or "unnamed data")).name
    videos = len(data.videos) if data else about.get("videos")
    images = len(data.frames) if data else about.get("images")
    counts = [counted(n, what) for n, what in ((videos, "video"), (images, "frame")) if n]
    return ", ".join([name, *counts, counted(len(columns[0].run.classes), "class")])
