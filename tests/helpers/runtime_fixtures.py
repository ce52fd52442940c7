from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from grouped import make_detector
from runtime_helpers import FakeModel
from select_helpers import FakeRunner

from faim.runtime import select
from faim.runtime.pipeline import Detector


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def detector(model: FakeModel) -> Detector:
    return make_detector(model, score_threshold=0.0, bank_policy="recent")


@pytest.fixture
def as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No backend is preset, no cache is shared; the number of threads is put back."""
    monkeypatch.delenv("FAIM_BACKEND", raising=False)
    monkeypatch.setenv("FAIM_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def everything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backends and exporters are there; the backends' runners are stand-ins."""
    monkeypatch.setattr(select, "find_spec", lambda name: object())
    monkeypatch.setattr(
        select, "_runner", lambda backend, folder, options: FakeRunner(backend, folder)
    )
