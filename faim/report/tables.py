"""The figures of `run.json` as tables, one column a run and mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from faim.report.columns import Column
from faim.report.run_folder import figure

#: What a figure is called, its key in `run.json`, and whether more of it is better; None if neither
#: more nor less is.
_SUMMARY = (
    ("AP50", "ap50", True),
    ("AP75", "ap75", True),
    ("AP50:95", "ap50_95", True),
    ("objects found, %", "found_share", True),
    ("flips in 100 transitions", "flips_per_100", False),
    ("objects with a wrong label, %", "wrong_labels", False),
    ("ms a frame", "ms_per_frame", False),
)
_STABILITY = (
    ("objects found, %", "found_share", True),
    ("found, mean over objects, %", "found_share_per_instance", True),
    ("flips in 100 transitions", "flips_per_100", False),
    ("class switches", "class_switches", False),
    ("jitter of the centre, %", "centre_jitter", False),
    ("jitter of the size, %", "size_jitter", False),
)
_VIEWER = (
    ("objects with a wrong label, %", "wrong_labels", False),
    ("pairs of boxes of different classes in one place, in 100 frames", "double_names", False),
    ("pairs of boxes of one class in one place, in 100 frames", "double_boxes", False),
    ("ghosts of more than 2 frames, %", "ghosts_over_2", False),
)
#: Numbers so small that they want a second decimal.
_VIEWER_COUNTS = (
    ("frames a box outlives its object, median", "ghost_median", False),
    ("frames a box outlives its object, mean", "ghost_mean", False),
    ("boxes a frame", "boxes_per_frame", None),
    ("boxes a frame on no labelled object of their class", "unmatched_boxes", False),
)
_GROUPS = (
    ("By speed of motion", "by_speed"),
    ("By size of the object", "by_size"),
    ("By split", "by_split"),
    ("By degradation", "by_degradation"),
)
_SHARES = (("AP50", "ap50"), ("AP75", "ap75"), ("AP50:95", "ap50_95"))
#: In place of a figure that a run does not have.
UNKNOWN = "\N{EN DASH}"
_ABOUT = (
    ("weights", "weights"),
    ("aggregation", "aggregate"),
    ("network input", "size"),
    ("backend", "backend"),
    ("precision", "precision"),
    ("device", "device"),
    ("past frames (bank)", "bank_frames"),
    ("which past frames", "bank_policy"),
    ("frames together", "test_frames"),
    ("their choice", "sampling"),
    ("proposals a frame", "proposals"),
    ("postprocessing", "post"),
    ("model of postprocessing", "post_model"),
)
#: Settings that concern a single mode.
_MODE_OF = {
    "bank_frames": "stream",
    "bank_policy": "stream",
    "test_frames": "global",
    "sampling": "global",
}


@dataclass(frozen=True)
class Cell:
    """A figure as text; `best` where no other column of its row is better."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of a name and one cell a column."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    note: str = ""


def summary(columns: Sequence[Column]) -> Table:
    """The figures that every run has; those that no column has are left out."""
    return Table("Summary", columns, _rows(columns, _SUMMARY))


def stability(columns: Sequence[Column]) -> Table:
    """How steadily objects are found."""
    return Table("Stability", columns, _rows(columns, _STABILITY))


def viewer(columns: Sequence[Column]) -> Table:
    """What a viewer sees, as far as the runs say."""
    rows = [*_rows(columns, _VIEWER), *_rows(columns, _VIEWER_COUNTS, decimals=2)]
    note = (
        "Of all classes that the weights know, at score 0.3. Boxes on no labelled object are false "
        "where all objects have a label."
    )
    return Table("What a viewer sees", columns, rows, note)


def errors(columns: Sequence[Column]) -> Table:
    """AP50 that each kind of error costs."""
    kinds = _keys(columns, "errors")
    rows = [
        numbers(kind, (figure(c.figures, "errors", kind) for c in columns), False) for kind in kinds
    ]
    note = "Points of AP50 to be won if this kind of error alone were mended (TIDE)."
    return Table("Errors", columns, rows, note)


