"""The whole path on real video: convert, two stages of training, evaluation and report, on DAVIS.

    python benchmarks/davis_path.py --train DAVIS_TRAIN --val DAVIS --weights yolox_nano_coco.pth \
        --out outputs/davis_path

Trains on the sequences of DAVIS 2016's training set that have a COCO class, and scores on those of
its validation set whose class is among them and without unlabelled company. This shows that the
path works on real data. It does not rank methods: one seed, a few minutes of training, few objects.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from faim.cli import main as faim
from faim.data.coco_vid import CocoVid
from faim.data.converters.davis import convert_davis
from faim.errors import FaimError
from faim.reading import read_json

#: The two methods of the second stage: experiment and what differs from it.
METHODS = {"yolov": "exps/yolov_nano.py", "faim": "exps/faim_nano.py"}
SECOND_STAGE = (
    "frame_stride=1 optimizer=adamw basic_lr_per_img=3e-5 batch_size=2 warmup_iters=20 grad_clip=5 "
    "ema_decay=0.99 ema_ramp=50 model.max_mask_rois=16 cache=True model.join=replace"
)
#: Steps so small that the COCO weights stay nearly what they are: the second stage is compared.
FIRST_STAGE = (
    "multiscale_range=0 optimizer=adamw basic_lr_per_img=1e-7 batch_size=8 grad_clip=5 "
    "ema_decay=0.99 ema_ramp=50 freeze_norm=True"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the path; exit status 2 after wrong input."""
    options = _parser().parse_args(arguments)
    try:
        convert(options.train, options.val, options.out)
        for line in commands(options):
            _run(line)
    except FaimError as error:
        print(f"davis_path: {error}", file=sys.stderr)
        return 2
    return 0


def convert(train: Path, val: Path, out: Path) -> None:
    """Write `train.json` and `val.json`, with the same classes."""
    convert_davis(train, out / "train.json", labels="coco")
    classes = CocoVid(out / "train.json").classes
    entries = read_json(val / "labels.json").items()
    shared = {name: e["coco"] for name, e in entries if e["coco"] in classes and e["clean"]}
    convert_davis(val, out / "val.json", sequences=shared)


def commands(options: argparse.Namespace) -> list[str]:
    """The command lines, in order."""
    out, side = options.out, options.size
    common = (
        f"workers=1 accelerator=cpu seed={options.seed} --overwrite model.test_size=({side},{side})"
    )
    lines = [
        f"train -f exps/yolox_nano_vid.py -c {options.weights} --data {out}/train.json "
        f"-o {out}/base "
        f"{common} {FIRST_STAGE} input_size=({side},{side}) frame_stride={options.stride} "
        "max_epochs=1 no_aug_epochs=1"
    ]
    for name, experiment in METHODS.items():
        lines.append(
            f"train -f {experiment} -c {out}/base/weights.safetensors --data {out}/train.json "
            f"-o {out}/{name} {common} {SECOND_STAGE} sizes=({side},) "
            f"model.train_frames={options.frames} max_epochs={options.epochs}"
        )
    runs = []
    for name in METHODS:
        for post in ("none", "repp"):
            runs.append(f"{out}/eval_{name}" + ("" if post == "none" else f"_{post}"))
            lines.append(
                f"eval -c {out}/{name}/weights.safetensors --data {out}/val.json --size {side} "
                f"--post {post} --out {runs[-1]}"
            )
    lines.append(f"report {' '.join(runs)} --out {out}/report.html")
    return lines


def _run(line: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"$ faim {line}", markup=False)
    started = time.monotonic()
    if status := faim(shlex.split(line)):
        raise FaimError(f"faim {line.split()[0]}: exit status {status}; expected 0")
    console.print(f"({time.monotonic() - started:.0f} s)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="DAVIS 2016's training set")
    parser.add_argument("--val", type=Path, required=True, help="its validation set")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX-Nano of COCO")
    parser.add_argument("--out", type=Path, default=Path("outputs/davis_path"))
    parser.add_argument("--size", type=int, default=288, help="side of the network input (288)")
    parser.add_argument("--stride", type=int, default=4, help="of frames in the first stage (4)")
    parser.add_argument("--epochs", type=int, default=8, help="of the second stage (8)")
    parser.add_argument("--frames", type=int, default=8, help="m in training (8)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
