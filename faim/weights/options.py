"""Options of `faim weights`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faim.weights.known import KnownWeights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="fetch these unless they are there, and print the paths of their files (default: "
        "list all)",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim weights`.

    Raises:
        FaimError: a name that is none, or whose file cannot be had.
    """
    from faim.weights.named import check_name, fetched

    for name in parsed.names:
        check_name(name)
    for name in parsed.names:
        print(fetched(name), flush=True)
    if not parsed.names:
        _list()
    return 0


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    from faim.weights import default_weights
    from faim.weights.known import KNOWN
    from faim.weights.named import EMBEDDED_NAME, weights_folder
    from faim.wording import megabytes

    table = Table(box=None, pad_edge=False)
    for column in ("name", "network", "classes", "size", "from", "here"):
        table.add_column(column, justify="right" if column == "size" else "left")
    size = megabytes(default_weights().stat().st_size)
    table.add_row(EMBEDDED_NAME, "FAIM-Nano", "8 of SynthVID", size, "this package", "yes")
    folder = weights_folder()
    for name, known in KNOWN.items():
        size, source = "", "Google Drive"
        if known.release is not None:
            size, source = megabytes(known.release.size), "GitHub"
        table.add_row(name, known.title, known.classes, size, source, _here(folder, known))
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"`faim weights NAME` fetches into {folder} (another folder: FAIM_CACHE), and says what to "
        "do for those on Google Drive",
        markup=False,
    )


def _here(folder: Path, known: KnownWeights) -> str:
    """Whether the file is there, by its size; or what share of it."""
    place = folder / known.file
    there, part = _size(place), _size(folder / f"{known.file}.part")
    if known.release is None:
        return "no" if there is None else "yes"
    if there is not None:
        return "yes" if there == known.release.size else "damaged"
    return "no" if part is None else f"{100 * part // known.release.size} %"


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
