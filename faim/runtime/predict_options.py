"""Options of `faim predict`."""

from __future__ import annotations

import argparse
from typing import get_args

from faim.arguments import (
    add_backend_options,
    add_bank_options,
    add_network_options,
    backend_options,
    memory_options,
    share,
)
from faim.choices import ModeName
from faim.outputs import add_input, source_files
from faim.postprocess.options import add_post_options, post_options
from faim.runtime.output_options import add_output_options, output_options
from faim.runtime.selection_options import add_selection_options, excerpt_options, selection_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    add_input(
        parser,
        "source",
        reads=source_files,
        nargs="+",
        help="video file, folder of images or of videos, quoted glob, images, webcam index, stream "
        "URL, or - for standard input; any number of them",
    )
    parser.add_argument(
        "--weights",
        help="faim checkpoint, YOLOX or YOLOV .pth, exported folder, or a name that faim weights "
        "lists, such as yolox_s (default: the embedded FAIM-Nano)",
    )
    parser.add_argument(
        "--mode",
        choices=get_args(ModeName),
        default="auto",
        help="auto: stream for live sources and to watch, whole files with REPP for files",
    )
    add_network_options(parser)
    add_backend_options(parser)
    parser.add_argument("--conf", type=share, default=0.3, help="score threshold (0.3)")
    add_output_options(parser)
    add_bank_options(parser)
    add_post_options(parser)
    add_selection_options(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim predict`."""
    from faim.runtime.predict import PredictOptions
    from faim.runtime.predict_terminal import predict_in_terminal
    from faim.weights import default_weights

    summary = predict_in_terminal(
        PredictOptions(
            source=tuple(parsed.source),
            weights=parsed.weights or default_weights(),
            mode=parsed.mode,
            aggregate=parsed.aggregate,
            size=parsed.size,
            conf=parsed.conf,
            batch=parsed.batch,
            backend=backend_options(parsed),
            memory=memory_options(parsed),
            post=post_options(parsed),
            selection=selection_options(parsed),
            excerpt=excerpt_options(parsed),
            outputs=output_options(parsed),
        )
    )
    return summary.status
