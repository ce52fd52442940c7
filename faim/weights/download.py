"""A released file from the web: checked, and whole or not at all; interrupted, it is gone on with.

What has come so far is `FILE.part` beside the place of the file. The process that has it locked
fetches; others wait.
"""

from __future__ import annotations

import http.client
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from loguru import logger
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from faim.cache import CACHE_VARIABLE
from faim.errors import FaimError
from faim.files import sha256_of
from faim.version import __version__
from faim.weights.known import Release
from faim.wording import megabytes

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Seconds that a server may be silent.
TIMEOUT = 30.0
#: Seconds before a request is repeated that brought nothing.
PAUSES = (1.0, 2.0, 4.0, 8.0)
_CHUNK = 1 << 20
#: Answers of servers that may be others in a moment.
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE_NOT_SATISFIABLE = 416


class _BrokenError(Exception):
    """A transfer has failed in a way that the next one may not."""


def is_whole(path: Path, release: Release) -> bool:
    """Whether a file is the released one, by size and checksum."""
    try:
        return path.stat().st_size == release.size and sha256_of(path) == release.sha256
    except OSError:
        return False


def download(release: Release, place: Path, name: str) -> None:
    """Fetch a released file, unless it is there.

    Proxies are taken from the environment (`HTTPS_PROXY` ...).

    Args:
        release: the file.
        place: where it goes; another file there is replaced.
        name: what users call it.

    Raises:
        FaimError: it cannot be fetched or written, or is not what was released.
        KeyboardInterrupt: Ctrl-C; what has come is kept.
    """
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with _held(part) as file:
            if is_whole(place, release):  # another process was quicker
                return
            if place.exists():
                logger.warning("{}: is not the released file; fetched again", place)
            _Transfer(release, place, name, file).run()
            if fcntl is None:
                file.close()  # Windows renames no open file
            part.replace(place)
    except OSError as error:
        raise FaimError(
            f"{part}: cannot be written ({error.strerror or error}); expected a writable folder "
            f"with space left, or another one in {CACHE_VARIABLE}"
        ) from error


@contextmanager
def _held(part: Path) -> Iterator[FileIO]:
    """The part, opened to append, while no other process has it; taken away if it is empty."""
    while True:
        with part.open("ab", buffering=0) as file:
            if not _lock(file, part):
                continue
            try:
                yield file
            finally:
                if not file.closed and not os.fstat(file.fileno()).st_size:
                    part.unlink(missing_ok=True)
            return


def _lock(file: IO[bytes], part: Path) -> bool:
    """Wait for the part; whether the file is still what has its name."""
    if fcntl is None:
        return True
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("{}: another run is fetching it; waiting for that", part)
            fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return True
    try:
        return os.path.samestat(os.fstat(file.fileno()), part.stat())
    except FileNotFoundError:
        return False


