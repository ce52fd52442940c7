"""The options of `faim export`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import get_args

from faim.arguments import path
from faim.choices import LONGEST_SIDE, MOST_BATCH, Aggregate
from faim.errors import FaimError
from faim.export.request import (
    CALIBRATION_FRAMES,
    MOST_CALIBRATION_FRAMES,
    ExportOptions,
    Format,
    Precision,
)
from faim.outputs import add_input, add_output, source_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `faim export` to a parser, and `run`."""
    parser.add_argument(
        "-c",
        "--ckpt",
        "--weights",
        dest="weights",
        help="faim checkpoint, YOLOX or YOLOV .pth, or a name of faim weights (default: the "
        "embedded FAIM-Nano)",
    )
    parser.add_argument("--format", choices=get_args(Format), required=True)
    add_output(parser, "--out", type=path, required=True, help="folder to write")
    parser.add_argument("--size", help="network input: an integer, or HxW (the model's own)")
    parser.add_argument("--batch", default="1", metavar="N", help="images at once, or dynamic (1)")
    parser.add_argument(
        "--dynamic-size", action="store_true", help="leave height and width of the input open"
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="of the weights (fp32; fp16 for tensorrt); int8 is for openvino",
    )
    parser.add_argument("--aggregate", choices=get_args(Aggregate), default="auto")
    parser.add_argument(
        "--no-parity", dest="parity", action="store_false", help="do not compare with PyTorch"
    )
    int8 = parser.add_argument_group("int8")
    add_input(
        int8,
        "--calibration",
        reads=source_files,
        nargs="+",
        default=(),
        metavar="VIDEO",
        help="videos, folders or globs to calibrate",
    )
    int8.add_argument(
        "--calibration-frames",
        default=str(CALIBRATION_FRAMES),
        metavar="N",
        help=f"at most so many of its frames ({CALIBRATION_FRAMES})",
    )
    int8.add_argument(
        "--data",
        type=Path,
        metavar="ANN",
        help="CocoVID annotations to measure the loss on (default: frames of the calibration)",
    )
    engines = parser.add_argument_group("tensorrt")
    engines.add_argument(
        "--compute-capability",
        nargs="+",
        default=(),
        metavar="N.N",
        help="build ahead of time for such GPUs, as 7.5 8.6 (default: for the GPU of this machine)",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim export`."""
    from faim.export.run import run_export

    run_export(read_options(parsed))
    return 0


def read_options(parsed: argparse.Namespace) -> ExportOptions:
    """The options of a command line, validated.

    Raises:
        FaimError: see `ExportOptions`; or a number that is none.
    """
    from faim.weights import default_weights

    dynamic = parsed.batch == "dynamic"
    return ExportOptions(
        weights=parsed.weights or default_weights(),
        format=parsed.format,
        out=parsed.out,
        size=_size(parsed.size) if parsed.size else None,
        batch=None if dynamic else _whole("--batch", parsed.batch, MOST_BATCH, ", or dynamic"),
        dynamic_size=parsed.dynamic_size,
        precision=parsed.precision,
        aggregate=parsed.aggregate,
        calibration=tuple(parsed.calibration),
        calibration_frames=_whole(
            "--calibration-frames", parsed.calibration_frames, MOST_CALIBRATION_FRAMES
        ),
        data=parsed.data,
        compute_capabilities=tuple(dict.fromkeys(parsed.compute_capability)),
        parity=parsed.parity,
    )


def _size(text: str) -> tuple[int, int]:
    from faim.checks import is_side  # which takes numpy along

    sides = re.fullmatch(r"(\d+)(?:[xX](\d+))?", text)
    found = () if sides is None else (int(sides[1]), int(sides[2] or sides[1]))
    if len(found) != 2 or not all(map(is_side, found)):
        raise FaimError(
            f"--size: {text!r} given; expected a multiple of 32, or HxW, each a multiple of 32, up "
            f"to {LONGEST_SIDE}"
        )
    return found


def _whole(option: str, text: str, most: int, otherwise: str = "") -> int:
    value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if not 1 <= value <= most:
        raise FaimError(
            f"{option}: {text!r} given; expected a whole number from 1 to {most}{otherwise}"
        )
    return value
