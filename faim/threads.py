"""How many threads a process may keep busy, and how they wait for each other.

An OpenMP thread that waits spins. Where other programs want the processors too, all threads of a
step wait, spinning, for the one that has none: torch then takes 10 times as long and more.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_CGROUPS, _OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def share_processors() -> None:
    """Let this process's OpenMP threads wait asleep, and have no more than it has processors.

    OpenMP looks once, when torch is imported; afterwards this does nothing. What the user has set
    in the environment stays.
    """
    if "torch" in sys.modules:
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    usable = usable_processors()
    if usable < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(usable))


def set_torch_threads(backend: str, threads: int | None) -> None:
    """Give torch its threads, for the whole process, where `backend` runs the networks.

    Beside a backend of its own all that torch still does are small tensors on the host: a second
    thread is no help there, and where the backend keeps that core busy, waiting for it takes longer
    than all the rest. Where torch runs the networks it has `threads`, by default those it has.
    """
    import torch

    if backend != "torch":
        torch.set_num_threads(1)
    elif threads is not None:
        torch.set_num_threads(threads)


def usable_processors() -> int:
    """Processors that this process may use, by its affinity and its container's quota; 1 or more.

    `os.cpu_count` counts those of the machine.
    """
    allowed = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    return max(math.ceil(min(allowed, _quota())), 1)


def _quota() -> float:
    """Processors' worth of time that the control group has; infinite where there is no limit."""
    lines = [line for line in _text(_OWN_GROUP).splitlines() if line.startswith("0::")]
    folder = _CGROUPS / (lines[0][3:].lstrip("/") if lines else "")
    # Every group above counts; within a container the mounted folder is the container's own.
    places = [place for place in (folder, *folder.parents) if place.is_relative_to(_CGROUPS)]
    version_1 = [_text(_CGROUPS / "cpu" / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
    found = [math.inf]
    for text in (*(_text(place / "cpu.max") for place in places), " ".join(version_1)):
        limits = text.split()
        if len(limits) == 2 and all(limit.isdigit() for limit in limits):  # not "max", nor -1
            found.append(int(limits[0]) / max(int(limits[1]), 1))
    return min(found)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
