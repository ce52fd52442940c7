"""What an export tells on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from loguru import logger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from faim.export.accuracy import SHOWN_SCORE, AccuracyLoss
from faim.export.parity import Parity

#: AP50 from which on the loss of int8 is warned of.
MUCH = 2.0


def print_parity(parity: Parity, backend: str, console: Console) -> None:
    """The largest difference of every graph, and of the detections."""
    table = Table(title=f"{backend} against PyTorch fp32")
    table.add_column("graph")
    table.add_column("largest difference", justify="right")
    table.add_column("in")
    table.add_column("values up to", justify="right")
    for graph, outputs in groupby(parity.graphs, key=lambda output: output.graph):
        worst = max(outputs, key=lambda output: output.difference)
        table.add_row(graph, f"{worst.difference:.2g}", worst.output, f"{worst.largest:.3g}")
    console.print(table)
    console.print(
        f"detections: of the {parity.detections} best of {parity.frames} frames {parity.matched} "
        f"are the same, boxes within {parity.box:.2g} pixels, scores within {parity.score:.2g}",
        markup=False,
    )


def print_loss(loss: AccuracyLoss | None, console: Console) -> None:
    """Average precision of the float and the quantized model."""
    if loss is None:
        console.print(
            "the loss of int8 could not be measured: the float model finds nothing in the held-out "
            "frames of the calibration video; give --data, or a video of what it detects",
            markup=False,
        )
        return
    table = Table(title="what int8 costs", caption=loss.measured_on)
    for name in ("", "fp32", "int8", "loss"):
        table.add_column(name, justify="right" if name else "left")
    for name, one, other in (
        ("AP50", loss.floating.ap50, loss.quantized.ap50),
        ("AP50:95", loss.floating.ap50_95, loss.quantized.ap50_95),
    ):
        table.add_row(name, f"{one:.1f}", f"{other:.1f}", f"{one - other:.1f}")
    console.print(table)
    console.print(
        f"of {loss.shown} detections shown (score from {SHOWN_SCORE:g}) int8 loses {loss.lost}; "
        f"the scores of the others change by up to {loss.worst:.2f}",
        markup=False,
    )
    if loss.floating.ap50 - loss.quantized.ap50 > MUCH:
        logger.warning(
            "int8 costs {:.1f} AP50, more than {:g}; expected less with more varied videos in "
            "--calibration, or take fp32 or bf16",
            loss.floating.ap50 - loss.quantized.ap50,
            MUCH,
        )


def print_summary(
    files: Sequence[Path], out: Path, made_with: Mapping[str, str], console: Console
) -> None:
    """Files with their sizes, versions, and how to go on."""
    for path in files:
        megabytes = path.stat().st_size / 1e6
        console.print(f"{path}  {megabytes:.1f} MB", markup=False)
    versions = ", ".join(f"{name} {number}" for name, number in made_with.items())
    console.print(f"made with {versions}", markup=False)
    for folder in dict.fromkeys(path.parent for path in files):
        console.print(f"use it: faim predict VIDEO --weights {folder}", markup=False)


@contextmanager
def frame_progress(console: Console, title: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar over frames; gives what is to be called after each."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)
