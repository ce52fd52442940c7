"""What a conversion wrote, told to a person."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faim.data.converters.items import Problems
from faim.text import printable
from faim.wording import counted


@dataclass
class Summary:
    """Numbers of a conversion.

    Attributes:
        path: the JSON file.
        videos: videos written.
        frames: images written.
        empty_frames: those without a box.
        annotations: boxes written.
        masks: those with a mask.
        annotations_by_class: boxes by class name, in the order of the classes.
        instances_by_class: known tracks by class name, each counted once.
        problems: what was wrong, and what was left out on purpose.
    """

    path: Path
    videos: int = 0
    frames: int = 0
    empty_frames: int = 0
    annotations: int = 0
    masks: int = 0
    annotations_by_class: Counter[str] = field(default_factory=Counter)
    instances_by_class: Counter[str] = field(default_factory=Counter)
    problems: Problems = field(default_factory=Problems)

    def print(self, console: Console) -> None:
        """The classes that occur, the totals, and every kind of problem with its first example."""
        table = Table(title=f"{counted(self.videos, 'video')}, {counted(self.frames, 'frame')}")
        table.add_column("class")
        table.add_column("boxes", justify="right")
        table.add_column("instances", justify="right")
        for name, count in self.annotations_by_class.items():
            if count:
                table.add_row(
                    escape(printable(name)), str(count), str(self.instances_by_class[name])
                )
        table.add_section()
        table.add_row("all", str(self.annotations), str(sum(self.instances_by_class.values())))
        console.print(table)
        empty = f"{counted(self.empty_frames, 'frame')} without a box"
        lines = [f"{empty}, {counted(self.masks, 'box')} with a mask"]
        lines += [f"left out, {kind}: {count}" for kind, count in self.problems.notes.items()]
        lines += [
            f"{kind}: {count}, first {self.problems.examples[kind]}"
            for kind, count in self.problems.counts.items()
        ]
        lines.append(f"wrote {self.path}")
        for line in lines:
            console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
