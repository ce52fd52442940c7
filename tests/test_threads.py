"""Threads of a process that shares its machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from faim import threads


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu.max": "900000 100000", "a/b/cpu.max": "400000 100000"}, 4),
        ({"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu.max": "no numbers at all"}, 8),
    ],
)
def test_usable_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "own").write_text("3:cpu:/\n0::/a/b\n")
    monkeypatch.setattr(threads, "_CGROUPS", tmp_path)
    monkeypatch.setattr(threads, "_OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert threads.usable_processors() == expected


def test_threads_wait_asleep_unless_the_user_says_otherwise() -> None:
    """Before torch is there, whose OpenMP looks once."""
    script = (
        "import os, sys; from faim.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    for preset, expected in (
        ({}, "PASSIVE False"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE False"),
    ):
        environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | preset
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize(
    ("backend", "asked", "has"), [("openvino", 3, 1), ("torch", 3, 3), ("torch", None, 2)]
)
def test_torch_has_one_thread_beside_another_backend(
    backend: str, asked: int | None, has: int
) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        threads.set_torch_threads(backend, asked)
        assert torch.get_num_threads() == has
    finally:
        torch.set_num_threads(before)
