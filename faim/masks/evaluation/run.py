"""What `faim masks eval` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from faim.data.coco_vid import CocoVid
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.masks.evaluation.evaluate import evaluate_masks
from faim.masks.evaluation.overlay import OverlayWriter
from faim.masks.evaluation.progress import bar
from faim.masks.evaluation.table import print_scores
from faim.outputs import check_outputs


@dataclass(frozen=True)
class MasksEvalOptions:
    """One call of `faim masks eval`.

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


def run_masks_eval(options: MasksEvalOptions, console: Console | None = None) -> dict[str, Any]:
    """Evaluate, print the table, and write the files that are asked for.

    Returns:
        What the JSON file holds: `MaskScores.to_json`, the two files and the machine.

    Raises:
        FaimError: see `evaluate_masks` and `OverlayWriter`, or a file cannot be written or is one
            of the two that are compared.
    """
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
