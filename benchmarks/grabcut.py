"""Time of a mask by `faim masks --method grabcut`, against GrabCut on whole frames.

    python benchmarks/grabcut.py --json outputs/grabcut.json

Makes masks for 1,000 frames of 640x640 (as many pixels as 854x480) with 3 boxes each, in 2
processes, from reading the file to writing it. A sample of the boxes is then cut in turns on their
crops and on whole frames, the naive way, with as many iterations and the box as the seed.
`--data ANN.json` takes frames and boxes of a CocoVID file instead. J is against its masks, if all
boxes of the sample have one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from faim.arguments import path, whole
from faim.data.coco_vid import CocoVid, read_frame, read_mask
from faim.data.jaccard import jaccard
from faim.data.synth import generate
from faim.errors import FaimError
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.masks.box import pixels_of
from faim.masks.grabcut import GrabCutMasks
from faim.masks.protocol import Boxes, Image, Mask
from faim.masks.run import MaskRequest, run_masks
from faim.reading import read_json

BOXES = 3
SIDE = 640
#: Videos that are made, and frames a video; more frames name the same images again.
VIDEOS, LENGTH = 5, 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=path, metavar="ANN.json", help="CocoVID file (SynthVID)")
    parser.add_argument("--frames", type=whole(1), default=1000, help="without --data (1000)")
    parser.add_argument("--workers", type=whole(1), default=2, help="processes (2)")
    parser.add_argument("--sample", type=whole(1), default=60, help="boxes cut both ways (60)")
    parser.add_argument("--side", type=whole(64), default=SIDE, help="of the frames (640)")
    parser.add_argument("--json", type=path, metavar="FILE")
    try:
        run(parser.parse_args(arguments))
    except FaimError as error:
        print(f"grabcut: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, and write JSON if asked for."""
    if options.json:
        check_writable(options.json)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="faim-grabcut-") as folder:
        data = options.data or make_data(Path(folder), options.frames, options.side)
        out = Path(folder) / "masks.json"
        started = time.perf_counter()
        request = MaskRequest(
            data, out, GrabCutMasks(), workers=options.workers, existing="replace"
        )
        masks = run_masks(request, console).sources.total()
        seconds = time.perf_counter() - started
        sample = compare(data, options.sample)
    figures = {
        "masks": masks,
        "workers": options.workers,
        "seconds": seconds,
        "ms_a_mask": 1000 * seconds / masks,
        "process_ms_a_mask": 1000 * seconds / masks * options.workers,
        **sample,
        "machine": machine(),
    }
    _print(figures, console)
    if options.json:
        write_json(options.json, figures)
    return figures


def make_data(folder: Path, frames: int, side: int) -> Path:
    """A CocoVID file of this many frames with `BOXES` boxes each; few images, named again."""
    made = generate(
        folder / "synth",
        videos=VIDEOS,
        frames=LENGTH,
        size=side,
        classes=8,
        severity="hard",
        seed=0,
    )
    content = read_json(made)
    boxes: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for entry in content["annotations"]:
        boxes[entry["image_id"]].append(entry)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(islice(cycle(content["images"]), frames), 1):
        place = {"video_id": (number - 1) // LENGTH + 1, "frame_id": (number - 1) % LENGTH}
        images.append({**image, **place, "id": number})
        for entry in islice(cycle(boxes[image["id"]]), BOXES):
            ids = {"id": len(annotations) + 1, "image_id": number, "instance_id": -1}
            annotations.append({**entry, **ids})
    videos = [{"id": k + 1, "name": f"{k}"} for k in range((frames - 1) // LENGTH + 1)]
    path = made.parent / "many.json"
    lists = {"videos": videos, "images": images, "annotations": annotations}
    path.write_text(json.dumps({**content, **lists}))
    return path


def compare(data: Path, count: int) -> dict[str, Any]:
    """Milliseconds a mask on crops and on whole frames, one process, and J where it is known."""
    frames = [frame for frame in CocoVid(data).frames if frame.annotations]
    pairs = [(frame, annotation) for frame in frames for annotation in frame.annotations]
    pairs = pairs[:: max(len(pairs) // count, 1)][:count]
    method = GrabCutMasks()
    cuts: list[Callable[[Image, Boxes], Mask | None]] = [
        method.mask,
        partial(naive, iterations=method.iterations),
    ]
    seconds, overlaps = [0.0, 0.0], [0.0, 0.0]
    for frame, annotation in pairs:
        image, box = read_frame(frame), np.array(annotation.box)
        for place, cut in enumerate(cuts):
            started = time.perf_counter()
            mask = cut(image, box)
            seconds[place] += time.perf_counter() - started
            if mask is not None and annotation.segmentation:
                truth = read_mask(annotation, frame.height, frame.width)
                overlaps[place] += jaccard(mask, truth)
    crop, whole_frame = (1000 * value / len(pairs) for value in seconds)
    known = all(annotation.segmentation for _, annotation in pairs)
    return {
        "sample": len(pairs),
        "crop_ms": crop,
        "whole_frame_ms": whole_frame,
        "times_faster": whole_frame / crop,
        "crop_j": overlaps[0] / len(pairs) if known else None,
        "whole_frame_j": overlaps[1] / len(pairs) if known else None,
    }


def naive(image: Image, box: Boxes, iterations: int) -> Mask:
    """GrabCut on the whole frame, seeded by the box alone, as OpenCV's own example does it."""
    x1, y1, x2, y2 = pixels_of(box, image.shape[:2])
    labels = np.zeros(image.shape[:2], np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    rectangle = (x1, y1, x2 - x1, y2 - y1)
    cv2.grabCut(image, labels, rectangle, *models, iterations, cv2.GC_INIT_WITH_RECT)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _print(figures: dict[str, Any], console: Console) -> None:
    made = f"{figures['masks']} masks in {figures['seconds']:.1f} s, {figures['workers']} processes"
    table = Table(title=f"{made}: {figures['ms_a_mask']:.1f} ms a mask")
    for name in ("one process", "ms a mask", "J"):
        table.add_column(name, justify="left" if name == "one process" else "right")
    for name, key in (("crop", "crop"), ("whole frame", "whole_frame")):
        overlap = figures[f"{key}_j"]
        shown = "" if overlap is None else f"{100 * overlap:.1f}"
        table.add_row(name, f"{figures[f'{key}_ms']:.1f}", shown)
    console.print(table)
    console.print(f"{figures['times_faster']:.1f} times faster ({figures['sample']} boxes)")


if __name__ == "__main__":
    sys.exit(main())