class _Transfer:
    """One file on its way."""

    def __init__(self, release: Release, place: Path, name: str, file: FileIO) -> None:
        self.release, self.place, self.name, self.file = release, place, name, file
        #: Whether the server has sent something; from then on, failures count as passing.
        self.connected = False

    @property
    def have(self) -> int:
        """Bytes that have come."""
        return os.fstat(self.file.fileno()).st_size

    def run(self) -> None:
        """Have the whole file."""
        try:
            self._run()
        except KeyboardInterrupt:
            if self.have:
                logger.warning(
                    f"{self.name}: {megabytes(self.have)} of {megabytes(self.release.size)} "
                    "have come; the next run goes on from there"
                )
            raise

    def _run(self) -> None:
        if self.have > self.release.size:
            self.file.truncate(0)
        resumed = self.have
        self._check_space()
        logger.info(
            f"{self.name}: fetching {megabytes(self.release.size)} from {self.release.url}"
            + (f", {megabytes(resumed)} are there" if resumed else "")
        )
        self._fetch()
        part = Path(self.file.name)
        if resumed and sha256_of(part) != self.release.sha256:
            logger.warning("{}: what was there is of another file; from the start", part)
            self.file.truncate(0)
            self._fetch()
        found = sha256_of(part)
        if found != self.release.sha256:
            self.file.truncate(0)
            raise self._error(f"has SHA-256 {found}, not {self.release.sha256}")

    def _check_space(self) -> None:
        free, needed = shutil.disk_usage(self.place.parent).free, self.release.size - self.have
        if free < needed:
            raise FaimError(
                f"{self.place}: {megabytes(needed)} are still to come, and {megabytes(free)} are "
                f"free there; expected space, or another folder in {CACHE_VARIABLE}"
            )

    def _fetch(self) -> None:
        """All that is missing, in as many requests as that takes."""
        pauses, most = iter(PAUSES), self.have
        with _progress() as progress:
            task = progress.add_task(self.name, total=self.release.size, completed=self.have)

            def show() -> None:
                progress.update(task, completed=self.have)

            while self.have < self.release.size:
                try:
                    self._request(show)
                except _BrokenError as broken:
                    if self.have > most:
                        pauses, most = iter(PAUSES), self.have
                    pause = next(pauses, None)
                    if pause is None:
                        raise self._error(f"cannot be fetched ({broken})") from broken
                    logger.warning("{}: {}; goes on in {:g} s", self.name, broken, pause)
                    time.sleep(pause)

    def _request(self, show: Callable[[], None]) -> None:
        """Append what one answer of the server holds.

        Raises:
            _BrokenError: that was not all that is missing.
        """
        with self._opened() as response:
            begin, total = _extent(response)
            if not 0 <= begin <= self.have:
                self.file.truncate(0)
                raise _BrokenError("the server sent another part than the one asked for")
            if total not in (None, self.release.size):
                raise self._error(f"has {total} bytes, not {self.release.size}")
            self.file.truncate(begin)
            for chunk in _chunks(response):
                if self.have + len(chunk) > self.release.size:
                    self.file.truncate(0)
                    raise self._error(f"has more than {self.release.size} bytes")
                self.connected = True
                while chunk:
                    chunk = chunk[self.file.write(chunk) :]
                show()
        if self.have < self.release.size:
            raise _BrokenError(f"the connection ended after {megabytes(self.have)}")

    def _opened(self) -> Any:
        headers = {"User-Agent": f"faim/{__version__}"}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
        try:
            return urlopen(Request(self.release.url, headers=headers), timeout=TIMEOUT)
        except HTTPError as error:
            if error.code == _RANGE_NOT_SATISFIABLE and self.have:
                self.file.truncate(0)
                raise _BrokenError("the server has not so many bytes") from error
            answer = f"the server answers {error.code} {error.reason}"
            if error.code in _BUSY:
                raise _BrokenError(answer) from error
            raise self._error(f"cannot be fetched ({answer})") from error
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            lost = isinstance(reason, ConnectionResetError | http.client.HTTPException)
            if self.connected or lost:
                raise _BrokenError(_told(reason)) from error
            # There is no network, or no way to that server, which is soon told.
            raise self._error(f"cannot be fetched ({_told(reason)})") from error

    def _error(self, wrong: str) -> FaimError:
        """What is wrong with the address, and the way out."""
        return FaimError(
            f"{self.name}: {self.release.url} {wrong}; expected the released file, which may also "
            f"be put by hand at {self.place}"
        )


def _extent(response: Any) -> tuple[int, int | None]:
    """Where in the file an answer begins, and how many bytes the file has, if that is told.

    Of a part that does not say what part it is, -1.
    """
    if response.status == http.client.PARTIAL_CONTENT:
        # "bytes 100-199/200", or "bytes 100-199/*"
        extent, _, total = response.headers.get("Content-Range", "").partition("/")
        begin = extent.removeprefix("bytes ").partition("-")[0]
        return int(begin) if begin.isdigit() else -1, int(total) if total.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _chunks(response: Any) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenError(_told(error)) from error
        if not chunk:
            return
        yield chunk


def _told(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT:g} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or repr(error)


def _progress() -> Progress:
    console = Console(stderr=True)  # stdout may carry results
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
