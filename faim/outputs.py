"""One gateway for what a command writes: never what it reads, nor what another run is writing.

Options say themselves what they are: `add_output` declares one that names what is written. Every
other option whose value is there on the disk counts as read; `add_input` declares those of which
more, or less, is read than that file, or all files of that folder.
"""

from __future__ import annotations

import argparse
import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from faim.errors import FaimError
from faim.files import is_special
from faim.weights.named import place_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: From a value of an option, and all options, the files and folders that it stands for.
Files = Callable[[Any, argparse.Namespace], Iterable[Path]]


def add_output(
    parser: argparse._ActionsContainer, *flags: str, writes: Files | None = None, **options: Any
) -> None:
    """Add an option that names what a command writes.

    Args:
        parser: it, or a group of its options, gets the option.
        flags: as of `add_argument`, and so are `options`.
        writes: the files or folders that come of its value; by default that path itself. None as a
            value, where nothing is the default, comes to nothing unless `writes` is given.
    """
    _declare("writes", parser, parser.add_argument(*flags, **options), writes or _itself)


def add_input(
    parser: argparse._ActionsContainer, *flags: str, reads: Files, **options: Any
) -> None:
    """Add an option of whose value others than the usual files are read; see `files_at`."""
    _declare("reads", parser, parser.add_argument(*flags, **options), reads)


def _declare(
    kind: str, parser: argparse._ActionsContainer, action: argparse.Action, files: Files
) -> None:
    parser.set_defaults(**{kind: {**(parser.get_default(kind) or {}), action.dest: files}})


def _itself(value: Any, parsed: argparse.Namespace) -> Iterable[Path]:
    return () if value is None else (Path(value),)


@contextmanager
def guarded(parsed: argparse.Namespace) -> Iterator[None]:
    """Where the outputs of these options are this run's alone; see `claimed`."""
    with claimed(list(written(parsed)), read(parsed)):
        yield


def written(parsed: argparse.Namespace) -> Iterator[Path]:
    """What the options say that is written."""
    for name, files in getattr(parsed, "writes", {}).items():
        yield from files(getattr(parsed, name), parsed)


def read(parsed: argparse.Namespace) -> Iterator[Path]:
    """What the options say that is read, folders with all that is read in them."""
    outputs, declared = getattr(parsed, "writes", {}), getattr(parsed, "reads", {})
    for name, value in vars(parsed).items():
        if name not in outputs:
            for each in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(each, (str, Path)):
                    yield from declared.get(name, files_at)(each, parsed)


def files_at(value: str | Path, parsed: argparse.Namespace) -> Iterator[Path]:
    """A file or folder, all files in that folder, and the images that an annotation file lists.

    Of `key=value` it is the value that may be there, of the name of weights their file.
    """
    path = Path(value)
    if not os.path.exists(path) and isinstance(value, str):  # noqa: PTH110 - no error for long names
        path = place_of(value.partition("=")[2] or value)
    yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder, name) for name in names)
    if path.suffix.lower() == ".json":
        yield from listed_images(path, getattr(parsed, "images", None))


def source_files(value: str | Path, parsed: argparse.Namespace) -> Iterator[Path]:
    """What is read of a video, an image, a folder of images, or a glob of them."""
    from faim.pictures.files import IMAGE_EXTENSIONS

    text = str(value)
    if os.path.exists(text):  # noqa: PTH110 - no error for long names
        yield Path(text)
        found = [entry.path for entry in os.scandir(text)] if os.path.isdir(text) else []  # noqa: PTH112
    else:
        found = glob.glob(text, recursive=True)  # noqa: PTH207 - absolute ones too
    images = [path for path in found if path.lower().endswith(IMAGE_EXTENSIONS)]
    yield from map(Path, images or found)


def run_files(folder: Path) -> list[Path]:
    """The files of an evaluation's folder: `faim eval --out` writes, `faim report` reads them."""
    return [folder / "run.json", folder / "features.npz", *folder.glob("detections_*.json")]


