"""Options of `faim predict`."""

from __future__ import annotations

import argparse
from pathlib import Path

from faim.arguments import (
    add_backend_options,
    add_bank_options,
    add_network_options,
    share,
    whole,
)
from faim.outputs import add_input, add_output, source_files
from faim.postprocess.options import add_post_options


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
        help="faim checkpoint, YOLOX or YOLOV .pth, exported folder, or a name that faim weights "
        "lists, such as yolox_s (default: the embedded FAIM-Nano)",
    )
    parser.add_argument("--mode", choices=("stream", "global", "frame"), default="stream")
    add_network_options(parser)
    add_backend_options(parser)
    parser.add_argument("--conf", type=share, default=0.3, help="score threshold (0.3)")
    add_output(
        parser,
        "--jsonl",
        writes=_one_a_source,
        metavar="FILE",
        help="write JSON lines; - is stdout",
    )
    add_output(
        parser,
        "--save-video",
        writes=_one_a_source,
        type=Path,
        metavar="FILE",
        help="write an annotated MP4",
    )
    parser.add_argument("--show", action="store_true", help="show a window")
    add_bank_options(parser)
    add_post_options(parser)
    parser.add_argument("--limit", type=whole(1), metavar="N", help="stop after N frames")
    parser.set_defaults(run=run)


def _one_a_source(path: str | Path | None, parsed: argparse.Namespace) -> list[Path]:
    from faim.runtime.outputs import output_names

    if str(path) == "-":
        return []
    return [Path(name) for name in output_names(path, len(parsed.source))]


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
            jsonl=parsed.jsonl,
            save_video=parsed.save_video,
            show=parsed.show,
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
        )
    )
    return summary.status
