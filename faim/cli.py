"""The `faim` command: argument parsing only; each command's work is in its own package."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from importlib import import_module

from faim.errors import EXIT_INTERRUPTED, EXIT_WRONG_INPUT, FaimError
from faim.threads import share_processors

#: By name: the module whose `add_arguments` adds a command's options and sets `run`, and what
#: `faim --help` says of it.
_COMMANDS = {
    "predict": ("faim.runtime.predict_options", "detect in a video, folder, glob or camera"),
    "demo": ("faim.demo_options", "see the method work on generated clips"),
    "train": (
        "faim.training.options",
        "train a base detector, FAIM or the box-to-mask network",
    ),
    "eval": ("faim.evaluation.arguments", "average precision, stability and speed"),
    "report": ("faim.report.options", "compare evaluations on one HTML page"),
    "export": ("faim.export.options", "write ONNX, OpenVINO or TensorRT files"),
    "synth": ("faim.data.synth_options", "generate labelled synthetic video"),
    "data": ("faim.data.options", "convert datasets to CocoVID, and check them"),
    "masks": ("faim.masks.options", "make instance masks from boxes, and score them"),
    "bench": ("faim.bench.options", "time the base detector, streams, global mode"),
    "convert": ("faim.models.convert_options", "convert a public YOLOX or YOLOV checkpoint"),
    "repp": ("faim.postprocess.options", "learn the pair model of post-processing"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        Exit status: 0, 2 after wrong input (told in one sentence on stderr), 130 after Ctrl-C.
    """
    share_processors()
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
    for name, (module, told) in _COMMANDS.items():
        import_module(module).add_arguments(commands.add_parser(name, help=told))
    hidden = commands.add_parser("masks-eval", prog="faim masks eval")
    import_module("faim.masks.evaluation.options").add_arguments(hidden)
    return parser


if __name__ == "__main__":
    sys.exit(main())
