"""What a plain COCO detector gains from video without training, beside what people use instead.

    pip install -c constraints.txt '.[compare]'
    python benchmarks/training_free.py --davis DAVIS --weights yolox_nano_coco.pth --size 416

Every frame passes the detector once, as it is and with motion blur (9, 15 or 21 pixels, in a random
direction, on half of the frames); all methods start from the same proposals. By default on the nine
sequences of `davis_coco.py`, AP50 on its six; with `--all` on all sequences of the folder that have
a COCO class in its `labels.json`, AP50 on those without unlabelled objects of the class.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torchvision.ops import box_iou

import faim
from faim.arguments import size, whole
from faim.data.coco_vid import CocoVid, VideoRecord, read_frame
from faim.data.converters.davis import convert_davis
from faim.errors import FaimError
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.classes import ClassMatch, OtherClasses
from faim.evaluation.stability import IOU_FOUND, SCORE_FOUND, stability
from faim.evaluation.viewer import viewer_figures
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.reading import read_json
from faim.runtime.pipeline import Detector
from faim.stream.frames import Image
from faim.stream.work import Looked
from faim.structures import Detections
from lab.davis import AP_SEQUENCES, SEQUENCES
from lab.looking import looked
from lab.subsets import with_videos
from studies.training_free.methods import Method, methods

BLUR_LENGTHS = (9, 15, 21)
KINDS = ("clean", "blurred")
#: Columns of the widest table, also where no terminal says how wide it is.
_WIDTH = 160


@dataclass
class Outcome:
    """What a method found: detections by image id, and seconds a frame of each video.

    `others` are those of classes that the dataset does not have.
    """

    detections: dict[int, Detections] = field(default_factory=dict)
    others: OtherClasses = field(default_factory=OtherClasses)
    seconds: list[float] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    try:
        run(_parser().parse_args(arguments))
    except FaimError as error:
        print(f"training_free: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Detect, compare, print the tables, and write the JSON file if one is asked for.

    Raises:
        FaimError: the weights or DAVIS are not as expected, or a package is missing.
    """
    console = Console(width=max(Console().width, _WIDTH))
    if options.json:
        check_writable(options.json)
    detector = faim.load(
        options.weights, aggregate="affinity", size=options.size, conf=0.001, device="cpu",
        backend="torch", threads=options.threads,
    )  # fmt: skip
    compared = methods(
        detector, options.past, ablation=options.ablation, trackers=not options.no_trackers
    )
    report: dict[str, Any] = {"weights": str(options.weights), "seed": options.seed}
    with tempfile.TemporaryDirectory() as folder:
        data, clean = read(options.davis, Path(folder), everything=options.all)
        for kind in KINDS:
            seed = options.seed if kind == "blurred" else None
            base, outcomes = compare(detector, data, compared, seed, console)
            report[kind] = {"base_ms": 1000 * base, "methods": figures(data, clean, outcomes, base)}
            _print(kind, report[kind], console)
    report["machine"] = machine()
    if options.json:
        write_json(options.json, report)
    return report


def read(root: Path, folder: Path, *, everything: bool) -> tuple[CocoVid, set[str]]:
    """The dataset, and the sequences that count for AP50; FaimError if something is missing."""
    if not everything:
        classes = sorted(set(SEQUENCES.values()))
        file = convert_davis(root, folder, classes=classes, sequences=SEQUENCES)
        return CocoVid(file), set(AP_SEQUENCES)
    labels = read_json(root / "labels.json")
    clean = {name for name, entry in labels.items() if entry.get("clean", True)}
    return CocoVid(convert_davis(root, folder)), clean


def compare(
    detector: Detector,
    data: CocoVid,
    compared: dict[str, Method],
    seed: int | None,
    console: Console,
) -> tuple[float, dict[str, Outcome]]:
    """The base detector's seconds a frame, and what every method made of its proposals."""
    classes = ClassMatch(detector.class_names, data)
    base: list[float] = []
    outcomes = {name: Outcome(others=OtherClasses(classes.others)) for name in compared}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("videos", total=len(data.videos))
        for video in data.videos:
            frames, seconds = look(detector, video, seed)
            base.append(seconds)
            for name, method in compared.items():
                _apply(method, video, frames, outcomes[name], classes)
            progress.advance(task)
    return median(base), outcomes


def look(detector: Detector, video: VideoRecord, seed: int | None) -> tuple[list[Looked], float]:
    """Every frame's proposals, and the seconds a frame that they took; `seed` is of the blur."""
    images = [read_frame(frame) for frame in video.frames]
    if seed is not None:
        random = np.random.default_rng([seed, video.video_id])
        images = [blur(image, random) if random.random() < 0.5 else image for image in images]
    started = time.perf_counter()
    found = list(looked(detector, images))
    return found, (time.perf_counter() - started) / len(images)


