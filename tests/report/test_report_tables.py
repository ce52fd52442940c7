"""Figures as tables: which rows there are, how they read, and which is the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faim.report.columns import Column
from faim.report.figures import MOST_CLASSES, bar_classes
from faim.report.run_folder import Run
from faim.report.tables import (
    UNKNOWN,
    Table,
    about,
    errors,
    groups,
    machines,
    numbers,
    per_class,
    stability,
    summary,
    viewer,
)


def columns(*figures: dict[str, Any], about: list[dict[str, Any]] | None = None) -> list[Column]:
    made = []
    for number, mine in enumerate(figures, start=1):
        told = about[number - 1] if about else {}
        run = Run(Path(f"r{number}"), f"r{number}", told, ("cat",), {"stream": mine})
        made.append(Column(number, run, f"r{number}", "stream"))
    return made


def read(table: Table) -> dict[str, list[str]]:
    return {
        name: [cell.text + ("*" if cell.best else "") for cell in cells]
        for name, cells in table.rows
    }


def test_what_a_viewer_sees_by_hand() -> None:
    table = viewer(
        columns(
            {"wrong_labels": 14.44, "boxes_per_frame": 2.704, "ghost_median": None},
            {"wrong_labels": 9.96, "boxes_per_frame": 2.776, "unmatched_boxes": 1.5},
            {"found_share": 70.0},  # of a run before there were these figures
        )
    )
    assert read(table) == {
        "objects with a wrong label, %": ["14.4", "10.0*", UNKNOWN],
        "boxes a frame": ["2.70", "2.78", UNKNOWN],
        "boxes a frame on no labelled object of their class": [UNKNOWN, "1.50", UNKNOWN],
    }
    assert read(viewer(columns({"found_share": 70.0}))) == {}


def test_summary_by_hand() -> None:
    table = summary(
        columns(
            {"ap50": 81.24, "flips_per_100": 4.0, "ms_per_frame": 10},
            {"ap50": 81.16, "flips_per_100": 3.0, "ms_per_frame": None},
            {"ap50": 70.0, "flips_per_100": 3.5},
        )
    )
    assert read(table) == {
        "AP50": ["81.2*", "81.2*", "70.0"],
        "flips in 100 transitions": ["4.0", "3.0*", "3.5"],
        "ms a frame": ["10.0", UNKNOWN, UNKNOWN],
    }


@given(st.lists(st.floats(0, 100) | st.just(math.nan), min_size=1, max_size=6), st.booleans())
def test_the_best_is_never_beaten(values: list[float], more: bool) -> None:
    _, cells = numbers("x", values, more)
    shown = [float(c.text) for c in cells if c.text != UNKNOWN]
    best = {float(c.text) for c in cells if c.best}
    assert len(cells) == len(values)
    if len(set(shown)) > 1:
        assert best == {max(shown) if more else min(shown)}
    else:
        assert not best


def test_groups_and_errors() -> None:
    made = columns(
        {"by_speed": {"slow": {"ap50": 90.0, "ap50_95": 60.0}, "fast": {"ap50": 50.0}}},
        {"by_speed": {"slow": {"ap50": 91.0}}, "errors": {"missed": 2.0, "background": 1.0}},
    )
    (speed,) = groups(made)
    assert speed.title == "By speed of motion"
    assert read(speed) == {
        "slow, AP50": ["90.0", "91.0*"],
        "slow, AP50:95": ["60.0", UNKNOWN],
        "fast, AP50": ["50.0", UNKNOWN],
    }
    assert read(errors(made)) == {"missed": [UNKNOWN, "2.0"], "background": [UNKNOWN, "1.0"]}
    assert not stability(made).rows
    assert not groups(columns({"by_speed": "n/a", "by_size": None}))


def test_classes_in_the_order_of_the_runs() -> None:
    made = columns(
        {"per_class": {"cat": {"ap50": 1.0}}},
        {"per_class": {"cat": {"ap50": 2.0}, "ant": {"ap50": 3.0}}},
    )
    assert read(per_class(made)) == {"cat": ["1.0", "2.0*"], "ant": [UNKNOWN, "3.0"]}
    assert bar_classes(made) == ["cat", "ant"]


def test_of_many_classes_those_that_differ() -> None:
    names = [f"c{n:02}" for n in range(MOST_CLASSES + 10)]
    one = {"per_class": {name: {"ap50": 50.0} for name in names}}
    other = {"per_class": {name: {"ap50": 50.0 + place} for place, name in enumerate(names)}}
    assert bar_classes(columns(one, other)) == names[10:]
    assert bar_classes(columns(*[one] * 11, other)) == names[30:]  # 12 columns of 10 classes


def test_what_was_run() -> None:
    told = [{"weights": "w.pth", "size": [384, 640]}, {"weights": "v.pth", "bank_frames": 31}]
    assert read(about(columns({}, {}, about=told))) == {
        "weights": ["w.pth", "v.pth"],
        "network input": ["384x640", UNKNOWN],
        "past frames (bank)": [UNKNOWN, "31"],
    }


def test_settings_of_each_mode() -> None:
    told: dict[str, Any] = {
        "bank_frames": 15,
        "bank_policy": "spread",
        "test_frames": 16,
        "post": {"frame": "none", "stream": "causal"},
        "post_model": "pairs.json",
    }
    modes: dict[str, dict[str, Any]] = {"frame": {}, "stream": {}, "global": {"post": "repp"}}
    run = Run(Path("r"), "r", told, ("cat",), modes)
    made = [Column(number, run, "r", mode) for number, mode in enumerate(modes, start=1)]
    assert read(about(made)) == {
        "past frames (bank)": [UNKNOWN, "15", UNKNOWN],
        "which past frames": [UNKNOWN, "spread", UNKNOWN],
        "frames together": [UNKNOWN, UNKNOWN, "16"],
        "postprocessing": ["none", "causal", "repp"],
        "model of postprocessing": [UNKNOWN, "pairs.json", "pairs.json"],
    }
    once = columns({}, {}, about=[{"post": "causal"}, {"post": "none", "post_model": "pairs.json"}])
    assert read(about(once)) == {"postprocessing": ["causal", "none"]}


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ([{}, {}], "Measured on a machine that is not named."),
        (
            [{"machine": {"processor": "x86_64", "cores": 2}, "device": "cpu"}] * 2,
            "Measured on x86_64, 2 cores, device cpu.",
        ),
        (
            [{"machine": {"processor": "x86"}}, {"machine": {"processor": "arm"}}],
            "Measured on different machines, so that times cannot be compared: x86 (1); arm (2).",
        ),
    ],
)
def test_machines(told: list[dict[str, Any]], sentence: str) -> None:
    assert machines(columns({}, {}, about=told)) == sentence
