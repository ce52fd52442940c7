"""What the kinds of `faim data convert` share: how one is declared, and the common options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from faim.arguments import path, whole

#: Processes by default: reading small files from one disk gains little from more.
MOST_WORKERS = 8


@dataclass(frozen=True)
class Kind:
    """A data set that can be converted.

    Attributes:
        name: of the subcommand.
        help: one line.
        add_options: declares its options.
        run: does the work; imports the converter itself, so that other commands do not wait.
    """

    name: str
    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def add_common(parser: argparse.ArgumentParser, source: str) -> None:
    """SRC, described by `source`, --out, --workers and --strict, as `convert_videos` takes them."""
    parser.add_argument("source", type=path, metavar="SRC", help=source)
    parser.add_argument(
        "--out", type=path, required=True, help="folder to write to, or the JSON file"
    )
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    parser.add_argument(
        "--workers", type=whole(0), default=workers, help=f"processes that read ({workers})"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first problem instead of counting it"
    )


def target(out: Path, name: str) -> Path:
    """The JSON file that --out means: itself, or `name` in that folder."""
    return out if out.suffix == ".json" else out / name
