"""A COCO detector on real video: DAVIS 2016, in the modes frame and stream.

    python benchmarks/davis_coco.py --davis DAVIS --weights yolox_nano_coco.pth --size 416

DAVIS is the folder with `JPEGImages/480p` and `Annotations/480p`. Every sequence has one annotated
object, the tight box of its mask. The share of frames in which it is found and its flips are taken
over nine sequences. AP50, the mean over classes, is taken over the six of them in which no other
object of the class stands unlabelled. It is given twice: with each class scored on the frames of
all six sequences, as COCO does it, and with each class on the frames of its own sequences alone,
where a detection in another sequence is no mistake.

`--nms agnostic` selects proposals as some single-stage pipelines do: plain NMS in the order of
objectness, one box for a place whatever its class. The base detector is the worse for it, and the
aggregation has more to repair.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from faim.checks import check_size
from faim.data.coco_vid import CocoVid, VideoRecord
from faim.data.converters.davis import convert_davis
from faim.errors import FaimError
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.modes import Mode, ModeRun, ModeRunner
from faim.evaluation.report import number
from faim.evaluation.stability import stability
from faim.evaluation.viewer import viewer_figures
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.fspm import FSPM
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.structures import Detections, RawPredictions
from lab.davis import AP_SEQUENCES, SEQUENCES
from lab.subsets import with_videos

MODES: tuple[Mode, ...] = ("frame", "stream")


class AgnosticFSPM(FSPM):
    """FSPM with NMS across classes, in the order of objectness."""

    def ranking(self, raw: RawPredictions) -> tuple[Tensor, Tensor]:
        """See `FSPM.ranking`."""
        return raw.objectness, torch.zeros_like(raw.objectness, dtype=torch.long)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    try:
        run(_parser().parse_args(arguments))
    except FaimError as error:
        print(f"davis_coco: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Evaluate, print the tables, and write the JSON file if one is asked for.

    Raises:
        FaimError: the weights or DAVIS are not as expected.
    """
    console = Console()
    if options.json:
        check_writable(options.json)
    model = load_model(options.weights, aggregate="affinity")
    if options.nms == "agnostic":
        config = model.config
        model.fspm = AgnosticFSPM(config.top_k, config.num_proposals, nms_test=config.nms_test)
        model.eval()
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as progress:
        data = read_davis(options.davis, Path(folder), options.sequences)
        runner = ModeRunner(
            model, data, MODES, size=check_size(options.size), past=options.past, policy="recent"
        )
        task = progress.add_task("frames", total=len(data.frames))
        runs = runner.run(lambda: progress.advance(task))
    report: dict[str, Any] = {
        "weights": str(options.weights),
        "size": options.size,
        "past": options.past,
        "nms": options.nms,
        "modes": {mode: figures(data, runs[mode]) for mode in MODES},
        "machine": machine(),
    }
    _print(report["modes"], console)
    if options.json:
        write_json(options.json, report)
    return report


def read_davis(root: Path, folder: Path, sequences: Iterable[str]) -> CocoVid:
    """The sequences as a dataset; its JSON file is written to `folder`, images stay in place.

    Raises:
        FaimError: a frame or mask is missing.
    """
    chosen = {name: SEQUENCES[name] for name in sequences}
    classes = sorted(set(SEQUENCES.values()))
    return CocoVid(convert_davis(root, folder, classes=classes, sequences=chosen))


def figures(data: CocoVid, run: ModeRun) -> dict[str, Any]:
    """One mode's figures; AP is None where none of its sequences was run."""
    by_sequence = {
        video.name: stability(with_videos(data, [video]), run.detections) for video in data.videos
    }
    everything = stability(data, run.detections)
    shown = viewer_figures(data, run.detections, run.others)
    chosen = [video for video in data.videos if video.name in AP_SEQUENCES]
    pooled = _ap50(data, chosen, run.detections) if chosen else {}
    own: dict[str, float] = {}
    for name in pooled:
        videos = [video for video in chosen if SEQUENCES[video.name] == name]
        own[name] = _ap50(data, videos, run.detections)[name]
    objects = [
        (video.video_id, annotation.instance_id)
        for video in data.videos
        for frame in video.frames
        for annotation in frame.annotations
    ]
    transitions = len(objects) - len(set(objects))
    return {
        "found_share": everything.found_share,
        "flips_per_100": everything.flips_per_100,
        "flips_per_100_frames": everything.flips_per_100 * transitions / len(objects),
        "wrong_labels": shown.wrong_labels,
        "boxes_per_frame": shown.boxes_per_frame,
        "ap50": _mean(pooled),
        "ap50_own_frames": _mean(own),
        "ap50_per_class": pooled,
        "ap50_own_frames_per_class": own,
        "ms_per_frame": run.ms,
        "sequences": {
            name: {"found_share": s.found_share, "flips_per_100": s.flips_per_100}
            for name, s in by_sequence.items()
        },
    }


def _ap50(
    data: CocoVid, videos: list[VideoRecord], detections: Mapping[int, Detections]
) -> dict[str, float]:
    part = with_videos(data, videos)
    there = {frame.image_id: detections[frame.image_id] for frame in part.frames}
    return {name: levels.ap50 for name, levels in evaluate_ap(part, there).per_class.items()}


def _mean(values: Mapping[str, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _print(modes: Mapping[str, Mapping[str, Any]], console: Console) -> None:
    table = Table(title="DAVIS 2016, COCO classes")
    table.add_column("")
    for mode in modes:
        table.add_column(mode, justify="right")
    rows = {
        "found_share": "found %",
        "flips_per_100": "flips / 100 transitions",
        "flips_per_100_frames": "flips / 100 frames",
        "wrong_labels": "wrong labels %",
        "boxes_per_frame": "boxes / frame",
        "ap50": "AP50",
        "ap50_own_frames": "AP50, each class on its own frames",
        "ms_per_frame": "ms a frame",
    }
    for key, title in rows.items():
        values = (modes[mode][key] for mode in modes)
        decimals = 2 if key == "boxes_per_frame" else 1
        table.add_row(title, *("-" if v is None else number(v, decimals) for v in values))
    console.print(table)
    detail = Table(title="found % (flips / 100 transitions)")
    detail.add_column("sequence")
    for mode in modes:
        detail.add_column(mode, justify="right")
    for name in modes["frame"]["sequences"]:
        cells = (modes[mode]["sequences"][name] for mode in modes)
        detail.add_row(
            name,
            *(f"{number(c['found_share'])} ({number(c['flips_per_100'])})" for c in cells),
        )
    console.print(detail)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True, help="folder of DAVIS 2016, 480p")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX .pth with COCO classes")
    parser.add_argument("--size", type=int, default=416, help="side of the network input (416)")
    parser.add_argument("--past", type=int, default=31, help="past frames of a stream (31)")
    parser.add_argument(
        "--nms", choices=("class", "agnostic"), default="class", help="selection of proposals"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument(
        "--sequences", nargs="+", choices=SEQUENCES, default=list(SEQUENCES), help="all by default"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
