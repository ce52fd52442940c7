"""The folder of an unfinished run over videos: a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from faim.errors import FaimError
from faim.reading import parse_json_value

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Changed when the lines or what goes into them changes.
FORMAT = 1


class Unfinished:
    """Videos that are done, one JSON line each, in `<out>.part/videos.jsonl`.

    A line counts only for the same fingerprint: the job and all that decides what comes of it. What
    the files that it names held is not compared: after a change to the data, delete the folder.
    Only one run at a time can have it.

    Attributes:
        folder: `<out>.part`.
    """

    def __init__(self, out: Path) -> None:
        """Look at what an earlier run left; a cut off last line is dropped.

        Raises:
            FaimError: another run has it.
            OSError: the folder cannot be made or read.
        """
        self.folder = out.with_name(out.name + ".part")
        if self.folder.is_symlink():
            raise FaimError(
                f"{self.folder}: is a link; expected a folder of an earlier run, or none"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / "videos.jsonl"
        self._lines: dict[str, int] = {}
        self._file: IO[bytes] = open(self._path, "a+b", opener=_open_no_link)  # noqa: SIM115
        try:
            self._lock()
            self._scan()
        except BaseException:
            self._file.close()
            raise

    def __contains__(self, fingerprint: str) -> bool:
        """Whether the job of this fingerprint is done."""
        return fingerprint in self._lines

    def append(self, fingerprint: str, line: bytes) -> None:
        """Keep a job's JSON, which holds no line break."""
        self._lines[fingerprint] = self._file.seek(0, 2)
        self._file.write(b'["%s",%s]\n' % (fingerprint.encode(), line))
        self._file.flush()

    def read(self, fingerprints: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The values kept for these jobs, in this order.

        Raises:
            FaimError: the file was changed meanwhile.
        """
        for fingerprint in fingerprints:
            self._file.seek(self._lines[fingerprint])
            found, value = _parse(self._file.readline())
            if found != fingerprint:
                raise FaimError(
                    f"{self._path}: was changed during the run; expected no other program to "
                    "write there"
                )
            yield value

    @contextmanager
    def trusted(self) -> Iterator[None]:
        """Within it the values are used; FaimError where they are none that were kept here."""
        try:
            yield
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise FaimError(
                f"{self._path}: holds other values than this program keeps; expected its own, or "
                f"{self.folder} deleted to start anew"
            ) from error

    def __enter__(self) -> Unfinished:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file; without an exception, or with nothing to keep, the folder goes."""
        if fcntl is None:
            self._file.close()  # Windows deletes no open file
        if kind is None or not self._lines:
            with suppress(OSError):  # what else lies in the folder stays
                self._path.unlink()
                self.folder.rmdir()
        self._file.close()  # only now may another run begin

    def _lock(self) -> None:
        """FaimError if another run has the file, or has just deleted it; ends with the process."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = os.fstat(self._file.fileno()).st_nlink > 0
        except BlockingIOError:
            free = False
        except OSError:  # a file system without locks
            return
        if not free:
            raise FaimError(f"{self.folder}: another run writes there; expected one at a time")

    def _scan(self) -> None:
        self._file.seek(0)
        start = 0
        for line in self._file:
            fingerprint, _ = _parse(line)
            if not fingerprint:
                break
            self._lines[fingerprint] = start
            start += len(line)
        self._file.truncate(start)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _parse(line: bytes) -> tuple[str, Any]:
    """Fingerprint and value of a line; an empty one if the line is cut off or damaged."""
    if not line.endswith(b"\n"):
        return "", None
    try:
        content = parse_json_value(line, "a line", "a fingerprint and a value")
    except FaimError:
        return "", None
    sound = isinstance(content, list) and len(content) == 2 and isinstance(content[0], str)
    return (content[0], content[1]) if sound else ("", None)


def fingerprints(
    jobs: Sequence[object],
    read: Callable[..., Any],
    classes: Sequence[object],
    base: Path,
    strict: bool,
) -> list[str]:
    """For each job a digest of everything that decides what comes of it."""
    options: list[Any] = []
    while isinstance(read, partial):
        options.append((read.args, sorted(read.keywords.items())))
        read = read.func
    name = f"{read.__module__}.{getattr(read, '__qualname__', read)}"
    return digests(jobs, (FORMAT, name, options, tuple(classes), str(base.resolve()), strict))


def digests(jobs: Sequence[Any], common: object) -> list[str]:
    """For each job a digest of its `repr` and that of what is common to all."""
    start = hashlib.sha256(repr(common).encode())
    found = []
    for job in jobs:
        digest = start.copy()
        digest.update(repr(job).encode())
        found.append(digest.hexdigest()[:32])
    return found
