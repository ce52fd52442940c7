"""Options of `faim predict`."""

from __future__ import annotations

import argparse

from faim.arguments import (
    add_backend_options,
    add_bank_options,
    add_network_options,
    share,
)
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
        help="video file, folder of images, glob, webcam index, or stream URL; several are looked "
        "at together",
    )
    parser.add_argument(
        "--weights",
        help="faim checkpoint, YOLOX or YOLOV .pth, or exported folder (default: the embedded "
        "FAIM-Nano)",
    )
    parser.add_argument("--mode", choices=("stream", "global", "frame"), default="stream")
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
    from loguru import logger

    from faim.runtime.predict import PredictOptions, run_predict
    from faim.weights import default_weights

    if parsed.weights is None:
        logger.info(
            "no --weights: the embedded FAIM-Nano knows synthetic patterns, not real things"
        )
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
        )
    )
    return summary.status
