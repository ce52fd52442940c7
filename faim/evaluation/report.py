"""Figures of an evaluation as a table for people and a dictionary for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from faim.evaluation.average_precision import Levels
from faim.evaluation.error_split import KINDS
from faim.evaluation.figures import ModeFigures, as_dictionary
from faim.evaluation.time_probe import CASES
from faim.text import printable

__all__ = [
    "ModeFigures",
    "as_dictionary",
    "missing_parts",
    "number",
    "print_modes",
    "print_probe",
]

#: What a row is called, and its values, one a mode.
Row = tuple[str, Sequence[float]]


def print_modes(
    figures: Mapping[str, ModeFigures], title: str, caption: str, console: Console
) -> None:
    """The modes side by side, what AP50 is lost to, and the AP of every class.

    Names are printed as they are, square brackets too.
    """
    every = list(figures.values())
    table = _table(figures, title, caption)
    _section(table, _ap_rows(every))
    _section(table, _part_rows(every))
    _section(table, _stability_rows(every))
    _section(table, _known_rows(_viewer_shares(every)))
    _add(table, _known_rows(_viewer_counts(every)), decimals=2)
    _section(table, [("ms a frame", [f.ms_per_frame for f in every])])
    console.print(table)
    if all(f.errors for f in every):
        errors = _table(figures, "AP50 lost to")
        _section(errors, [(kind, [f.errors[kind] for f in every]) for kind in KINDS])
        console.print(errors)
    classes = _table(figures, "AP50 / AP75 / AP50:95 of every class", first="class")
    for name in every[0].ap.per_class:
        classes.add_row(Text(printable(name)), *(_class_cell(f.ap.per_class[name]) for f in every))
    console.print(classes)


def print_probe(probed: Mapping[str, Mapping[str, float | None]], console: Console) -> None:
    """The time probe: average precision by what a key frame is given to look at."""
    table = Table(title="does it use time? (global mode, without links)")
    table.add_column("a key frame sees")
    for name in ("AP50", "AP75", "AP50:95"):
        table.add_column(name, justify="right")
    for case, ap in probed.items():
        values = (math.nan if v is None else v for v in ap.values())
        table.add_row(f"{case}: {CASES[case]}", *map(number, values))
    console.print(table)


def _table(
    figures: Mapping[str, ModeFigures], title: str, caption: str | None = None, first: str = ""
) -> Table:
    table = Table(
        title=Text(title, style="table.title"),
        caption=None if caption is None else Text(caption, style="table.caption"),
    )
    table.add_column(first)
    for mode, one in figures.items():
        name = mode if one.post in (None, "none") else f"{mode} + {one.post}"
        table.add_column(Text(name), justify="right")
    return table


def _section(table: Table, rows: Sequence[Row]) -> None:
    if rows:
        table.add_section()
    _add(table, rows)


def _add(table: Table, rows: Sequence[Row], decimals: int = 1) -> None:
    for name, values in rows:
        table.add_row(Text(printable(name)), *(number(value, decimals) for value in values))


def _ap_rows(every: Sequence[ModeFigures]) -> list[Row]:
    return [
        ("AP50", [f.ap.ap50 for f in every]),
        ("AP75", [f.ap.ap75 for f in every]),
        ("AP50:95", [f.ap.ap50_95 for f in every]),
    ]


def _part_rows(every: Sequence[ModeFigures]) -> list[Row]:
    """By size, speed, split and degradation, as far as the dataset has them."""
    first = every[0]
    rows: list[Row] = [
        (f"AP50:95 {size}", [f.ap.by_size[size].ap50_95 for f in every])
        for size in first.ap.by_size
    ]
    if first.speeds is not None:
        rows += [
            (f"AP50 {speed} motion", [f.speeds.ap50[speed] for f in every if f.speeds])
            for speed in first.speeds.ap50
        ]
    for split in first.splits:
        rows += [
            (f"AP50 of {split}", [f.splits[split].ap50 for f in every]),
            (f"AP75 of {split}", [f.splits[split].ap75 for f in every]),
        ]
    rows += [
        (f"AP50 {kind.replace('_', ' ')}", [f.degradations[kind].ap50 for f in every])
        for kind in first.degradations
    ]
    return _known_rows(rows)


def _known_rows(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if not all(map(math.isnan, row[1]))]


def _stability_rows(every: Sequence[ModeFigures]) -> list[Row]:
    names = {
        "found_share": "found %",
        "found_share_per_instance": "found %, mean of objects",
        "flips_per_100": "flips / 100",
        "class_switches": "class switches / object",
        "centre_jitter": "centre jitter %",
        "size_jitter": "size jitter %",
    }
    return [(text, [getattr(f.stability, name) for f in every]) for name, text in names.items()]


def _viewer_shares(every: Sequence[ModeFigures]) -> list[Row]:
    names = {
        "wrong_labels": "wrong labels %",
        "double_names": "double names / 100 frames",
        "double_boxes": "double boxes / 100 frames",
        "ghosts_over_2": "ghosts of over 2 frames %",
    }
    return [(text, [getattr(f.viewer, name) for f in every]) for name, text in names.items()]


def _viewer_counts(every: Sequence[ModeFigures]) -> list[Row]:
    complete = all(f.viewer.labels_complete for f in every)
    names = {
        "ghost_median": "ghost frames, median",
        "ghost_mean": "ghost frames, mean",
        "boxes_per_frame": "boxes / frame",
        "unmatched_boxes": f"{'' if complete else 'unlabelled or '}false boxes / frame",
    }
    return [(text, [getattr(f.viewer, name) for f in every]) for name, text in names.items()]


def _class_cell(part: Levels) -> str:
    return " / ".join(map(number, (part.ap50, part.ap75, part.ap50_95)))


def missing_parts(figures: Mapping[str, ModeFigures]) -> list[str]:
    """A sentence for what the dataset does not allow to measure."""
    if all(f.speeds is not None for f in figures.values()):
        return []
    return [
        "motion speed, flips, class switches and jitter are not available: the annotations have no "
        "instance_id"
    ]


def number(value: float, decimals: int = 1) -> str:
    """So many decimals, or a dash where there is no value."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"
