"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from faim.errors import FaimError

if TYPE_CHECKING:
    from torch import Tensor


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and then rename it; what fails leaves the old file.

    A device or pipe, such as `/dev/stdout`, is written to as it is.

    Args:
        path: the file.
        write: writes its content to the path that it is given; raises OSError where it cannot.

    Raises:
        FaimError: the file cannot be written.
    """
    special = os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))  # noqa: PTH110, PTH112, PTH113 - those of Path raise for a name too long
    part = path.parent / (path.name + ".part")
    try:
        write(path if special else part)
        if not special:
            part.replace(path)
    except OSError as error:
        raise FaimError(
            f"{path}: cannot be written ({error.strerror or error}); expected a file in a writable "
            "folder with space left"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink()


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
    try:
        # Asking for permission alone is not enough: some file systems refuse root too.
        with tempfile.TemporaryFile(dir=path.parent):
            writable = not path.is_dir()
    except OSError:
        writable = False
    if not writable:
        raise FaimError(f"{path}: cannot be written; expected a file name in a writable folder")
