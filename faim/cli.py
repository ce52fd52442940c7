"""The `faim` command: argument parsing only; each command's work is in its own package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from faim.arguments import (
    add_backend_options,
    add_bank_options,
    add_network_options,
    share,
    whole,
)
from faim.errors import FaimError

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        Exit status: 0, 2 after wrong input (told in one sentence on stderr), 130 after Ctrl-C.
    """
    try:
        parsed = build_parser().parse_args(arguments)
        _log_plainly()
        status = parsed.run(parsed)
    except FaimError as error:
        print(f"faim: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `faim predict … --jsonl - | head`
        sys.stderr.close()
        return 0
    return status or 0


def _log_plainly() -> None:
    """Warnings as sentences, without date, module and line."""
    from loguru import logger

    logger.remove()
    logger.add(sys.stderr, format="faim: {message}", level="INFO")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from faim import __version__

    parser = argparse.ArgumentParser(prog="faim", description="Video object detection with FAIM.")
    parser.add_argument("--version", action="version", version=f"faim {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_predict(commands.add_parser("predict", help="detect in a video, folder, glob or camera"))
    _add_demo(commands.add_parser("demo", help="see the method work on generated clips"))
    _add_train(commands.add_parser("train", help="train a base detector or FAIM"))
    _add_eval(commands.add_parser("eval", help="average precision, stability and speed"))
    _add_export(commands.add_parser("export", help="write ONNX, OpenVINO or TensorRT files"))
    _add_synth(commands.add_parser("synth", help="generate labelled synthetic video"))
    _add_data(commands.add_parser("data", help="convert datasets to CocoVID"))
    _add_bench(commands.add_parser("bench", help="time the base detector, streams, global mode"))
    _add_convert(commands.add_parser("convert", help="convert a YOLOX checkpoint"))
    return parser


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="+",
        help="video file, folder of images, glob, webcam index, or stream URL; several are looked "
        "at together",
    )
    parser.add_argument(
        "--weights",
        help="faim checkpoint, YOLOX .pth or exported folder (default: the embedded FAIM-Nano)",
    )
    parser.add_argument("--mode", choices=("stream", "global", "frame"), default="stream")
    add_network_options(parser)
    add_backend_options(parser)
    parser.add_argument("--conf", type=share, default=0.3, help="score threshold (0.3)")
    parser.add_argument("--jsonl", metavar="FILE", help="write JSON lines; - is stdout")
    parser.add_argument("--save-video", type=Path, metavar="FILE", help="write an annotated MP4")
    parser.add_argument("--show", action="store_true", help="show a window")
    add_bank_options(parser)
    parser.add_argument("--limit", type=whole(1), metavar="N", help="stop after N frames")
    parser.set_defaults(run=_run_predict)


def _run_predict(parsed: argparse.Namespace) -> int:
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
            limit=parsed.limit,
        )
    )
    return EXIT_INTERRUPTED if summary.interrupted else 0


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), help="folder to write to")
    parser.add_argument("--frames", type=whole(8), default=24, help="frames a clip (24)")
    parser.add_argument("--seed", type=whole(0), help="other clips")
    parser.set_defaults(run=_run_demo)


def _run_demo(parsed: argparse.Namespace) -> int:
    from faim.demo import run_demo

    run_demo(parsed.out, frames=parsed.frames, seed=parsed.seed)
    return 0


def _add_bench(parser: argparse.ArgumentParser) -> None:
    from faim.bench.options import add_arguments

    add_arguments(parser)
    add_backend_options(parser)
    parser.set_defaults(run=_run_bench)


def _run_bench(parsed: argparse.Namespace) -> int:
    from faim.bench.options import run

    run(parsed)
    return 0


def _add_train(parser: argparse.ArgumentParser) -> None:
    from faim.training.options import add_arguments

    add_arguments(parser)
    parser.set_defaults(run=_run_train)


def _run_train(parsed: argparse.Namespace) -> int:
    from faim.training.run import run_train

    return run_train(parsed)


