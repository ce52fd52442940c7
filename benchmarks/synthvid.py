"""A FAIM checkpoint against its own base detector on held-out SynthVID.

    for s in 1 2 3; do
        faim synth --edition 2 --out data/test$s --videos 20 --frames 64 --severity hard --seed $s
    done
    python benchmarks/synthvid.py --data data/test?/annotations.json

Three modes of one checkpoint, and beside `stream` an exact one: TICAM's second round averages what
the first made of the references, and a stream keeps what that was when they were key frames
themselves, while the exact stream computes it anew with all that the key frame sees. Last, both
modes with post-processing, causal tubelets (the default of streams) and REPP, and those on the base
detector alone.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from faim.data.coco_vid import CocoVid
from faim.detector import VideoDetector
from faim.errors import FaimError
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.modes import Mode, ModeRun, ModeRunner
from faim.evaluation.post import VideoPost, open_post
from faim.evaluation.report import number
from faim.evaluation.stability import stability
from faim.evaluation.viewer import viewer_figures
from faim.families.yolox.aggregation import TicamAggregator
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.faim import FAIM
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.structures import Proposals, TensorRecord
from faim.weights import default_weights
from lab.jobs import digest

EXACT = "stream, exact second round"
DEFAULT = "stream, with tubelets (the default)"
TUBELETS = "base detector, with tubelets"
REPP = "global, with REPP"
REPP_ALONE = "base detector, with REPP"
#: Figures of a mode and what they are called.
COLUMNS = {
    "ap50": "AP50",
    "ap75": "AP75",
    "ap50_95": "AP50:95",
    "found_share": "found %",
    "flips_per_100": "flips / 100",
    "wrong_labels": "wrong labels %",
    "boxes_per_frame": "boxes / frame",
    "unmatched_boxes": "false boxes / frame",
    "ghost_median": "ghost frames, median",
    "ghosts_over_2": "ghosts of over 2 frames %",
}
#: Columns of the table, also where no terminal says how wide it is.
_WIDTH = 180


class ExactTicam(TicamAggregator):
    """TICAM over all frames of the bank at every step; the bank holds proposals."""

    def step(self, key: Proposals, bank: TensorRecord | None) -> tuple[Tensor, TensorRecord]:
        """See `Aggregator.step`."""
        frames = Proposals.stack([key])
        if isinstance(bank, Proposals):
            frames = Proposals.concatenate([bank, frames])
        return self.refine(frames)[-1], key


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    try:
        run(_parser().parse_args(arguments))
    except FaimError as error:
        print(f"synthvid: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Evaluate every set, print the tables, and write the JSON file if one is asked for.

    Raises:
        FaimError: the weights or a set are not as expected.
    """
    console = Console(width=max(Console().width, _WIDTH))
    if options.json:
        check_writable(options.json)
    weights = options.weights or default_weights()
    model = load_model(weights)
    if not isinstance(model, FAIM):
        raise FaimError(f"{weights}: a plain base detector; expected a FAIM checkpoint")
    sets = [_read(path) for path in options.data]
    rows: dict[str, dict[str, dict[str, float]]] = {}
    with Progress(console=console) as progress:
        task = progress.add_task("frames", total=sum(len(data.frames) for data in sets))
        for data in sets:
            rows[str(data.annotation_file)] = evaluate(model, data, partial(progress.advance, task))
    average = mean(rows)
    report = {
        "weights": str(weights),
        "sha256": digest(Path(weights)),
        "sets": {name: _known(set_rows) for name, set_rows in rows.items()},
        "mean": _known(average),
        "machine": machine(),
    }
    for name, set_rows in {**rows, "mean": average}.items():
        _print(name, set_rows, console)
    if options.json:
        write_json(options.json, report)
    return report


def _read(path: Path) -> CocoVid:
    """A set; every object of SynthVID has a label, whether or not its file says so."""
    data = CocoVid(path)
    data.exhaustive = True
    return data


def evaluate(
    model: FAIM, data: CocoVid, on_frame: Callable[[], None]
) -> dict[str, dict[str, float]]:
    """Figures of all modes on one set, of one look at every frame."""
    runners = {
        (name, mode): ModeRunner(model, data, [mode], in_stream=by, in_global=by, post=post)
        for name, mode, by, post in rows_of(model)
    }
    runs = {row: runner.start() for row, runner in runners.items()}
    first = next(iter(runners.values()))
    for record in data.videos:
        video = first.look(record, on_frame)
        for row, runner in runners.items():
            runner.add(video, runs[row])
    return {name: figures(data, runs[name, mode][mode]) for name, mode in runners}


def rows_of(model: FAIM) -> list[tuple[str, Mode, VideoDetector, dict[Mode, VideoPost]]]:
    """Name, mode, what joins the frames, and post-processing of every row."""
    tubelets, repp = open_post("causal", None), open_post("repp", None)
    assert tubelets is not None
    assert repp is not None
    alone, exact = model.alone(), model.joined_by(ExactTicam(model.ticam, model.join))
    return [
        ("frame", "frame", alone, {}),
        ("stream", "stream", model, {}),
        (EXACT, "stream", exact, {}),
        ("global", "global", model, {}),
        (DEFAULT, "stream", model, {"stream": tubelets}),
        (TUBELETS, "stream", alone, {"stream": tubelets}),
        (REPP, "global", model, {"global": repp}),
        (REPP_ALONE, "global", alone, {"global": repp}),
    ]


def figures(data: CocoVid, found: ModeRun) -> dict[str, float]:
    """AP, stability and what a viewer sees, of one mode on one set."""
    every = {
        **vars(evaluate_ap(data, found.detections)),
        **vars(stability(data, found.detections)),
        **vars(viewer_figures(data, found.detections, found.others)),
    }
    return {name: every[name] for name in COLUMNS}


def mean(rows: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """The mean over the sets of every figure of every mode."""
    sets = list(rows.values())
    return {
        mode: {key: sum(s[mode][key] for s in sets) / len(sets) for key in sets[0][mode]}
        for mode in sets[0]
    }


def _known(rows: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The rows without the figures that are not known, as where no object ends."""
    return {
        mode: {key: value for key, value in values.items() if not math.isnan(value)}
        for mode, values in rows.items()
    }


def _print(title: str, rows: Mapping[str, Mapping[str, float]], console: Console) -> None:
    table = Table(title=title)
    table.add_column("")
    for name in COLUMNS.values():
        table.add_column(name, justify="right")
    for mode, values in rows.items():
        table.add_row(
            mode, *(number(value, 2 if "boxes" in key else 1) for key, value in values.items())
        )
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="annotation files")
    parser.add_argument("--weights", type=Path, help="FAIM checkpoint (the embedded one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