def nothing(value: Any, parsed: argparse.Namespace) -> Iterable[Path]:
    """Of an option that only helps to find what others name."""
    return ()


def listed_images(annotations: Path, root: Path | None = None) -> Iterator[Path]:
    """The image files that a CocoVID or COCO file names; none where it is no such file."""
    # Only here: every command builds all parsers, and this reader takes a while to import.
    from faim.reading import read_json

    with suppress(FaimError):
        images = read_json(annotations).get("images")
        for image in images if isinstance(images, list) else ():
            name = image.get("file_name") if isinstance(image, dict) else None
            if isinstance(name, str):
                yield (root or annotations.parent) / name


@contextmanager
def claimed(outputs: Sequence[Path], inputs: Iterable[Path]) -> Iterator[None]:
    """Where these outputs are this run's alone; missing folders of theirs are made.

    Args:
        outputs: files and folders to be written. Devices and pipes are left out.
        inputs: what is read, looked at only where an output is there already.

    Raises:
        FaimError: one of them is read, is given twice, or another run is writing it.
    """
    files = [path for path in outputs if not is_special(path)]
    check_outputs(files, inputs)
    with ExitStack() as stack:
        for path in files:
            _lock(path, stack)
        yield


def check_outputs(outputs: Sequence[Path], inputs: Iterable[Path]) -> None:
    """Look at files and folders to be written, and touch none.

    Raises:
        FaimError: one is the same file as an input, or given twice.
    """
    places: set[object] = set()
    there: dict[tuple[int, int], Path] = {}
    for path in outputs:
        identity = _identity(path)
        if identity is not None:
            there[identity] = path
        place = identity or os.path.realpath(path)
        if place in places:
            raise FaimError(f"{path}: given for both of two outputs; expected two files")
        places.add(place)
    if not there:
        return
    for path in inputs:
        output = there.get(_identity(path) or (-1, -1))
        if output is not None:
            raise FaimError(f"{output}: is what the run reads; expected another output")


def _identity(path: Path) -> tuple[int, int] | None:
    """What all names of a file have in common; None where it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - Path.stat is the same
    except (OSError, ValueError):  # missing, unreadable, or no possible name
        return None
    return found.st_dev, found.st_ino


def _lock(output: Path, stack: ExitStack) -> None:
    """Have an output until `stack` ends, or the process does.

    The lock is a file beside it, `.faim-….lock`, which goes at the end. (The output itself may be
    replaced meanwhile.) Where none can be made the output is free for all.

    Raises:
        FaimError: another run has it.
    """
    place = Path(os.path.realpath(output))
    _make_folder(place.parent, stack)
    if fcntl is None:
        return
    digest = hashlib.sha256(os.fsencode(place.name)).hexdigest()[:16]
    path = place.parent / f".faim-{digest}.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    while True:
        try:
            descriptor = os.open(path, flags, 0o666)
        except OSError:
            return
        stack.callback(os.close, descriptor)
        try:
            # Unlike those of flock, such locks are not inherited by worker processes, which may
            # live for some seconds after a run was killed.
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise FaimError(
                f"{output}: another run is writing it; expected one at a time"
            ) from None
        except OSError:  # a file system without locks
            return
        if _identity(path) == (os.fstat(descriptor).st_dev, os.fstat(descriptor).st_ino):
            break
        # The run that had it has ended in this moment and taken the file away; then once more.
    if os.fstat(descriptor).st_size == 0:  # else it is somebody's own file
        stack.callback(path.unlink, missing_ok=True)


def _make_folder(folder: Path, stack: ExitStack) -> None:
    """Make a folder, which goes again if it is empty when `stack` ends."""
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        try:
            each.mkdir()
        except OSError:
            return  # told by what is to write there
        stack.callback(_remove_if_empty, each)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
