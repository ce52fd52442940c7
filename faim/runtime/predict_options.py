"""Options of `faim predict`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from faim.arguments import (
    add_backend_options,
    add_bank_options,
    add_network_options,
    share,
    whole,
)
from faim.outputs import add_input, add_output, source_files
from faim.postprocess.options import add_post_options
from faim.runtime.choices import ModeName


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
        help="faim checkpoint, YOLOX or YOLOV .pth, or exported folder (default: the embedded "
        "FAIM-Nano)",
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
    parser.add_argument(
        "--keep-audio",
        action="store_true",
        help="give the video of --save-video the sound of its source, a video file",
    )
    parser.set_defaults(run=run)


def _one_a_source(path: str | Path | None, parsed: argparse.Namespace) -> list[Path]:
    from faim.runtime.outputs import output_names
    from faim.runtime.source_list import listed_sources

    if str(path) == "-":
        return []
    return [Path(name) for name in output_names(path, len(listed_sources(parsed.source)))]


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
            keep_audio=parsed.keep_audio,
        )
    )
    return summary.status
