"""What the kinds of `faim data convert` share: how one is declared, and the common options."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faim.arguments import path, whole
from faim.outputs import add_input, add_output, files_at

#: Processes by default: reading small files from one disk gains little from more.
MOST_WORKERS = 8
#: The JSON files that data sets come with.
_JSON_READ = ("labels.json", "meta.json", "annotations_*.json")


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


def add_common(
    parser: argparse.ArgumentParser,
    source: str,
    file: Callable[[argparse.Namespace], str] = lambda parsed: "annotations.json",
    files: Callable[[argparse.Namespace], Iterable[Path]] | None = None,
) -> None:
    """SRC, described by `source`, --out, --workers and --strict, as `convert_videos` takes them.

    `file` gives the name of the JSON file where --out is a folder; see `target_of`. `files` are all
    that is written, where that is more than this one.
    """
    add_input(parser, "source", reads=_read_in, type=path, metavar="SRC", help=source)
    add_output(
        parser,
        "--out",
        writes=lambda _, parsed: [target_of(parsed)] if files is None else files(parsed),
        type=path,
        required=True,
        help="folder to write to, or the JSON file",
    )
    parser.set_defaults(file=file)
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


def held_out_file(out: Path) -> Path:
    """Where the videos go that are held out of a split."""
    return out.with_name(f"{out.stem}_held_out{out.suffix}")


def target_of(parsed: argparse.Namespace) -> Path:
    """The same with the name of the kind."""
    return target(parsed.out, parsed.file(parsed))


def _read_in(source: Path, parsed: argparse.Namespace) -> Iterator[Path]:
    """What converters read in a folder: all but JSON files of other names, as earlier results."""
    for file in files_at(source, parsed):
        if file.suffix != ".json" or any(map(file.match, _JSON_READ)):
            yield file
