"""What several tests share."""

import os
import signal
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


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_works() -> None:
    """Here and in the processes that tests start, also where a script runs them in the background.

    There SIGINT is ignored, which processes inherit.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _as_at_the_start() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    torch.set_flush_denormal(False)  # which a training sets for the whole process
