"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from faim.errors import FaimError

if TYPE_CHECKING:
    from torch import Tensor

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_SCRATCH = ".part-"
#: As `tempfile.mkdtemp` completes the name.
_LEFTOVER = re.compile(re.escape(_SCRATCH) + "[a-z0-9_]{8}")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and then rename it; what fails leaves the old file.

    A device or pipe, such as `/dev/stdout`, is written to as it is; a link stays one, and the file
    that it names is replaced.

    Args:
        path: the file.
        write: writes its content to the path that it is given; raises OSError where it cannot.

    Raises:
        FaimError: the file cannot be written.
    """
    try:
        if is_special(path):
            write(path)
            return
        place = Path(os.path.realpath(path))
        with scratch_folder(place.parent) as scratch:
            write(scratch / place.name)
            (scratch / place.name).replace(place)
    except OSError as error:
        raise FaimError(
            f"{path}: cannot be written ({error.strerror or error}); expected a file in a writable "
            "folder with space left"
        ) from error


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new, empty folder in `parent` for what is to be moved from there; removed at the end.

    Its name is its own (`.part-x3k9_2ab`), and nobody else can put anything into it. What killed
    processes left of such folders is removed as well.

    Raises:
        OSError: it cannot be made.
    """
    _remove_leftovers(parent)
    with ExitStack() as stack:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=parent))
            # Another run may have taken it for a leftover in this moment; then once more.
            if _hold(folder, stack):
                break
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _remove_leftovers(parent: Path) -> None:
    try:
        found = [path for path in parent.iterdir() if _LEFTOVER.fullmatch(path.name)]
    except OSError:  # it may not be read, or is not there
        return
    for path in found:
        with ExitStack() as stack:
            if path.is_dir() and not path.is_symlink() and _hold(path, stack, wait=False):
                shutil.rmtree(path, ignore_errors=True)


def _hold(folder: Path, stack: ExitStack, *, wait: bool = True) -> bool:
    """Whether the folder is there and this process has it until `stack` ends.

    Where there are no locks, a new folder counts as held, and an old one as another process's.
    """
    if fcntl is None:
        return wait
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return wait
    return os.fstat(descriptor).st_nlink > 0


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_special(path: str | Path) -> bool:
    """Whether it is a device, a pipe or an open file's name, which must not be renamed over."""
    if os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/")):  # noqa: PTH100 - links stay
        return True
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))  # noqa: PTH110, PTH112, PTH113 - those of Path raise for a name too long


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """A safetensors file, whole or not at all; see `write_whole`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def write(part: Path) -> None:
        try:
            save_file(dict(tensors), part, metadata=metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        if part.is_file():
            part.chmod(0o644)  # safetensors makes files that nobody else can read

    write_whole(path, write)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON file with an indent of two, whole or not at all.

    Raises:
        FaimError: the file cannot be written.
    """
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def check_writable(path: Path) -> None:
    """Find out before the work whether a file can be written; makes its folder.

    Raises:
        FaimError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaimError(
            f"{path}: cannot make its folder ({error}); expected a place to write"
        ) from error
    if not (os.access(path, os.W_OK) if is_special(path) else _takes_files(path)):
        raise FaimError(f"{path}: cannot be written; expected a file name in a writable folder")


def _takes_files(path: Path) -> bool:
    try:
        # Asking for permission alone is not enough: some file systems refuse root too.
        with tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent):
            return not path.is_dir()
    except OSError:
        return False


def ffmpeg_path(path: str | Path) -> str:
    """What FFmpeg takes for exactly this local file.

    By itself it would look for a protocol before a colon in the name ("2024-01-01T12:00:00.mp4").
    """
    return f"file:{path}"
