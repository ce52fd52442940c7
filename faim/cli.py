"""The `faim` command: argument parsing only; each command's work is in its own package."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from faim.arguments import CommandParser
from faim.errors import EXIT_WRONG_INPUT, FaimError, Terminated, interrupted_status
from faim.outputs import guarded
from faim.terminal import lenient_streams
from faim.text import printable
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
    "eval": ("faim.evaluation.options", "average precision, stability and speed"),
    "report": ("faim.report.options", "compare evaluations on one HTML page"),
    "export": ("faim.export.options", "write ONNX, OpenVINO or TensorRT files"),
    "synth": ("faim.data.synth_options", "generate labelled synthetic video"),
    "data": ("faim.data.options", "convert datasets to CocoVID, and check them"),
    "masks": ("faim.masks.options", "make instance masks from boxes, and score them"),
    "bench": ("faim.bench.options", "time the base detector, streams, global mode"),
    "convert": ("faim.convert_options", "convert a public YOLOX or YOLOV checkpoint"),
    "weights": ("faim.weights.options", "list the weights that have a name, and fetch them"),
    "repp": ("faim.postprocess.options", "learn the pair model of post-processing"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Results are written whether or not somebody reads what is printed.

    Returns:
        Exit status: 0, 2 after wrong input (told in one sentence on stderr), 130 after Ctrl-C,
        143 after SIGTERM.
    """
    share_processors()
    with lenient_streams() as stdout:
        status = _run(arguments)
        stdout.flush()
        lost = stdout.failure
        if status == 0 and lost is not None and not isinstance(lost, BrokenPipeError):
            print(f"faim: standard output: cannot be written ({lost.strerror})", file=sys.stderr)
            return EXIT_WRONG_INPUT
        return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        with _sigterm_as_interrupt():
            parsed = build_parser().parse_args(_joined(arguments))
            _log_plainly()
            with guarded(parsed):
                return parsed.run(parsed) or 0
    except FaimError as error:
        print(f"faim: {printable(str(error))}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except KeyboardInterrupt as interrupt:
        return interrupted_status(interrupt)


def _terminate(number: int, frame: object) -> None:
    raise Terminated


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Where SIGTERM raises `Terminated`, so that it ends a command as Ctrl-C does.

    A handler that somebody set before stays, and so does an ignored signal.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _hold_sigterm() -> None:
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _release_sigterm() -> None:
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_by_sigterm() -> None:
    if signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


if hasattr(os, "register_at_fork"):
    # A forked worker process ends by SIGTERM without a word, as it does without this handler; held
    # meanwhile, as Python forgets signals that come right after a fork.
    os.register_at_fork(
        before=_hold_sigterm, after_in_parent=_release_sigterm, after_in_child=_end_by_sigterm
    )


def _joined(arguments: Sequence[str] | None) -> list[str]:
    """The arguments with `masks eval` as one command, `masks` itself taking a file there."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return ["masks-eval", *given[2:]] if given[:2] == ["masks", "eval"] else given


def _log_plainly() -> None:
    """Warnings as sentences, without date, module and line."""
    from loguru import logger

    def plain(record: Any) -> str:
        record["extra"]["shown"] = printable(record["message"])
        return "faim: {extra[shown]}\n"

    logger.remove()
    logger.add(sys.stderr, format=plain, level="INFO")
    # What image decoders warn of is said by the sentence of what became of the image.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    from faim.version import __version__

    parser = CommandParser(prog="faim", description="Video object detection with FAIM.")
    parser.add_argument("--version", action="version", version=f"faim {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (module, told) in _COMMANDS.items():
        import_module(module).add_arguments(commands.add_parser(name, help=told))
    hidden = commands.add_parser("masks-eval", prog="faim masks eval")
    import_module("faim.masks.evaluation.options").add_arguments(hidden)
    return parser


if __name__ == "__main__":
    sys.exit(main())
