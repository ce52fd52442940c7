"""Fetches that are interrupted, or that two run at once."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from release_server import CONTENT, ReleaseServer

from faim.errors import FaimError
from faim.weights import download as module
from faim.weights.download import download
from faim.weights.known import Release

TOTAL = len(CONTENT)


def test_a_full_disk_is_told_and_gone_on_from(
    server: ReleaseServer, release: Release, place: Path
) -> None:
    """A limit on the size of files stands for the disk's end."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(FaimError, match=r"part: cannot be written \(File too large\)"):
            download(release, place, "yolox_s")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    download(release, place, "yolox_s")
    assert server.asked == [None, "bytes=1000000-"]
    assert place.read_bytes() == CONTENT


def test_two_at_once_fetch_once(server: ReleaseServer, release: Release, place: Path) -> None:
    server.gate.clear()
    fetch = (
        "import sys; from pathlib import Path; from faim.weights.download import download; "
        "from faim.weights.known import Release; "
        "url, size, sha, place = sys.argv[1:]; "
        "download(Release(url, int(size), sha), Path(place), 'yolox_s'); print('done')"
    )
    line = [sys.executable, "-c", fetch, release.url, str(TOTAL), release.sha256, str(place)]
    both = [
        subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    waits = "".join(_first_lines(both))
    assert "another run is fetching it; waiting for that" in waits
    server.gate.set()
    assert [process.communicate(timeout=60)[0] for process in both] == ["done\n", "done\n"]
    assert server.asked == [None]
    assert [path.name for path in place.parent.iterdir()] == ["yolox_s.pth"]


def _first_lines(processes: list[subprocess.Popen[str]]) -> list[str]:
    """What each says first, in parallel."""
    lines = [""] * len(processes)

    def read(number: int, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        lines[number] = process.stderr.readline()

    threads = [threading.Thread(target=read, args=pair) for pair in enumerate(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return lines


def test_ctrl_c_between_two_tries_keeps_it_too(
    server: ReleaseServer,
    release: Release,
    place: Path,
    said: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupt)
    server.cuts = [1_000_000]
    with pytest.raises(KeyboardInterrupt):
        download(release, place, "yolox_s")
    assert said[-1] == "yolox_s: 1.0 MB of 3.1 MB have come; the next run goes on from there"


def test_ctrl_c_keeps_what_has_come(
    server: ReleaseServer, release: Release, place: Path, said: list[str]
) -> None:
    server.gate.clear()
    part = place.with_name("yolox_s.pth.part")

    def interrupt() -> None:
        for _ in range(500):
            if part.exists() and part.stat().st_size == TOTAL // 2:
                break
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        download(release, place, "yolox_s")
    thread.join()
    assert said[-1] == "yolox_s: 1.5 MB of 3.1 MB have come; the next run goes on from there"
    server.gate.set()
    download(release, place, "yolox_s")
    assert server.asked == [None, f"bytes={TOTAL // 2}-"]
    assert place.read_bytes() == CONTENT
