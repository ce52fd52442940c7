"""Kinds of command line arguments, and groups of options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_args

from faim.choices import LONGEST_SIDE, MOST_THREADS, BackendName, PolicyName, Precision
from faim.errors import EXIT_WRONG_INPUT
from faim.groups import BackendOptions, MemoryOptions
from faim.text import printable

#: Past frames; each takes about 0.1 MB in FAIM-S.
MOST_BANK = 10_000


class CommandParser(argparse.ArgumentParser):
    """A parser, and those of its commands, that tell a wrong option in one sentence."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.set_defaults(parser=self)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but what nobody knows is told by the command that was given it."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parsed.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """End with status 2; without the usage, which `--help` prints."""
        help_on_it = f"{self.prog} --help lists what is expected"
        self.exit(EXIT_WRONG_INPUT, f"{self.prog}: error: {printable(message)}; {help_on_it}\n")


def whole(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """Whole numbers from `minimum` on, up to `maximum`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {minimum} on")
        if maximum is not None and value > maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is above {maximum}")
        return value

    return parse


def path(text: str) -> Path:
    """A file or folder; not the empty text, which would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no path; expected a file or folder")
    return Path(text)


def size(text: str) -> tuple[int, int]:
    """`576` or `384x640` (height x width)."""
    from faim.checks import is_side  # which takes numpy along

    try:
        sides = tuple(int(part) for part in text.lower().split("x"))
    except ValueError:
        sides = ()
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2 or not all(map(is_side, sides)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no network size; expected a multiple of 32 up to {LONGEST_SIDE}, or HxW "
            "of two"
        )
    return sides[0], sides[1]


def share(text: str) -> float:
    """Numbers from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """What the network is: --aggregate and --size."""
    parser.add_argument(
        "--aggregate", choices=("auto", "ticam", "affinity", "none"), default="auto"
    )
    parser.add_argument("--size", type=size, help="network input: an integer, or HxW")


def add_backend_options(parser: argparse.ArgumentParser) -> None:
    """What runs it: the fields of `BackendOptions`."""
    group = parser.add_argument_group("what runs the networks")
    group.add_argument(
        "--backend",
        choices=get_args(BackendName),
        default="auto",
        help="auto: the fastest that is installed and fits the machine",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    group.add_argument(
        "--precision",
        choices=get_args(Precision),
        default="auto",
        help="of the base detector (auto: the backend's choice)",
    )
    group.add_argument("--threads", type=whole(1, MOST_THREADS), help="processor threads (all)")
    group.add_argument("--compile", action="store_true", help="torch.compile, with backend torch")


def backend_options(parsed: argparse.Namespace) -> BackendOptions:
    """What `add_backend_options` declares."""
    return BackendOptions(
        parsed.backend, parsed.device, parsed.precision, parsed.threads, parsed.compile
    )


def add_bank_options(parser: argparse.ArgumentParser, *, scene_cuts: bool = True) -> None:
    """What a stream remembers; `scene_cuts` where the run looks for them."""
    group = parser.add_argument_group("what a stream remembers")
    group.add_argument(
        "--bank",
        type=whole(0, MOST_BANK),
        metavar="N",
        help="past frames (the model's: 31 by default)",
    )
    group.add_argument(
        "--bank-policy",
        choices=get_args(PolicyName),
        default="spread",
        help="the last frames, or (default) half of them spread over all of the past",
    )
    if scene_cuts:
        group.add_argument(
            "--no-scene-cuts",
            dest="scene_cuts",
            action="store_false",
            help="do not forget the past at a hard cut",
        )


def memory_options(parsed: argparse.Namespace) -> MemoryOptions:
    """What `add_bank_options` declares, scene cuts included."""
    return MemoryOptions(parsed.bank, parsed.bank_policy, parsed.scene_cuts)


def take_overrides_anywhere(parser: argparse.ArgumentParser) -> None:
    """Accept `key=value` before and after options: argparse takes one run of positionals alone."""
    parse = parser.parse_known_args

    def parse_known_args(args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        parsed, rest = parse(args, namespace)
        later = [text for text in rest if "=" in text and not text.startswith("-")]
        parsed.overrides = [*parsed.overrides, *later]
        return parsed, [text for text in rest if text not in later]

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign]
