"""The report's charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.axes import Axes

from faim.evaluation.average_precision import RECALLS
from faim.report.columns import Column
from faim.report.run_folder import figure
from faim.report.svg import DASHES, INK, MARKERS, chart, series_colour, series_shape

_WIDTH, _HEIGHT = 4.6, 3.4  # inches
#: Where a point's number stands, in turn, so that near points' numbers do not cover each other.
_CORNERS = ((6, 4), (6, -12), (-13, 4), (-13, -12))
#: Classes that the bar charts show, fewer of many columns; of more, those that differ most.
MOST_CLASSES, FEWEST_CLASSES, MOST_BARS = 30, 6, 120
#: From here on the classes are shown in two charts side by side.
_LONG = 9


def precision_recall(curves: Mapping[Column, npt.NDArray[np.float64]]) -> Markup:
    """Precision against recall, one line a column; `curves` as `precision_curve` returns them."""

    def draw(axes: Axes) -> None:
        for column, curve in curves.items():
            axes.plot(
                100 * RECALLS,
                100 * curve,
                color=_colour(column),
                linestyle=DASHES[_shape(column)],
                linewidth=1.6,
            )
        axes.set(xlabel="recall, %", ylabel="precision, %", xlim=(0, 100), ylim=(0, 102))

    return chart((_WIDTH, _HEIGHT), "Precision against recall at IoU 0.5", draw, "recall")


def speed_accuracy(columns: Sequence[Column]) -> Markup | None:
    """AP50 against milliseconds a frame, one point a column; None where no run has both."""
    points = [
        (column, x, y)
        for column in columns
        if math.isfinite(x := figure(column.figures, "ms_per_frame"))
        and math.isfinite(y := figure(column.figures, "ap50"))
    ]
    if not points:
        return None

    def draw(axes: Axes) -> None:
        for place, (column, x, y) in enumerate(points):
            marker, colour = MARKERS[_shape(column)], _colour(column)
            axes.plot(x, y, linestyle="", marker=marker, markersize=7, color=colour, clip_on=False)
            offset = _CORNERS[place % len(_CORNERS)]
            axes.annotate(str(column.number), (x, y), offset, textcoords="offset points", color=INK)
        axes.set(xlabel="ms a frame", ylabel="AP50, %")
        axes.set_xlim(0, 1.15 * max(x for _, x, _ in points) or 1.0)
        axes.set_ylim(*_around([y for _, _, y in points]))

    return chart((_WIDTH, _HEIGHT), "AP50 against milliseconds a frame", draw, "speed")


def class_bars(columns: Sequence[Column], names: Sequence[str]) -> list[Markup]:
    """AP50 of these classes, one bar a column; many classes in two charts of half of them."""
    half = (len(names) + 1) // 2
    parts = [names] if len(names) < _LONG else [names[:half], names[half:]]
    return [_bars(columns, part, str(number)) for number, part in enumerate(parts) if part]


def _bars(columns: Sequence[Column], names: Sequence[str], salt: str) -> Markup:
    def draw(axes: Axes) -> None:
        thick = 0.8 / len(columns)
        for place, column in enumerate(columns):
            values = [figure(column.figures, "per_class", name, "ap50") for name in names]
            axes.barh(
                np.arange(len(names)) - 0.4 + (place + 0.5) * thick,
                np.nan_to_num(values),
                height=0.9 * thick,
                color=_colour(column),
            )
        axes.set_yticks(range(len(names)), [_shortened(name) for name in names])
        axes.set(xlabel="AP50, %", xlim=(0, 100), ylim=(len(names) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")

    height = 0.7 + len(names) * max(0.28, 0.1 * len(columns) + 0.06)
    return chart((_WIDTH, height), "AP50 of every class", draw, f"classes {salt}")


def bar_classes(columns: Sequence[Column]) -> list[str]:
    """Classes for the bars: all, or of many those whose AP50 differs most between columns."""
    parts = (column.figures.get("per_class") for column in columns)
    names = list({name: None for part in parts if isinstance(part, dict) for name in part})
    most = min(MOST_CLASSES, max(FEWEST_CLASSES, MOST_BARS // len(columns)))
    if len(names) <= most:
        return names

    def spread(name: str) -> float:
        values = [figure(column.figures, "per_class", name, "ap50") for column in columns]
        known = [value for value in values if math.isfinite(value)]
        return max(known) - min(known) if known else 0.0

    kept = set(sorted(names, key=spread, reverse=True)[:most])
    return [name for name in names if name in kept]


def map_of_points(
    places: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], title: str, salt: str
) -> Markup:
    """Points in the plane, coloured and shaped by class: places (N, 2), labels (N,)."""

    def draw(axes: Axes) -> None:
        for label in np.unique(labels).tolist():
            mine = places[labels == label]
            axes.plot(
                mine[:, 0],
                mine[:, 1],
                linestyle="",
                marker=MARKERS[series_shape(label)],
                markersize=3.5,
                markeredgewidth=0,
                alpha=0.75,
                color=series_colour(label),
            )
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
        axes.grid(visible=False)

    return chart((_WIDTH, 0.85 * _WIDTH), title, draw, salt)


def _around(values: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis of percent with room around the values, at least four points apart."""
    middle = (max(values) + min(values)) / 2
    half = max(0.75 * (max(values) - min(values)), 2.0)
    return max(middle - half, 0.0), min(middle + half, 102.0)


def _colour(column: Column) -> str:
    return series_colour(column.number - 1)


def _shape(column: Column) -> int:
    return series_shape(column.number - 1)


def _shortened(name: str) -> str:
    return name if len(name) <= 18 else name[:17] + "…"
