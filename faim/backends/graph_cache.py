"""Exported graphs of checkpoints, kept between runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from loguru import logger

from faim.backends.checksums import is_whole, write_checksums
from faim.backends.info import LAYOUT, ExportInfo
from faim.cache import CACHE_VARIABLE, cache_folder
from faim.errors import FaimError
from faim.files import sha256_of
from faim.version import __version__

#: Unfinished exports of processes that died; no export takes nearly as long.
_PART, _PART_SECONDS = "part-", 24 * 3600.0


class NoCacheError(FaimError):
    """Exported graphs can be kept nowhere."""


def cached_graphs(weights: Path, info: ExportInfo, write: Callable[[Path], None]) -> Path:
    """The folder with a checkpoint's graphs, exported now unless they are there and whole.

    Where the cache cannot be written, or holds what this user may not read, a folder of the user's
    among the temporary files takes its place.

    Args:
        weights: the checkpoint.
        info: of its first graph; graphs of different ones are kept apart.
        write: writes the graphs' files into an existing folder.

    Raises:
        NoCacheError: neither can be written.
        FaimError: a graph cannot be exported.
    """
    name = _entry_name(weights, info)
    cache = cache_folder()
    reason = "there is no home folder"
    for place in filter(None, (cache, _temporary_cache())):
        entry = place / name
        if is_whole(entry):
            return entry
        try:
            return _fill(entry, weights, write)
        except OSError as error:
            reason = error.strerror or str(error)
            logger.debug("{}: cannot keep exported graphs there ({})", place, reason)
    raise NoCacheError(
        f"{cache or 'cache'}: cannot keep exported graphs there ({reason}); expected a writable "
        f"folder, or another one in {CACHE_VARIABLE}, or --backend torch"
    )


def _entry_name(weights: Path, info: ExportInfo) -> str:
    """Of all that the graphs depend on."""
    made_by = f"{LAYOUT} {__version__} {torch.__version__} {info.to_json()}"
    digest = hashlib.sha256(f"{sha256_of(weights)} {made_by}".encode())
    return f"{weights.stem[:100]}-{digest.hexdigest()[:16]}"


def _temporary_cache() -> Path | None:
    """A folder that is this user's alone: the folder for temporary files is everybody's."""
    if not hasattr(os, "getuid"):
        return None
    try:
        folder = Path(tempfile.gettempdir()) / f"faim-cache-{os.getuid()}"
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return folder if ours and not found.st_mode & 0o022 else None


def _fill(entry: Path, weights: Path, write: Callable[[Path], None]) -> Path:
    """Export into the cache; what lies there damaged makes way. OSError where it cannot."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    _clean(entry.parent)
    part = Path(tempfile.mkdtemp(prefix=_PART, dir=entry.parent))
    try:
        with suppress(FileNotFoundError):
            entry.replace(part / "damaged")
        logger.info("{}: exporting its graphs, once, in about 20 seconds", weights)
        files = part / "files"
        files.mkdir()
        write(files)
        write_checksums(files)
        for path in _everything(files):
            path.chmod(0o755 if path.is_dir() else 0o644)  # others may share the cache
        _move(files, entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return entry


def _move(files: Path, entry: Path) -> None:
    try:
        files.replace(entry)
    except OSError:
        # Another process may have been quicker, which is as good.
        if not is_whole(entry):
            raise


def _everything(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.iterdir()


def _clean(cache: Path) -> None:
    """Remove what exports left that were killed long ago."""
    for part in cache.glob(f"{_PART}*"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _PART_SECONDS:
                shutil.rmtree(part, ignore_errors=True)