def _add_eval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--exp-file", type=Path, help="experiment file (for its data)")
    parser.add_argument("-c", "--ckpt", "--weights", dest="weights", help="checkpoint")
    parser.add_argument("--data", type=Path, help="CocoVID annotation file")
    parser.add_argument("--mode", choices=("frame", "stream", "global", "all"), default="all")
    add_network_options(parser)
    parser.add_argument(
        "--sampling",
        choices=("uniform", "shuffled", "local"),
        default="uniform",
        help="which frames global mode looks at together",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of shuffled sampling (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    add_backend_options(parser)
    add_bank_options(parser, scene_cuts=False)
    parser.set_defaults(run=_run_eval, backend="torch", device="cpu")


def _run_eval(parsed: argparse.Namespace) -> int:
    from faim.evaluation.run import EvalOptions, run_eval
    from faim.weights import default_weights

    run_eval(
        EvalOptions(
            weights=parsed.weights or default_weights(),
            data=parsed.data,
            exp_file=parsed.exp_file,
            mode=parsed.mode,
            aggregate=parsed.aggregate,
            size=parsed.size,
            sampling=parsed.sampling,
            seed=parsed.seed,
            device=parsed.device,
            json=parsed.json,
            backend=parsed.backend,
            precision=parsed.precision,
            threads=parsed.threads,
            compile=parsed.compile,
            bank_frames=parsed.bank,
            bank_policy=parsed.bank_policy,
        )
    )
    return 0


def _add_export(parser: argparse.ArgumentParser) -> None:
    from faim.export.options import add_arguments

    add_arguments(parser)
    parser.set_defaults(run=_run_export)


def _run_export(parsed: argparse.Namespace) -> int:
    from faim.export.options import read_options
    from faim.export.run import run_export

    run_export(read_options(parsed))
    return 0


def _add_synth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--videos", type=whole(1), default=20)
    parser.add_argument("--frames", type=whole(1), default=32, help="frames a video")
    parser.add_argument("--size", type=whole(64), default=256, help="side in pixels")
    parser.add_argument("--classes", type=whole(1), default=8)
    parser.add_argument("--severity", choices=("easy", "hard"), default="hard")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.set_defaults(run=_run_synth)


def _run_synth(parsed: argparse.Namespace) -> int:
    from faim.data.synth import generate

    path = generate(
        parsed.out,
        videos=parsed.videos,
        frames=parsed.frames,
        size=parsed.size,
        classes=parsed.classes,
        severity=parsed.severity,
        seed=parsed.seed,
    )
    print(f"wrote {path}")
    return 0


def _add_data(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    convert = actions.add_parser("convert", help="write a CocoVID annotation file")
    kinds = convert.add_subparsers(title="kinds", required=True, metavar="KIND")
    davis = kinds.add_parser("davis", help="DAVIS 2016: one object a sequence, with masks")
    davis.add_argument("root", type=Path, help="folder of JPEGImages and Annotations")
    davis.add_argument("--out", type=Path, required=True, metavar="JSON")
    davis.add_argument("--labels", choices=("coco", "vid"), default="coco")
    davis.add_argument("--clean-only", action="store_true", help="leave crowded sequences out")
    davis.set_defaults(run=_run_convert_davis)


def _run_convert_davis(parsed: argparse.Namespace) -> int:
    from faim.data.converters.davis import convert_davis

    path = convert_davis(
        parsed.root, parsed.out, labels=parsed.labels, clean_only=parsed.clean_only
    )
    print(f"wrote {path}")
    return 0


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="official YOLOX .pth")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--classes", help="class names, separated by commas")
    parser.set_defaults(run=_run_convert)


def _run_convert(parsed: argparse.Namespace) -> int:
    from faim.models.checkpoint import load_model, save_checkpoint

    names = tuple(parsed.classes.split(",")) if parsed.classes else None
    model = load_model(parsed.source, class_names=names)
    save_checkpoint(parsed.out, model)
    print(f"wrote {parsed.out}: YOLOX-{model.config.variant}, {model.config.num_classes} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
