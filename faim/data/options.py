"""Options of `faim data`."""

from __future__ import annotations

import argparse
from pathlib import Path

from faim.arguments import whole
from faim.data.converters.options import add_arguments as add_converters
from faim.outputs import add_input, add_output, nothing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add its actions to a parser."""
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    add_converters(actions.add_parser("convert", help="write a CocoVID annotation file"))
    check = actions.add_parser("check", help="look for mistakes, count, and draw some frames")
    check.add_argument("annotations", type=Path, metavar="ANN.json", help="CocoVID or COCO file")
    add_input(
        check,
        "--images",
        reads=nothing,
        type=Path,
        metavar="DIR",
        help="where image names start",
    )
    add_output(check, "--out", type=Path, metavar="PNG", help="write a sheet of frames")
    check.add_argument("--frames", type=whole(1, 400), default=24, help="on the sheet (24)")
    check.set_defaults(run=run_data_check)


def run_data_check(parsed: argparse.Namespace) -> int:
    """`faim data check`."""
    from faim.data.check import run_check

    run_check(parsed.annotations, images=parsed.images, sheet=parsed.out, frames=parsed.frames)
    return 0
