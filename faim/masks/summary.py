"""What a run of a mask method made, told to a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from faim.data.converters.items import Problems
from faim.text import printable
from faim.wording import counted


@dataclass
class MaskSummary:
    """Numbers of a run.

    Attributes:
        path: the JSON file.
        method: its name.
        videos: videos with boxes that wanted a mask.
        sources: masks by who made them: "method", and "grabcut" and "box" where it failed.
        kept: masks that were there and stay.
        crowds: annotations of groups, which get no mask.
        without: other annotations without a mask, for a reason that is among the problems.
        problems: what was wrong, and notes.
    """

    path: Path
    method: str
    videos: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    crowds: int = 0
    without: int = 0
    problems: Problems = field(default_factory=Problems)

    @property
    def counts(self) -> dict[str, Any]:
        """The numbers as the file has them."""
        return {
            "masks": self.sources.total(),
            "fallback_grabcut": self.sources["grabcut"],
            "fallback_box": self.sources["box"],
            "kept": self.kept,
            "crowds": self.crowds,
            "without": self.without,
            "problems": self.problems.counts,
            "notes": self.problems.notes,
        }

    def print(self, console: Console) -> None:
        """A table, and every kind of problem with its first example."""
        table = Table(title=f"{self.method}: {counted(self.videos, 'video')}", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        rows = {
            "masks made": self.sources.total(),
            "of these by GrabCut instead": self.sources["grabcut"],
            "of these the box instead": self.sources["box"],
            "masks kept": self.kept,
            "groups (iscrowd), no mask": self.crowds,
            "other boxes without a mask": self.without,
        }
        for name, count in rows.items():
            if count or name == "masks made":
                table.add_row(name, str(count))
        console.print(table)
        lines = [f"note, {kind}: {count}" for kind, count in self.problems.notes.items()]
        lines += [
            f"{kind}: {count}, first {self.problems.examples[kind]}"
            for kind, count in self.problems.counts.items()
        ]
        lines.append(f"wrote {self.path}")
        for line in lines:
            console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
