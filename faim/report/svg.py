"""Figures of matplotlib as SVG inside a page, in the page's own colours."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Stand-ins, which become variables of the page's style sheet, so that it can be light or dark.
INK, GRID = "#f1f1f1", "#f2f2f2"
_SERIES = 8
MARKERS, SIGNS = "os^D", "●■▲◆"
DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
#: The same for strokes drawn by the page.
DASH_ARRAYS = ("none", "6 3", "2 2", "7 3 2 3")
_STYLE = {
    "svg.fonttype": "none",  # letters stay letters
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
}


def series_colour(index: int) -> str:
    """The stand-in of the colour of a series, from 0; after eight they start again."""
    return f"#f0f00{index % _SERIES}"


def series_variable(index: int) -> str:
    """The same as the page's style sheet knows it."""
    return f"var(--series-{index % _SERIES})"


def series_shape(index: int) -> int:
    """Which marker or dash a series has, so that 32 series differ in colour or shape."""
    return (index + index // _SERIES) % len(MARKERS)


def chart(size: tuple[float, float], title: str, draw: Callable[[Axes], None], salt: str) -> Markup:
    """Draw on one pair of axes.

    Args:
        size: width and height in inches.
        title: read aloud in place of the figure.
        draw: draws on the axes.
        salt: other than that of the page's other figures; keeps their inner names apart.

    Returns:
        An `<svg>` element without outer references, the same for the same drawing.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        written = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    return Markup(_for_page(written.getvalue(), title))


def _for_page(text: str, title: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    # Groups are named by kind and number, the same in every figure; nothing refers to them.
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = text.replace(INK, "var(--ink)").replace(GRID, "var(--grid)")
    text = re.sub(r"#f0f00(\d)", r"var(--series-\1)", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
