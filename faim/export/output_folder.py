"""A folder of exported files that appears whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faim.backends import checksums
from faim.errors import FaimError
from faim.files import scratch_folder

_GRAPH = re.compile(r"(frame|describe|step|refine)\.(onnx|xml|bin|engine)")
#: Engines of one compute capability.
_SUBFOLDER = re.compile(r"sm\d+")
#: A key of `ExportInfo`, which stands as plain text in every frame file of ours.
_MARK = b"dynamic_size"


@dataclass(frozen=True)
class Workplace:
    """Two empty folders beside the one to be written.

    Attributes:
        files: what lies here in the end becomes the output folder.
        scratch: for everything that is needed on the way; removed.
    """

    files: Path
    scratch: Path


@contextmanager
def output_folder(out: Path) -> Iterator[Workplace]:
    """Write into a temporary folder beside `out`, and move it there if nothing went wrong.

    `out` may be missing, empty, or hold an earlier export, which is replaced.

    Raises:
        FaimError: `out` is something else, or cannot be written.
    """
    check_output(out)
    target = out.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent) as temporary:
            place = Workplace(temporary / "files", temporary / "scratch")
            place.files.mkdir()
            place.scratch.mkdir()
            with _named(out, place):
                yield place
                for folder in {path.parent for path in exported_files(place.files)}:
                    checksums.write_checksums(folder)
            _move(place.files, target, temporary / "earlier")
    except OSError as error:
        raise _unwritable(out, error) from error


@contextmanager
def _named(out: Path, place: Workplace) -> Iterator[None]:
    """Messages name the output; the temporary folder is of no use to the reader."""
    try:
        yield
    except FaimError as error:
        message = str(error)
        for folder in (place.files, place.scratch):
            message = message.replace(str(folder), str(out))
        raise FaimError(message) from error


def check_output(out: Path) -> None:
    """Raise FaimError unless `out` is missing, an empty folder, or an earlier export."""
    # os.path says False to names too long, for which Path's methods raise.
    if not os.path.lexists(out):
        return
    if not os.path.isdir(out):  # noqa: PTH112
        raise FaimError(f"{out}: is a file; expected a folder to write to")
    try:
        entries = sorted(out.iterdir())
    except OSError as error:
        raise _unwritable(out, error) from error
    foreign = [entry.name for entry in entries if not _is_ours(entry)]
    if foreign:
        raise FaimError(
            f"{out}: holds other files than those of an export ({foreign[0]}); expected a new or "
            "empty folder, or one that faim export wrote"
        )


def exported_files(folder: Path) -> list[Path]:
    """All files of graphs in an exported folder, graph by graph."""
    return sorted((path for path in folder.rglob("*") if _GRAPH.fullmatch(path.name)), key=_order)


def _order(path: Path) -> tuple[str, int, str]:
    names = ("frame", "describe", "step", "refine")
    return str(path.parent), names.index(path.stem) if path.stem in names else 9, path.suffix


def _is_ours(entry: Path) -> bool:
    if entry.is_dir() and not entry.is_symlink():
        files = list(entry.iterdir())
        return bool(_SUBFOLDER.fullmatch(entry.name) and files) and all(map(_is_ours, files))
    if not entry.is_file() or not (_GRAPH.fullmatch(entry.name) or entry.name == checksums.NAME):
        return False
    return any(_is_marked(path) for path in entry.parent.glob("frame.*"))


def _is_marked(path: Path) -> bool:
    return path.suffix != ".bin" and path.is_file() and _MARK in path.read_bytes()


def _move(files: Path, target: Path, earlier: Path) -> None:
    """Put `files` where `target` is; what was there comes back if that fails."""
    if target.exists():
        target.replace(earlier)
    try:
        files.replace(target)
    except BaseException:
        if earlier.exists() and not target.exists():
            earlier.replace(target)
        raise


def _unwritable(out: Path, error: OSError) -> FaimError:
    return FaimError(
        f"{out}: cannot be written ({error.strerror or error}); expected a folder that can be "
        "written, with space on its disk"
    )
