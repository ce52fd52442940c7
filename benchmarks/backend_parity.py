"""How far detections of other backends and precisions are from torch in float32, on real frames.

    python benchmarks/backend_parity.py --davis DAVIS --weights yolox_nano_coco.pth \
        openvino:fp32 openvino:bf16 onnxruntime:auto torch:fp16

50 frames spread over the sequences, each by itself (mode frame): what is compared is the network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torchvision.ops import box_iou

import faim
from faim.arguments import size
from faim.errors import FaimError
from faim.runtime.results import FrameResult
from faim.runtime.sources import open_source
from faim.stream.frames import Image

FRAMES = 50
SHOWN = 0.3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tried", nargs="+", metavar="BACKEND:PRECISION")
    parser.add_argument("--davis", type=Path, required=True, help="folder with JPEGImages")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--size", type=size)
    try:
        run(parser.parse_args(arguments))
    except FaimError as error:
        print(f"backend_parity: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Detect with each and print the table."""
    frames = read_frames(options.davis)
    reference, _, scale = detect(options, frames, "torch:fp32")
    table = Table(title=f"{Path(options.weights).name}, {FRAMES} frames, scores from {SHOWN}")
    for name in ("backend", "detections", "no counterpart", "score: p50", "p95", "max",
                 "box, pixels of the network input: p50", "p95", "max"):  # fmt: skip
        table.add_column(name, justify="right" if name != "backend" else "left")
    for tried in options.tried:
        found, name, _ = detect(options, frames, tried)
        pairs = [
            pair
            for one, other in zip(reference, found, strict=True)
            for pair in differences(one, other)
        ]
        matched = np.array([pair for pair in pairs if pair is not None]).reshape(-1, 2)
        scores = np.percentile(matched[:, 0], [50, 95, 100])
        boxes = np.percentile(matched[:, 1] / scale, [50, 95, 100])
        table.add_row(
            name,
            str(len(pairs)),
            str(len(pairs) - len(matched)),
            *(f"{value:.4f}" for value in scores),
            *(f"{value:.2f}" for value in boxes),
        )
    Console().print(table)


def read_frames(root: Path) -> list[Image]:
    """Frames spread over the sequences."""
    folders = sorted({path.parent for path in (root / "JPEGImages").rglob("*.jpg")})
    if not folders:
        raise FaimError(f"{root}: no JPEGImages in it; expected a DAVIS folder")
    share = -(-FRAMES // len(folders))
    frames: list[Image] = []
    for folder in folders:
        frames += [frame.image for frame in islice(open_source(folder), 0, 10 * share, 10)]
    return frames[:FRAMES]


def detect(
    options: argparse.Namespace, frames: list[Image], tried: str
) -> tuple[list[FrameResult], str, float]:
    """Detections, the backend's name, and source pixels a pixel of the network input."""
    backend, _, precision = tried.partition(":")
    detector = faim.load(
        options.weights,
        aggregate="none",
        size=options.size,
        conf=SHOWN - 0.1,
        backend=backend,  # type: ignore[arg-type]
        precision=precision or "auto",  # type: ignore[arg-type]
    )
    scale = max(frames[0].shape[0] / detector.size[0], frames[0].shape[1] / detector.size[1])
    return detector.predict(frames, "frame"), detector.backend, scale


def differences(reference: FrameResult, found: FrameResult) -> list[tuple[float, float] | None]:
    """Of every reference detection, how far its counterpart's score and box are off."""
    pairs: list[tuple[float, float] | None] = []
    for box, score, label in zip(
        reference.xyxy, reference.confidence, reference.class_id, strict=True
    ):
        if score < SHOWN:
            continue
        same = np.flatnonzero(found.class_id == label)
        overlaps = box_iou(torch.from_numpy(box[None]), torch.from_numpy(found.xyxy[same]))[0]
        if not len(same) or float(overlaps.max()) < 0.5:
            pairs.append(None)
            continue
        match = same[int(overlaps.argmax())]
        off = abs(float(found.confidence[match] - score))
        pairs.append((off, float(np.abs(found.xyxy[match] - box).max())))
    return pairs


if __name__ == "__main__":
    sys.exit(main())
