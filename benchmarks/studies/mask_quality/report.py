"""What `mask_quality.py` found, as figures over seeds and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.jobs import LEVELS
from lab.spread import spread

MODES = ("stream", "global")

#: Average precision in percent, by mode and level.
Figures = Mapping[str, Mapping[str, float]]


def summary(row: Mapping[str, Figures], none: Mapping[str, Figures]) -> dict[str, Any]:
    """A row's figures over its seeds, and what it gains over the row without masks.

    Args:
        row: figures by seed.
        none: the same of the row without masks, with at least those seeds.

    Returns:
        By mode and level `mean`, `std` and `gain`; the gain is paired, seed by seed, with its own
        `mean`, `std` and `each`.
    """
    found: dict[str, Any] = {}
    for mode in MODES:
        found[mode] = {}
        for level in LEVELS:
            gains = {s: row[s][mode][level] - none[s][mode][level] for s in row}
            found[mode][level] = {
                **spread([row[s][mode][level] for s in row]),
                "gain": {**spread([*gains.values()]), "each": gains},
            }
    return found


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """A table a mode, a row each source of masks."""
    seeds = len(next(iter(report["rows"].values())))
    for mode in MODES:
        title = f"{mode}: AP in percent, mean and standard deviation of {seeds} trainings"
        table = Table(title=title)
        table.add_column("masks", no_wrap=True)
        for name in ("J", "F", *LEVELS.values(), "gain in AP50", "seed by seed"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, start in report["starts"].items():
            levels = (f"{start['modes'][mode][level]:.1f}" for level in LEVELS)
            table.add_row(f"({name})", "", "", *levels, "", "")
        for name, row in report["summary"].items():
            table.add_row(name, *_quality(name, report["masks"]), *_cells(row[mode]))
        console.print(table)
    frame = report["starts"]["base"]["modes"]["frame"]
    console.print(
        f"base detector alone, frame by frame: AP50 {frame['ap50']:.1f}; (base) is the same with "
        "training-free aggregation. Gains are over none, seed by seed. "
        f"{report['seconds'] / 60:.0f} minutes of computation.",
        soft_wrap=True,
    )


def _quality(name: str, masks: Mapping[str, Mapping[str, float]]) -> tuple[str, str]:
    if name == "true":
        return "100.0", "100.0"
    if name not in masks:
        return "-", "-"
    return f"{100 * masks[name]['jaccard']:.1f}", f"{100 * masks[name]['boundary']:.1f}"


def _cells(levels: Mapping[str, Mapping[str, Any]]) -> list[str]:
    gain = levels["ap50"]["gain"]
    each = " ".join(f"{value:+.1f}" for value in gain["each"].values())
    return [*(_cell(levels[level], "") for level in LEVELS), _cell(gain, "+"), each]


def _cell(figures: Mapping[str, Any], sign: str) -> str:
    text = format(figures["mean"], f"{sign}.1f")
    return text if figures["std"] is None else f"{text} ± {figures['std']:.1f}"
