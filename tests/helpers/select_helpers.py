"""Backends that are not there, and what the tests of their choice share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faim.backends.info import ExportInfo
from faim.families.yolox.config import FaimConfig
from faim.runtime.select import BackendOptions, open_detector

CONFIG = FaimConfig(variant="nano", class_names=("dog", "cat"), test_size=(64, 64))
INFO = ExportInfo("frame", CONFIG, "affinity", 1, False, "fp32", {"faim": "0"})


@dataclass
class FakeRunner:
    """Stands for a backend that is installed."""

    backend: str
    folder: Path
    info: ExportInfo = INFO
    precision: str = "fp32"
    device: str = "cpu"

    def run(self, graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        return {}


def chosen(weights: Path, **values: Any) -> str:
    """The backend that runs."""
    return open_detector(weights, BackendOptions(**values)).traits.runs_on.split()[0]
