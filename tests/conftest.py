"""What several tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

# Other backends export the graphs first, which takes longer than a test; those ask for them.
os.environ.setdefault("FAIM_BACKEND", "torch")
# OpenVINO and NNCF report their use over the network, except in CI.
os.environ.setdefault("CI", "true")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of papers, data and reference weights beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the folder of shared data is not beside this repository")
    return SHARED


@pytest.fixture(autouse=True)
def _as_at_the_start() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    torch.set_flush_denormal(False)  # which a training sets for the whole process
