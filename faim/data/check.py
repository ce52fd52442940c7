"""`faim data check`: whether a CocoVID file is sound, what it holds, and how it looks."""

from __future__ import annotations

import math
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from faim.data.check_files import check_files
from faim.data.findings import Examined, Findings, examine
from faim.data.statistics import QUANTILES, Statistics, measure
from faim.errors import FaimError
from faim.pictures.writing import write_image
from faim.text import printable
from faim.wording import counted


def run_check(
    annotation_file: Path,
    *,
    images: Path | None = None,
    sheet: Path | None = None,
    frames: int = 24,
    console: Console | None = None,
) -> Statistics:
    """Look for all mistakes of a data set, print what it holds, and draw some of its frames.

    Args:
        annotation_file: CocoVID or plain COCO.
        images: the folder that `file_name`s start from; by default the JSON file's.
        sheet: an image file to write the frames to.
        frames: how many to draw.
        console: where to print; by default stdout.

    Returns:
        The numbers of what is sound.

    Raises:
        FaimError: mistakes were found, after all of them were printed; or the file cannot be read,
            or the sheet not be written.
    """
    console = console or Console()
    examined = examine(annotation_file, images)
    present = _decode(examined)
    numbers = measure(examined.videos, examined.classes)
    if not numbers.boxes and not examined.findings.errors:
        examined.findings.note(
            "no annotations: for prediction only", counted(numbers.frames, "image")
        )
    drawn = None if sheet is None else _draw(examined, sheet, frames)
    print_statistics(numbers, examined.crowds, console)
    if drawn is not None:
        text = f"wrote {printable(str(sheet))}: {counted(drawn, 'frame')}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    print_findings(examined.findings, console)
    console.print(f"decoded {present} of {counted(numbers.frames, 'image')}")
    if mistakes := sum(examined.findings.errors.values()):
        raise FaimError(f"{annotation_file}: mistakes: {mistakes}, listed above; expected none")
    return numbers


def print_statistics(numbers: Statistics, crowds: int, console: Console) -> None:
    """A table of the classes that occur, and one of the whole."""
    table = Table(title="classes")
    for name in ("class", "boxes", "tracks", "videos", "masks"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for each in numbers.classes:
        if each.boxes:
            counts = (each.boxes, each.tracks, each.videos, each.masks)
            table.add_row(escape(printable(each.name)), *map(str, counts))
    console.print(table)
    whole = Table(title="data set", show_header=False)
    for name, value in _totals(numbers, crowds):
        whole.add_row(name, value)
    console.print(whole)


def print_findings(findings: Findings, console: Console) -> None:
    """Each kind of mistake and oddity with its first example, or that there is none."""
    for title, counts in (("mistake", findings.errors), ("note", findings.notes)):
        for kind, count in sorted(counts.items()):
            line = f"{title}: {count} x {kind}, first: {findings.examples[kind]}"
            console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    if not findings.errors:
        console.print("no mistakes")


def _totals(numbers: Statistics, crowds: int) -> list[tuple[str, str]]:
    unused = sum(not each.boxes for each in numbers.classes)
    shortest, median, longest = numbers.video_lengths
    sizes = [f"{w}x{h} ({count})" for (w, h), count in numbers.image_sizes[:3]]
    more = len(numbers.image_sizes) - len(sizes)
    quantiles = (
        f"{share:.0%} {size:.0f}"
        for share, size in zip(QUANTILES, numbers.box_sizes, strict=True)
        if not math.isnan(size)
    )
    return [
        (
            "videos",
            f"{numbers.videos} of {shortest} to {counted(longest, 'frame')}, median {median:g}",
        ),
        ("frames", f"{numbers.frames}, {numbers.empty_frames} without a box"),
        ("image sizes", ", ".join(sizes) + (f" and {more} more" if more > 0 else "")),
        ("classes", f"{len(numbers.classes)}, {unused} without a box"),
        (
            "boxes",
            f"{numbers.boxes}, at most {numbers.most_boxes} in a frame, {counted(crowds, 'crowd')}",
        ),
        ("tracks", f"{numbers.tracks}, {counted(numbers.trackless, 'box')} without one"),
        ("masks", str(numbers.masks)),
        ("box sizes (√area, pixels)", ", ".join(quantiles)),
    ]


def _decode(examined: Examined) -> int:
    """`check_files`, with a bar on a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("images", total=len(examined.frames))
        return check_files(examined, lambda: progress.advance(task))


def _draw(examined: Examined, path: Path, frames: int) -> int:
    """Write the sheet, and add what cannot be drawn to the findings; returns its frames."""
    from faim.data.contact_sheet import draw_sheet, pick_frames

    picked = pick_frames(examined.videos, frames)
    sheet, problems = draw_sheet(picked, examined.classes)
    write_image(path, sheet)
    for problem in problems:
        examined.findings.error("image that cannot be drawn", problem)
    return len(picked)
