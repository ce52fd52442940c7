"""The folder of an unfinished run over videos: a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from faim.data.converters.items import Category, Job

#: Changed when the lines or what goes into them changes.
FORMAT = 1


class Unfinished:
    """Videos that are done, one JSON line each, in `<out>.part/videos.jsonl`.

    A line counts only for the same fingerprint: the job and all that decides what comes of it. What
    the files that it names held is not compared: after a change to the data, delete the folder.

    Attributes:
        folder: `<out>.part`.
    """

    def __init__(self, out: Path) -> None:
        """Look at what an earlier run left; a cut off last line is dropped.

        Raises:
            OSError: the folder cannot be made or read.
        """
        self.folder = out.with_name(out.name + ".part")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._path = self.folder / "videos.jsonl"
        self._lines: dict[str, int] = {}
        self._file: IO[bytes] = self._path.open("a+b")
        self._scan()

    def __contains__(self, fingerprint: str) -> bool:
        """Whether the job of this fingerprint is done."""
        return fingerprint in self._lines

    def append(self, fingerprint: str, line: bytes) -> None:
        """Keep a job's JSON, which holds no line break."""
        self._lines[fingerprint] = self._file.seek(0, 2)
        self._file.write(b'["%s",%s]\n' % (fingerprint.encode(), line))
        self._file.flush()

    def read(self, fingerprints: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The values kept for these jobs, in this order."""
        for fingerprint in fingerprints:
            self._file.seek(self._lines[fingerprint])
            yield json.loads(self._file.readline())[1]

    def __enter__(self) -> Unfinished:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the file; without an exception, or with nothing to keep, the folder goes."""
        self._file.close()
        if kind is None or not self._lines:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _scan(self) -> None:
        self._file.seek(0)
        start = 0
        for line in self._file:
            try:
                fingerprint, _ = json.loads(line) if line.endswith(b"\n") else ("", None)
            except (ValueError, TypeError):
                fingerprint = ""
            if not fingerprint:
                break
            self._lines[fingerprint] = start
            start += len(line)
        self._file.truncate(start)


def fingerprints(
    jobs: Sequence[Job],
    read: Callable[..., Any],
    classes: Sequence[Category],
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
