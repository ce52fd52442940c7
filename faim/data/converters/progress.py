"""Jobs run in several processes, in order, with a progress bar."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faim.errors import FaimError

Job = TypeVar("Job")
Result = TypeVar("Result")

#: Most jobs that go to a process at once; the small ones, of a single image, are sent in bunches.
MOST_AT_ONCE = 64


def run_jobs(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    total: int,
    workers: int,
    console: Console | None = None,
) -> Generator[Result, None, None]:
    """The results of `work`, in the order of the jobs, as they come.

    Args:
        work: a function that can be pickled, as the jobs can.
        jobs: what is left to do.
        total: jobs of the whole run, for the bar; the first `total - len(jobs)` count as done.
        workers: processes; 0 and 1 run in this one.
        console: where the bar goes; by default stderr.

    Raises:
        FaimError: a process died; else what `work` raises. Jobs not begun are dropped.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    bar = Progress(*columns, TimeRemainingColumn(), console=console or Console(stderr=True))
    workers = min(workers, len(jobs))
    with bar, _mapper(workers, len(jobs)) as run:
        task = bar.add_task("videos", total=total, completed=total - len(jobs))
        try:
            for result in run(work, jobs):
                yield result
                bar.advance(task)
        except BrokenProcessPool as error:
            raise FaimError(
                f"a process of the conversion died; expected memory enough for {workers} workers "
                "(the same command with fewer goes on from here)"
            ) from error


@contextmanager
def _mapper(workers: int, jobs: int) -> Iterator[Callable[..., Iterator]]:
    """`map`, in this process or over several."""
    if workers <= 1:
        yield map
        return
    bunch = min(max(jobs // (64 * workers), 1), MOST_AT_ONCE)
    # Forked processes would inherit locks that threads of torch or OpenCV hold.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_leave_interrupts
    )
    try:
        yield lambda work, todo: pool.map(work, todo, chunksize=bunch)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C goes to all processes of the terminal; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
