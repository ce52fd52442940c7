"""What `real_video.py` found, as figures over seeds and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from lab.masks import NONE
from lab.partial_labels import FIGURES
from lab.spread import spread

#: By mode of the trained rows, the mode of the base detector that is without training like it.
FREE = {
    "stream": "stream, training-free",
    "stream + causal": "stream, training-free",
    "global": "global, affinity",
}
TITLES = {
    "found_share": "found %",
    "flips_per_100": "flips / 100",
    "wrong_labels": "wrong labels %",
    "boxes_per_frame": "boxes / frame",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap50_own": "AP50 own",
}
#: The gains that the tables show; the JSON file has all.
SHOWN = ("ap50", "found_share")
#: Of the base detector, the modes that are shown beside a mode of the trained rows.
BESIDE = {
    "stream": ("frame", "stream, affinity", "stream, training-free"),
    "stream + causal": ("frame", "stream, affinity", "stream, training-free"),
    "global": ("frame", "global, affinity"),
}

#: By mode and figure; None where there was nothing to measure.
Scores = Mapping[str, Mapping[str, Any]]


def summary(
    row: Mapping[str, Scores], none: Mapping[str, Scores], base: Scores
) -> dict[str, dict[str, Any]]:
    """A row's figures over its seeds, and what it gains.

    Args:
        row: figures by seed and mode.
        none: the same of the row with lambda = 0, with at least those seeds.
        base: figures by mode of the base detector.

    Returns:
        By mode and figure: `mean` and `std`; `over_none`, paired seed by seed, and `over_free`,
        against the same kind of mode without training, each with `mean` and `std`. And by mode
        `unseen`: `mean` and `std` of the classes that the training data have no object of; `worst`:
        points of found that the sequence gains which fares worst, against frame by frame, and its
        name.
    """
    found: dict[str, dict[str, Any]] = {}
    for mode, free in FREE.items():
        found[mode] = {}
        for figure in FIGURES:
            values = {seed: row[seed][mode][figure] for seed in row}
            others = {seed: none[seed][mode][figure] for seed in row}
            alone = dict.fromkeys(row, base[free][figure])
            found[mode][figure] = {
                **spread([*values.values()]),
                "over_none": spread(_gains(values, others)),
                "over_free": spread(_gains(values, alone)),
            }
        found[mode]["unseen"] = {
            figure: spread([row[seed][mode]["unseen"][figure] for seed in row])
            for figure in FIGURES
        }
        found[mode]["worst"] = worst([scores[mode]["found"] for scores in row.values()], base)
    return found


def worst(found: Sequence[Mapping[str, float]], base: Scores) -> dict[str, Any]:
    """The least `gain` of a sequence over frame by frame, mean of the seeds, and its `sequence`."""
    gain, sequence = min(
        (mean(seed[name] for seed in found) - alone, name)
        for name, alone in base["frame"]["found"].items()
    )
    return {"gain": gain, "sequence": sequence}


def _gains(
    values: Mapping[str, float | None], others: Mapping[str, float | None]
) -> list[float | None]:
    pairs = [(values[key], others[key]) for key in values]
    return [None if a is None or b is None else a - b for a, b in pairs]


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """A table a mode for the shared classes, and one for those never seen in training."""
    groups = report["classes"]
    for mode in FREE:
        console.print(_table(mode, report))
    if groups["unseen"]:
        console.print(_unseen(report))
    console.print(
        f"Classes that both sets have: {', '.join(groups['shared'])}. Never seen in training: "
        f"{', '.join(groups['unseen']) or 'none'}. AP on the clean sequences "
        f"({', '.join(report['clean'])}); AP50 own: each class on its own of them. Gains are over "
        f"{NONE} (lambda = 0), seed by seed, and over the base detector's training-free mode. "
        f"{report['seconds'] / 60:.0f} minutes of computation.",
        soft_wrap=True,
    )


def _table(mode: str, report: Mapping[str, Any]) -> Table:
    seeds = len(next(iter(report["rows"].values())))
    title = f"{mode}: shared classes, mean and standard deviation of {seeds} trainings"
    table = Table(title=title)
    table.add_column("training", no_wrap=True)
    gains = [f"{TITLES[name]} over {other}" for other in (NONE, "free") for name in SHOWN]
    for name in ("J", "steps", *TITLES.values(), *gains, "worst: found"):
        table.add_column(name, justify="right")
    for name in BESIDE[mode]:
        cells = (_number(report["base"][name][f], _decimals(f)) for f in FIGURES)
        table.add_row(f"({name})", "", "", *cells, *[""] * (len(gains) + 1))
    for name, row in report["summary"].items():
        over = (row[mode][f][k] for k in ("over_none", "over_free") for f in SHOWN)
        table.add_row(
            name,
            _jaccard(name, report["masks"]),
            _steps([*report["steps"][name].values()]),
            *(_cell(row[mode][f], "", _decimals(f)) for f in FIGURES),
            *(_cell(gain, "+") for gain in over),
            "{gain:+.1f} ({sequence})".format(**row[mode]["worst"]),
        )
    return table


def _unseen(report: Mapping[str, Any]) -> Table:
    table = Table(title="classes never seen in training, whose scores are the base detector's")
    table.add_column("training", no_wrap=True)
    shown = ("found_share", "flips_per_100", "ap50")
    for mode in FREE:
        for figure in shown:
            table.add_column(f"{mode}: {TITLES[figure]}", justify="right")
    for name, scores in report["base"].items():
        cells = [_number(scores["unseen"][figure]) for figure in shown]
        places = [cells if name in BESIDE[mode] else [""] * len(shown) for mode in FREE]
        table.add_row(f"({name})", *(cell for place in places for cell in place))
    for name, row in report["summary"].items():
        table.add_row(name, *(_cell(row[m]["unseen"][f], "") for m in FREE for f in shown))
    return table


def _jaccard(name: str, masks: Mapping[str, Mapping[str, float]]) -> str:
    if name.startswith("true"):
        return "100.0"
    return f"{100 * masks[name]['jaccard']:.1f}" if name in masks else "-"


def _steps(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}-{high}"


def _decimals(figure: str) -> int:
    return 2 if figure == "boxes_per_frame" else 1


def _number(value: float | None, decimals: int = 1) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def _cell(figures: Mapping[str, Any], sign: str, decimals: int = 1) -> str:
    if figures["mean"] is None:
        return "-"
    text = format(figures["mean"], f"{sign}.{decimals}f")
    return (
        text if figures["std"] is None else f"{text}±{figures['std']:.{decimals}f}"
    )  # one word, never broken in two
