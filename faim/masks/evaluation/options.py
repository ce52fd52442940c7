"""The options of `faim masks eval`."""

from __future__ import annotations

import argparse

from faim.arguments import path
from faim.outputs import add_input, add_output, nothing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options, and set `run`."""
    parser.description = "Compare masks with true ones: J, F and recall, by sequence."
    parser.add_argument("predicted", type=path, metavar="PRED.json", help="CocoVID file with masks")
    parser.add_argument(
        "truth", type=path, metavar="TRUTH.json", help="the same images with true masks"
    )
    add_input(
        parser,
        "--images",
        reads=nothing,
        type=path,
        metavar="DIR",
        help="where image names start (for --video)",
    )
    add_output(parser, "--json", type=path, metavar="FILE", help="write the figures as JSON")
    add_output(
        parser,
        "--video",
        type=path,
        metavar="FILE|DIR",
        help="write the masks over their frames: one file, or a folder for one a sequence",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim masks eval`."""
    from faim.masks.evaluation.run import MasksEvalOptions, run_masks_eval

    run_masks_eval(
        MasksEvalOptions(parsed.predicted, parsed.truth, parsed.images, parsed.json, parsed.video)
    )
    return 0
