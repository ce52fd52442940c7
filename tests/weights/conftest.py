from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger
from release_server import CONTENT, ReleaseServer, serving

from faim.weights import download
from faim.weights.known import KNOWN, KnownWeights, Release


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an empty working folder, no proxy, and no pauses."""
    monkeypatch.setenv("FAIM_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(download, "PAUSES", (0.0, 0.0))
    return tmp_path / "cache/weights"


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def release(server: ReleaseServer) -> Release:
    return Release(server.url(), len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def known(release: Release, monkeypatch: pytest.MonkeyPatch) -> KnownWeights:
    """`yolox_s`, as the server has it."""
    known = KnownWeights("YOLOX-S", "80 of COCO", "yolox_s.pth", release)
    monkeypatch.setitem(KNOWN, "yolox_s", known)
    return known


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache/weights/yolox_s.pth"


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged."""
    lines: list[str] = []
    number = logger.add(lambda line: lines.append(str(line).strip()), format="{message}")
    yield lines
    logger.remove(number)