def groups(columns: Sequence[Column]) -> list[Table]:
    """AP by speed, size, split and degradation, as far as the runs have them."""
    return [
        Table(title, columns, rows)
        for title, key in _GROUPS
        if (rows := _group_rows(columns, key, _SHARES))
    ]


def per_class(columns: Sequence[Column]) -> Table:
    """AP50 of every class."""
    return Table("AP50 of every class", columns, _group_rows(columns, "per_class", _SHARES[:1]))


def about(columns: Sequence[Column]) -> Table:
    """What was run; what no run says is left out."""
    rows = []
    for name, key in _ABOUT:
        values = [_setting(column, key) for column in columns]
        if any(value is not None for value in values):
            rows.append((name, [Cell(_text(value)) for value in values]))
    return Table("What was run", columns, rows)


def machines(columns: Sequence[Column]) -> str:
    """One sentence about where the times were measured."""
    told = {_machine(column): None for column in columns}
    if len(told) == 1:
        return f"Measured on {next(iter(told))}."
    places = "; ".join(f"{_machine(column)} ({column.number})" for column in columns)
    return f"Measured on different machines, so that times cannot be compared: {places}."


def numbers(
    name: str, values: Iterable[float], more_is_better: bool | None, decimals: int = 1
) -> tuple[str, list[Cell]]:
    """A row: so many decimals each, a dash for NaN, the best marked if there is a best.

    Values that read the same are equally good.
    """
    known = [round(value, decimals) for value in values]
    finite = [value for value in known if not math.isnan(value)]
    choose: Callable[[list[float]], float] = max if more_is_better else min
    differ = more_is_better is not None and len(set(finite)) > 1
    best = choose(finite) if differ else math.nan
    texts = [UNKNOWN if math.isnan(v) else f"{v:.{decimals}f}" for v in known]
    return name, [Cell(text, v == best) for text, v in zip(texts, known, strict=True)]


def _rows(
    columns: Sequence[Column], wanted: Iterable[tuple[str, str, bool | None]], decimals: int = 1
) -> list[tuple[str, list[Cell]]]:
    rows = []
    for name, key, more_is_better in wanted:
        values = [figure(column.figures, key) for column in columns]
        if not all(map(math.isnan, values)):
            rows.append(numbers(name, values, more_is_better, decimals))
    return rows


def _group_rows(
    columns: Sequence[Column], key: str, shares: Sequence[tuple[str, str]]
) -> list[tuple[str, list[Cell]]]:
    rows = []
    for group in _keys(columns, key):
        for share, share_key in shares:
            values = [figure(column.figures, key, group, share_key) for column in columns]
            if not all(map(math.isnan, values)):
                name = group if len(shares) == 1 else f"{group}, {share}"
                rows.append(numbers(name, values, True))
    return rows


def _keys(columns: Sequence[Column], key: str) -> list[str]:
    """The keys of a figure's parts, in the order of their first appearance."""
    parts = (column.figures.get(key) for column in columns)
    return list({name: None for part in parts if isinstance(part, dict) for name in part})


def _setting(column: Column, key: str) -> Any:
    """What a column ran with; None where that is not said or does not concern its mode.

    A mode's own part of `run.json` goes before the run's, where a setting may stand once for all
    modes or by mode.
    """
    if _MODE_OF.get(key, column.mode) != column.mode:
        return None
    if key == "post_model" and _setting(column, "post") in (None, "none"):
        return None
    value = column.figures.get(key, column.run.about.get(key))
    return value.get(column.mode) if isinstance(value, dict) else value


def _machine(column: Column) -> str:
    machine = column.run.about.get("machine")
    known: dict[str, Any] = machine if isinstance(machine, dict) else {}
    device = column.run.about.get("device")
    parts = [
        known.get("accelerator") or known.get("gpu"),
        known.get("processor"),
        f"{known['cores']} cores" if known.get("cores") else None,
        known.get("system"),
        f"device {device}" if device else None,
    ]
    return ", ".join(str(part) for part in parts if part) or "a machine that is not named"


def _text(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, list):
        return "x".join(map(str, value))
    return str(value)
