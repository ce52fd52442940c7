"""Time and memory of an evaluation: python benchmarks/evaluation_10k.py --ann FILE.

Detections are made of the ground truth: of every object several boxes moved and scaled at random,
some of them in a wrong class. Images without `videos` become videos by the
folders of their file names, in the order of the names' last numbers.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from faim.arguments import whole
from faim.data.coco_vid import CocoVid, FrameRecord, VideoRecord
from faim.errors import FaimError
from faim.evaluation.figures import as_dictionary, measure
from faim.evaluation.report import missing_parts, print_modes
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.structures import Detections

#: Standard deviation of centre and size, in shares of the object's sides.
NOISE = 0.1
WRONG_CLASS = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ann", type=Path, required=True, metavar="FILE")
    parser.add_argument("--per-object", type=whole(1), default=5, help="detections an object (5)")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    try:
        run(parser.parse_args(arguments))
    except FaimError as error:
        print(f"evaluation_10k: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Read, perturb, measure, and print how long each took."""
    if options.json:
        check_writable(options.json)
    console = Console()
    started = time.perf_counter()
    data = with_videos(CocoVid(options.ann))
    read = time.perf_counter()
    detections = perturbed(data, options.per_object, options.seed)
    made = time.perf_counter()
    figures = {"file": measure(data, detections)}
    measured = time.perf_counter()
    number = sum(len(found.scores) for found in detections.values())
    caption = f"{len(data.frames)} frames, {len(data.videos)} videos, {number} detections"
    print_modes(figures, options.ann.name, caption, console)
    for note in missing_parts(figures):
        console.print(note)
    seconds = {"read": read - started, "perturb": made - read, "measure": measured - made}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    console.print(", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()))
    console.print(f"peak resident memory {peak:.2f} GB")
    if options.json:
        content = {"seconds": seconds, "peak_gb": peak, "machine": machine()}
        write_json(options.json, {**content, "modes": as_dictionary(figures)})


def with_videos(data: CocoVid) -> CocoVid:
    """The same dataset, its single images joined to videos by their folders."""
    if any(len(video.frames) > 1 for video in data.videos):
        return data
    folders: dict[Path, list[FrameRecord]] = {}
    for frame in data.frames:
        numbers = re.findall(r"\d+", frame.path.stem)
        placed = replace(frame, frame_id=int(numbers[-1]) if numbers else 0)
        folders.setdefault(frame.path.parent, []).append(placed)
    data.videos = [
        VideoRecord(number, folder.name, tuple(sorted(frames, key=lambda frame: frame.frame_id)))
        for number, (folder, frames) in enumerate(folders.items())
    ]
    return data


def perturbed(data: CocoVid, per_object: int, seed: int) -> dict[int, Detections]:
    """Detections of every image, from one random generator."""
    random = np.random.default_rng(seed)
    found = {}
    for frame in data.frames:
        boxes = np.array([a.box for a in frame.annotations]).reshape(-1, 4).repeat(per_object, 0)
        labels = np.array([a.category_id for a in frame.annotations], np.int64).repeat(per_object)
        sides = boxes[:, 2:] - boxes[:, :2]
        centres = (boxes[:, 2:] + boxes[:, :2]) / 2 + NOISE * sides * random.normal(
            size=sides.shape
        )
        sides = sides * np.exp(NOISE * random.normal(size=sides.shape))
        confused = random.random(len(labels)) < WRONG_CLASS
        labels[confused] = random.integers(0, len(data.classes), int(confused.sum()))
        found[frame.image_id] = Detections(
            torch.from_numpy(np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)),
            torch.from_numpy(random.random(len(labels))),
            torch.from_numpy(labels),
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
