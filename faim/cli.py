"""The `faim` command: argument parsing only; each command's work is in its own package."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from faim.arguments import (
    MOST_BANK,
    add_backend_options,
    add_bank_options,
    add_network_options,
    path,
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without accents ends no run
    try:
        parsed = build_parser().parse_args(_joined(arguments))
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


def _joined(arguments: Sequence[str] | None) -> list[str]:
    """The arguments with `masks eval` as one command, `masks` itself taking a file there."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return ["masks-eval", *given[2:]] if given[:2] == ["masks", "eval"] else given


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
    _add_train(
        commands.add_parser("train", help="train a base detector, FAIM or the box-to-mask network")
    )
    _add_eval(commands.add_parser("eval", help="average precision, stability and speed"))
    _add_report(commands.add_parser("report", help="compare evaluations on one HTML page"))
    _add_export(commands.add_parser("export", help="write ONNX, OpenVINO or TensorRT files"))
    _add_synth(commands.add_parser("synth", help="generate labelled synthetic video"))
    _add_data(commands.add_parser("data", help="convert datasets to CocoVID, and check them"))
    _add_masks(commands.add_parser("masks", help="make instance masks from boxes, and score them"))
    _add_masks_eval(commands.add_parser("masks-eval", prog="faim masks eval"))
    _add_bench(commands.add_parser("bench", help="time the base detector, streams, global mode"))
    _add_convert(commands.add_parser("convert", help="convert a public YOLOX or YOLOV checkpoint"))
    _add_repp(commands.add_parser("repp", help="learn the pair model of post-processing"))
    return parser


def _add_repp(parser: argparse.ArgumentParser) -> None:
    from faim.postprocess.options import add_arguments

    add_arguments(parser)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
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
    parser.add_argument("--jsonl", metavar="FILE", help="write JSON lines; - is stdout")
    parser.add_argument("--save-video", type=Path, metavar="FILE", help="write an annotated MP4")
    parser.add_argument("--show", action="store_true", help="show a window")
    add_bank_options(parser)
    from faim.postprocess.options import add_post_options

    add_post_options(parser)
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
            post=parsed.post,
            post_model=parsed.post_model,
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
    from faim.postprocess.options import add_post_options

    parser.add_argument("-f", "--exp-file", type=path, help="experiment file (for its data)")
    parser.add_argument("-c", "--ckpt", "--weights", dest="weights", help="checkpoint")
    parser.add_argument("--data", type=path, help="CocoVID annotation file")
    parser.add_argument("--mode", choices=("frame", "stream", "global", "all"), default="all")
    add_network_options(parser)
    parser.add_argument(
        "--sampling",
        choices=("global", "uniform", "shuffled", "local"),
        default="uniform",
        help="which frames global mode looks at together; global is uniform",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of shuffled sampling (0)")
    parser.add_argument(
        "--frames", type=whole(1, MOST_BANK), metavar="M", help="frames looked at together"
    )
    parser.add_argument("--proposals", type=whole(1), metavar="N", help="proposals a frame")
    parser.add_argument("--json", type=path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--out", type=path, metavar="DIR", help="write a folder for faim report")
    parser.add_argument(
        "--detections", type=path, metavar="FILE", help="evaluate COCO results, without a model"
    )
    add_backend_options(parser)
    add_bank_options(parser, scene_cuts=False)
    add_post_options(parser)
    parser.set_defaults(run=_run_eval, backend="torch", device="cpu")


def _run_eval(parsed: argparse.Namespace) -> int:
    from faim.evaluation.run import EvalOptions, run_eval
    from faim.weights import default_weights

    run_eval(
        EvalOptions(
            weights=parsed.weights or (None if parsed.detections else default_weights()),
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
            frames=parsed.frames,
            proposals=parsed.proposals,
            post=parsed.post,
            post_model=parsed.post_model,
            out=parsed.out,
            detections=parsed.detections,
        )
    )
    return 0


def _add_report(parser: argparse.ArgumentParser) -> None:
    from faim.report.options import add_arguments

    add_arguments(parser)
    parser.set_defaults(run=_run_report)


def _run_report(parsed: argparse.Namespace) -> int:
    from faim.report.options import read_options
    from faim.report.page import run_report

    print(f"wrote {run_report(read_options(parsed))}")
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
    from faim.data.converters.options import add_arguments

    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    add_arguments(actions.add_parser("convert", help="write a CocoVID annotation file"))
    check = actions.add_parser("check", help="look for mistakes, count, and draw some frames")
    check.add_argument("annotations", type=Path, metavar="ANN.json", help="CocoVID or COCO file")
    check.add_argument("--images", type=Path, metavar="DIR", help="where image names start")
    check.add_argument("--out", type=Path, metavar="PNG", help="write a sheet of frames")
    check.add_argument("--frames", type=whole(1, 400), default=24, help="on the sheet (24)")
    check.set_defaults(run=_run_data_check)


def _run_data_check(parsed: argparse.Namespace) -> int:
    from faim.data.check import run_check

    run_check(parsed.annotations, images=parsed.images, sheet=parsed.out, frames=parsed.frames)
    return 0


def _add_masks(parser: argparse.ArgumentParser) -> None:
    from faim.masks.options import add_arguments

    add_arguments(parser)


def _add_masks_eval(parser: argparse.ArgumentParser) -> None:
    from faim.masks.evaluation.options import add_arguments

    add_arguments(parser)


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, help="published YOLOX or YOLOV .pth")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--classes", help="class names, separated by commas")
    parser.set_defaults(run=_run_convert)


def _run_convert(parsed: argparse.Namespace) -> int:
    from faim.models.checkpoint import load_model, save_checkpoint

    names = tuple(parsed.classes.split(",")) if parsed.classes else None
    model = load_model(parsed.source, class_names=names)
    save_checkpoint(parsed.out, model)
    print(f"wrote {parsed.out}: {model.config.title}, {model.config.num_classes} classes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
