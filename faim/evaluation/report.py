"""Figures of an evaluation as a table for people and a dictionary for programs."""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from faim.errors import FaimError
from faim.evaluation.average_precision import ApResult
from faim.evaluation.stability import Stability

_PACKAGES = (
    "faim",
    "torch",
    "torchvision",
    "pixeltable-yolox",
    "opencv-python",
    "faster-coco-eval",
)


@dataclass(frozen=True)
class ModeFigures:
    """One mode's figures.

    Attributes:
        ap: average precision.
        stability: share found and flips.
        ms_per_frame: median milliseconds.
    """

    ap: ApResult
    stability: Stability
    ms_per_frame: float


def print_modes(
    figures: Mapping[str, ModeFigures], title: str, caption: str, console: Console
) -> None:
    """The modes side by side, then the AP of every class."""
    table = Table(title=title, caption=caption)
    table.add_column("")
    for mode in figures:
        table.add_column(mode, justify="right")
    rows: tuple[tuple[str, Iterable[str]], ...] = (
        ("AP50", (f"{f.ap.ap50:.1f}" for f in figures.values())),
        ("AP75", (f"{f.ap.ap75:.1f}" for f in figures.values())),
        ("AP50:95", (f"{f.ap.ap50_95:.1f}" for f in figures.values())),
        ("found %", (number(f.stability.found_share) for f in figures.values())),
        ("flips / 100", (number(f.stability.flips_per_100) for f in figures.values())),
        ("ms a frame", (number(f.ms_per_frame) for f in figures.values())),
    )
    for name, cells in rows:
        table.add_row(name, *cells)
    console.print(table)
    classes = Table(title="AP50 (AP50:95) of every class")
    classes.add_column("class")
    for mode in figures:
        classes.add_column(mode, justify="right")
    for name in next(iter(figures.values())).ap.per_class:
        values = (f.ap.per_class[name] for f in figures.values())
        classes.add_row(name, *(f"{ap50:.1f} ({ap50_95:.1f})" for ap50, ap50_95 in values))
    console.print(classes)


def as_dictionary(figures: Mapping[str, ModeFigures]) -> dict[str, Any]:
    """The figures by mode, ready for JSON; what is not known is None."""
    return {
        mode: {
            **{name: _known(getattr(f.ap, name)) for name in ("ap50", "ap75", "ap50_95")},
            "per_class": {
                name: {"ap50": ap50, "ap50_95": ap50_95}
                for name, (ap50, ap50_95) in f.ap.per_class.items()
            },
            **{name: _known(value) for name, value in asdict(f.stability).items()},
            "ms_per_frame": _known(f.ms_per_frame),
        }
        for mode, f in figures.items()
    }


def machine() -> dict[str, Any]:
    """Where the figures were measured."""
    return {
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def check_writable(path: Path) -> None:
    """Find out before the work whether a report can be written; makes its folder.

    Raises:
        FaimError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaimError(
            f"{path}: cannot make its folder ({error}); expected a place to write"
        ) from error
    try:
        # Asking for permission alone is not enough: some file systems refuse root too.
        with tempfile.TemporaryFile(dir=path.parent):
            writable = not path.is_dir()
    except OSError:
        writable = False
    if not writable:
        raise FaimError(f"{path}: cannot be written; expected a file name in a writable folder")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write the report, whole or not at all.

    Raises:
        FaimError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise FaimError(f"{path}: cannot be written ({error})") from error


def number(value: float) -> str:
    """One decimal, or a dash where there is no value."""
    return "-" if math.isnan(value) else f"{value:.1f}"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
