"""A prediction at the terminal: what it prints, progress, and a summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loguru import logger
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from faim.runtime.outputs import outputs_of
from faim.runtime.pipeline import Detector
from faim.runtime.predict import PredictOptions, Running, Watcher, run_predict
from faim.runtime.predict_summary import PredictSummary
from faim.runtime.results import FrameResult
from faim.runtime.sinks import LineSink, StopRun, now
from faim.terminal import lead_nowhere
from faim.text import printable
from faim.wording import counted


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


class TerminalWatcher(Watcher):
    """Tells who sits at the terminal what is decided, and shows a bar for every source.

    Where results go nowhere, each frame gets a short line.
    """

    def __init__(self, options: PredictOptions) -> None:
        """Print to stderr where stdout carries the results."""
        self._outputs = options.outputs
        self.console = TerminalConsole(
            stderr=options.outputs.on_stdout, highlight=False, soft_wrap=True
        )
        self._progress = open_progress(self.console, quiet=options.outputs.on_stdout)
        self._tasks: list[TaskID] = []
        self._lines: list[LineSink] = []
        self.running: Running | None = None

    @contextmanager
    def watching(self, running: Running) -> Iterator[None]:
        """See `Watcher`."""
        self.running = running
        for source in running.sources:
            name = printable(source.name)
            self._tasks.append(self._progress.add_task(name, total=source.frame_count))
            if self._outputs.nowhere:
                prefix = f"{source.name}  " if len(running.sources) > 1 else ""
                self._lines.append(LineSink(self._print_line, prefix))
        for note in running.notes:
            logger.info("{}", note)
        running.detector.warn_of_patterns()
        with self._progress:
            yield

    def looked(self, number: int) -> None:
        """See `Watcher`."""
        self._progress.advance(self._tasks[number])

    def found(self, number: int, result: FrameResult) -> None:
        """See `Watcher`."""
        if self._lines:
            self._lines[number].write(result)

    def _print_line(self, line: str) -> None:
        now(lambda: self._progress.console.print(line, markup=False))


def predict_in_terminal(options: PredictOptions) -> PredictSummary:
    """`run_predict` for who sits at the terminal: with progress, and a summary at the end.

    Without an output and `show` the summary says how to keep the results.

    Raises:
        FaimError: see `run_predict`; also, when all is delivered, a camera or stream that was lost
            for good.
    """
    watcher = TerminalWatcher(options)
    summary = run_predict(options, watcher)
    if watcher.running is not None:
        print_summary(watcher.console, options, watcher.running.detector, summary)
    summary.check_complete()
    return summary


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
    written = list(outputs_of(options.outputs, sources))
    if summary.frames:
        files = ((output.words, output.files(paths)) for output, paths in written)
        lines += [f"{words} in {_listed(paths)}" for words, paths in files if paths]
    if options.outputs.nowhere:
        lines.append("to keep the results: --jsonl FILE, --save-video FILE; to watch: --show")
    for line in lines:
        console.print(printable(line), markup=False)


def _listed(paths: Sequence[str | Path]) -> str:
    return ", ".join(str(path) for path in paths)