def blur(image: Image, random: np.random.Generator) -> Image:
    """Linear motion blur of random length and direction."""
    length = int(random.choice(BLUR_LENGTHS))
    angle, reach = random.uniform(0, np.pi), (length - 1) / 2
    kernel = np.zeros((length, length), np.float32)
    for step in np.linspace(-reach, reach, 8 * length):
        kernel[round(reach + step * np.sin(angle)), round(reach + step * np.cos(angle))] = 1
    kernel /= kernel.sum()
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE), np.uint8)


@torch.inference_mode()
def _apply(
    method: Method,
    video: VideoRecord,
    frames: list[Looked],
    outcome: Outcome,
    classes: ClassMatch,
) -> None:
    started = time.perf_counter()
    results = list(method(frames))
    outcome.seconds.append((time.perf_counter() - started) / len(frames))
    for record, found in zip(video.frames, results, strict=True):
        own, others = classes.split(found)
        outcome.detections[record.image_id] = own
        outcome.others.detections[record.image_id] = others


def figures(
    data: CocoVid, clean: set[str], outcomes: dict[str, Outcome], base: float
) -> dict[str, dict[str, Any]]:
    """Of every method; changes are against the first one, frame mode."""
    found: dict[str, dict[str, Any]] = {}
    first = next(iter(outcomes))
    for name, outcome in outcomes.items():
        shares = {
            video.name: stability(with_videos(data, [video]), outcome.detections).found_share
            for video in data.videos
        }
        all_of_it = stability(data, outcome.detections)
        shown = viewer_figures(data, outcome.detections, outcome.others)
        scored = with_videos(data, [video for video in data.videos if video.name in clean])
        there = {frame.image_id: outcome.detections[frame.image_id] for frame in scored.frames}
        ap = evaluate_ap(scored, there)
        before = found[first]["sequences"] if found else shares
        worst = min(shares, key=lambda key: shares[key] - before[key])
        more = median(outcome.seconds) - median(outcomes[first].seconds)
        found[name] = {
            "found_share": all_of_it.found_share,
            "flips_per_100": all_of_it.flips_per_100,
            "wrong_labels": shown.wrong_labels,
            "boxes_per_frame": shown.boxes_per_frame,
            "ap50": ap.ap50,
            "ap75": ap.ap75,
            "false_alarms": false_alarms(scored, there),
            "worst": shares[worst] - before[worst],
            "worst_sequence": worst,
            "more_ms": 1000 * more,
            "share_of_base": 100 * more / base,
            "sequences": shares,
        }
    return found


def false_alarms(data: CocoVid, detections: dict[int, Detections]) -> float:
    """A frame's detections of its object's class that count as found but are not the object."""
    count = 0
    for video in data.videos:
        label = next(a.category_id for frame in video.frames for a in frame.annotations)
        for frame in video.frames:
            found = detections[frame.image_id]
            shown = found.boxes[(found.scores >= SCORE_FOUND) & (found.class_ids == label)]
            count += len(shown)
            if len(shown) and frame.annotations:
                box = torch.tensor([frame.annotations[0].box], dtype=torch.float32)
                count -= int((box_iou(box, shown) >= IOU_FOUND).any())
    return count / len(data.frames)


def _print(kind: str, report: dict[str, Any], console: Console) -> None:
    table = Table(title=f"DAVIS 2016, {kind}; base detector {report['base_ms']:.1f} ms a frame")
    table.add_column("")
    shares = {
        "found_share": "found %",
        "flips_per_100": "flips / 100",
        "wrong_labels": "wrong labels %",
        "ap50": "AP50",
        "ap75": "AP75",
    }
    rest = ("boxes / frame", "false alarms", "worst", "ms", "% of base")
    for title in (*shares.values(), *rest):
        table.add_column(title, justify="right")
    for name, row in report["methods"].items():
        table.add_row(
            name,
            *(f"{row[key]:.1f}" for key in shares),
            f"{row['boxes_per_frame']:.2f}",
            f"{row['false_alarms']:.2f}",
            f"{row['worst']:+.1f} {row['worst_sequence']}" if row["worst"] else "0",
            f"{row['more_ms']:+.2f}",
            f"{row['share_of_base']:+.1f}",
        )
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True, help="folder of DAVIS 2016, 480p")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX .pth with COCO classes")
    parser.add_argument("--size", type=size, default=416, help="side of the network input (416)")
    parser.add_argument("--all", action="store_true", help="all sequences of labels.json")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the blur (0)")
    parser.add_argument("--past", type=whole(0), default=31, help="past frames of affinity (31)")
    parser.add_argument("--threads", type=whole(1), default=1, help="processor threads (1)")
    parser.add_argument("--ablation", action="store_true", help="each mechanism switched off")
    parser.add_argument("--no-trackers", action="store_true", help="without ByteTrack")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
