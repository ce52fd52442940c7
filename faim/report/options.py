"""The options of `faim report`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from faim.arguments import path, whole
from faim.errors import FaimError
from faim.outputs import add_input, add_output, files_at, nothing, run_files

#: More would not fit a page that people scroll.
MOST_FRAMES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    add_input(
        parser,
        "runs",
        reads=_run_with_data,
        nargs="+",
        type=path,
        metavar="RUN",
        help="folder written by faim eval --out",
    )
    add_output(
        parser,
        "--out",
        type=path,
        default=Path("report.html"),
        metavar="HTML",
        help="page to write",
    )
    parser.add_argument(
        "--data", type=path, metavar="JSON", help="annotation file (default: the runs' own)"
    )
    add_input(
        parser,
        "--images",
        reads=nothing,
        type=path,
        metavar="DIR",
        help="folder of the images (default: of the JSON)",
    )
    parser.add_argument(
        "--frames",
        type=whole(0, MOST_FRAMES),
        default=12,
        metavar="N",
        help="frames to show in which two runs differ (12)",
    )
    parser.add_argument("--mode", action="append", help="only this mode; may be given again")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar="RUN:MODE",
        help="the two whose frames are shown (default: the first two)",
    )
    parser.set_defaults(run=run)


def _run_with_data(folder: Path, parsed: argparse.Namespace) -> Iterator[Path]:
    """The folder's files, and the annotation file that it names with its images."""
    from faim.reading import read_json

    yield from (folder, *run_files(folder))
    with suppress(FaimError):
        data = read_json(folder / "run.json").get("data")
        if isinstance(data, str) and data:
            yield from files_at(Path(data), parsed)


def run(parsed: argparse.Namespace) -> int:
    """`faim report`."""
    from faim.report.page import ReportOptions, run_report

    page = run_report(
        ReportOptions(
            runs=tuple(parsed.runs),
            out=parsed.out,
            data=parsed.data,
            images=parsed.images,
            frames=parsed.frames,
            modes=tuple(parsed.mode or ()),
            compare=tuple(parsed.compare) if parsed.compare else None,
        )
    )
    print(f"wrote {page}")
    return 0
