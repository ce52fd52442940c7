"""Options of `faim predict`."""

from __future__ import annotations

import argparse
from typing import get_args

from faim.arguments import (
    add_backend_options,
    add_bank_options,
    add_network_options,
    share,
)
from faim.choices import ModeName
from faim.outputs import add_input, source_files
from faim.postprocess.options import add_post_options
from faim.runtime.output_options import add_output_options, chosen_outputs
from faim.runtime.selection_options import add_selection_options


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
    parser.add_argument(
        "--keep-audio",
        action="store_true",
        help="give the video of --save-video the sound of its source, a video file",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim predict`."""
    from faim.runtime.predict import PredictOptions, run_predict
    from faim.weights import default_weights

    summary = run_predict(
        PredictOptions(
            source=tuple(parsed.source),
            weights=parsed.weights or default_weights(),
            mode=parsed.mode,
            aggregate=parsed.aggregate,
            size=parsed.size,
            conf=parsed.conf,
            device=parsed.device,
            backend=parsed.backend,
            precision=parsed.precision,
            threads=parsed.threads,
            compile=parsed.compile,
            bank_frames=parsed.bank,
            bank_policy=parsed.bank_policy,
            scene_cuts=parsed.scene_cuts,
            post=parsed.post,
            post_model=parsed.post_model,
            limit=parsed.limit,
            **chosen_outputs(parsed),
            classes=parsed.classes,
            iou=parsed.iou,
            max_det=parsed.max_det,
            agnostic=parsed.agnostic,
            roi=parsed.roi,
            batch=parsed.batch,
            stride=parsed.stride,
            start=parsed.start,
            end=parsed.end,
            keep_audio=parsed.keep_audio,
        )
    )
    return summary.status
