"""The second stage on a few real frames with masks: its losses must fall until they are fitted.

    python benchmarks/fit_davis.py --davis DAVIS --weights yolox_nano_coco.pth

The base detector, a COCO checkpoint, is frozen; the video modules start from random weights, the
video object branch from the base's classification branch. Every step is one of the chosen sequences
with the same m frames throughout.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from yolox.data.datasets import COCO_CLASSES

from faim.data.coco_vid import CocoVid
from faim.data.converters.davis import convert_davis
from faim.data.datasets import VideoDataset
from faim.errors import FaimError
from faim.families.yolox.faim import FAIM
from faim.families.yolox.starting_weights import starting_model
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.structures import VideoSample
from faim.training.experiment import FaimExperiment

#: Sequences of DAVIS 2016's training set, and the COCO class of their object.
SEQUENCES = {"bear": "bear", "car-turn": "car", "dog-agility": "dog"}
PARTS = ("refined", "mask", "total")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    try:
        run(_parser().parse_args(arguments))
    except FaimError as error:
        print(f"fit_davis: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> list[dict[str, float]]:
    """Train, print the losses on the way, and write the JSON file if one is asked for.

    Returns:
        One entry for every `options.every` steps: their number, and the mean of each loss since.

    Raises:
        FaimError: the weights or DAVIS are not as expected.
    """
    if options.json:
        check_writable(options.json)
    torch.manual_seed(options.seed)
    samples = read_samples(options.davis, options.frames, options.size, options.seed)
    experiment = FaimExperiment(variant="nano", ckpt=str(options.weights), seed=options.seed)
    model = starting_model(experiment, tuple(COCO_CLASSES)).train()
    assert isinstance(model, FAIM)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=options.lr, weight_decay=0)
    history: list[dict[str, float]] = []
    sums = dict.fromkeys(PARTS, 0.0)
    for step in range(1, options.steps + 1):
        losses = model.training_losses(samples[step % len(samples)])
        optimizer.zero_grad()
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        for part in PARTS:
            sums[part] += float(losses[part].detach()) / options.every
        if step % options.every == 0:
            history.append({"steps": step, **sums})
            sums = dict.fromkeys(PARTS, 0.0)
    _print(history)
    if options.json:
        write_json(options.json, {"history": history, "machine": machine()})
    return history


def read_samples(davis: Path, frames: int, size: int, seed: int) -> list[VideoSample]:
    """One fixed sample of `frames` frames a sequence, with masks, at (size, size)."""
    with tempfile.TemporaryDirectory() as folder:
        file = convert_davis(
            davis,
            Path(folder) / "davis.json",
            labels="coco",
            classes=tuple(COCO_CLASSES),
            sequences=SEQUENCES,
        )
        data = CocoVid(file)
        data.check(num_classes=len(COCO_CLASSES), masks_required=True)
        # Frames from the whole of a sequence, in order: the same at every step.
        data.videos = [
            replace(v, frames=v.frames[:: -(-len(v.frames) // frames)][:frames])
            for v in data.videos
        ]
        dataset = VideoDataset(data, frames, [size], seed=seed, flip=False)
        return [dataset[index] for index in range(len(dataset))]


def _print(history: Sequence[dict[str, float]]) -> None:
    table = Table(title="second stage on three DAVIS sequences")
    for name in ("steps", *PARTS):
        table.add_column(name, justify="right")
    for entry in history:
        table.add_row(f"{entry['steps']:.0f}", *(f"{entry[part]:.3f}" for part in PARTS))
    Console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS 2016's training sequences")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX-Nano of COCO")
    parser.add_argument("--frames", type=int, default=8, help="m (8)")
    parser.add_argument("--size", type=int, default=416, help="side of the network input (416)")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--every", type=int, default=30, help="steps a line of the table (30)")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
