"""What a prediction prints: progress, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from faim.runtime.outputs import outputs_of
from faim.runtime.pipeline import Detector
from faim.runtime.sinks import StopRun
from faim.terminal import lead_nowhere
from faim.text import printable
from faim.wording import counted

if TYPE_CHECKING:
    from faim.runtime.predict import PredictOptions, PredictSummary


class TerminalConsole(Console):
    """A console whose reader may leave, as in `faim predict … | head`."""

    def on_broken_pipe(self) -> None:
        """Not an error: the run ends, and nothing more is said."""
        self.quiet = True
        lead_nowhere(self.file)
        raise StopRun


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed else "")


def open_progress(console: Console, *, quiet: bool) -> Progress:
    """A bar for every source; none where `quiet` or nobody looks."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def print_summary(
    console: Console, options: PredictOptions, detector: Detector, summary: PredictSummary
) -> None:
    """What ran, what it found, and where that is."""
    height, width = detector.size
    sources = len(summary.sources)
    ran = f"mode {summary.mode}: {detector.what_joins(summary.mode)}"
    lines = [
        f"{counted(summary.frames, 'frame')}, {counted(summary.detections, 'detection')} from "
        f"score {options.conf:g}, "
        f"{summary.ms_per_frame:.1f} ms a frame ({summary.fps:.1f} frames a second)"
        + (f", {summary.dropped} dropped to keep up" if summary.dropped else "")
        + (f", {summary.unread} more could not be read" if summary.unread else "")
        + (", interrupted" if summary.interrupted else ""),
        f"weights {options.weights}, {ran}; size {height}x{width}, "
        f"{detector.backend} on {detector.device}",
    ]
    if sources > 1:
        lines += [
            f"{one.name}: {counted(one.frames, 'frame')}, "
            f"{counted(one.detections, 'detection')}, {ran}, {detector.backend}"
            for one in summary.sources
        ]
    written = list(outputs_of(options, sources))
    if summary.frames:
        files = ((output.words, output.files(paths)) for output, paths in written)
        lines += [f"{words} in {_listed(paths)}" for words, paths in files if paths]
    if not written and not options.show:
        lines.append("to keep the results: --jsonl FILE, --save-video FILE; to watch: --show")
    for line in lines:
        console.print(printable(line), markup=False)


def _listed(paths: Sequence[str | Path]) -> str:
    return ", ".join(str(path) for path in paths)
