"""The options of `faim masks eval`, and what it does."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from faim.arguments import path
from faim.outputs import add_input, add_output, check_outputs, nothing


@dataclass(frozen=True)
class MasksEvalOptions:
    """The options of `faim masks eval`.

    Attributes:
        predicted: CocoVID file with masks.
        truth: CocoVID file with the true masks of the same images.
        images: folder that image names start from, for the video; by default the truth's.
        json: file for the figures.
        video: video file, or a folder for one a sequence.
    """

    predicted: Path
    truth: Path
    images: Path | None = None
    json: Path | None = None
    video: Path | None = None


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
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    run_masks_eval(
        MasksEvalOptions(parsed.predicted, parsed.truth, parsed.images, parsed.json, parsed.video)
    )
    return 0


def run_masks_eval(options: MasksEvalOptions, console: Console | None = None) -> dict[str, Any]:
    """Evaluate, print the table, and write the files that are asked for.

    Returns:
        What the JSON file holds: `MaskScores.to_json`, the two files and the machine.

    Raises:
        FaimError: see `evaluate_masks` and `OverlayWriter`, or a file cannot be written or is one
            of the two that are compared.
    """
    from faim.data.coco_vid import CocoVid
    from faim.evaluation.report import check_writable, machine, write_json
    from faim.masks.evaluation.evaluate import evaluate_masks
    from faim.masks.evaluation.overlay import OverlayWriter
    from faim.masks.evaluation.progress import bar
    from faim.masks.evaluation.table import print_scores

    outputs = [path for path in (options.json, options.video) if path is not None]
    check_outputs(outputs, [options.predicted, options.truth])
    console = console or Console(highlight=False, soft_wrap=True)
    if options.json:
        check_writable(options.json)
    writer = OverlayWriter(options.video) if options.video else None
    predicted, truth = CocoVid(options.predicted), CocoVid(options.truth, options.images)
    with bar("masks", len(truth.frames)) as done:
        scores = evaluate_masks(predicted, truth, done)
    content = {
        "predicted": str(options.predicted),
        "truth": str(options.truth),
        **scores.to_json(),
        "machine": machine(),
    }
    if options.json:
        write_json(options.json, content)
    written: list[Path] = []
    try:
        if writer:
            with bar("video", len(truth.frames)) as done:
                written = writer.write(predicted, truth, scores, done)
    finally:  # after the files, which a closed terminal must not cost; but also where they fail
        print_scores(scores, f"{options.predicted} against {options.truth}", console)
    if written:
        console.print(f"wrote {', '.join(map(str, written))}", markup=False)
    return content
