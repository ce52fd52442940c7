"""The figures of masks as tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from faim.masks.evaluation.scores import FOUND, MaskScores, Means
from faim.text import printable

#: What the columns of `cells` are.
COLUMNS = ("J", "F", f"J > {FOUND:g}")


def print_scores(scores: MaskScores, title: str, console: Console) -> None:
    """A row a sequence, the means over all objects, and what was unmatched or not scored."""
    table = Table(title=Text(title, style="table.title"), show_footer=True)
    objects = scores.objects
    total = ["all objects", str(len(objects)), str(sum(scores.counts.values()))]
    names = ("sequence", "objects", "masks", *COLUMNS)
    for name, footer in zip(names, total + cells(scores.means), strict=True):
        table.add_column(name, footer, justify="left" if name == "sequence" else "right")
    for sequence in scores.sequences:
        counts = str(len(sequence.objects)), str(sequence.masks)
        table.add_row(Text(printable(sequence.name)), *counts, *cells(sequence.means))
    console.print(table)
    for kind, count in scores.counts.items():
        if count and kind != "matched":
            console.print(f"{kind}, scored 0: {count}")
    for note, count in scores.notes.items():
        console.print(f"not scored, {note}: {count}")


def cells(means: Means) -> list[str]:
    """J, F and recall in percent, with one decimal."""
    return [f"{100 * value:.1f}" for value in (means.jaccard, means.boundary, means.recall)]
