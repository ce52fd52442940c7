"""Jobs run in several processes, in order, with a progress bar."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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
    *,
    ordered: bool = True,
) -> Generator[Result, None, None]:
    """The results of `work`, as they come.

    Args:
        work: a function that can be pickled, as the jobs can.
        jobs: what is left to do.
        total: jobs of the whole run, for the bar; the first `total - len(jobs)` count as done.
        workers: processes; 0 and 1 run in this one.
        console: where the bar goes; by default stderr.
        ordered: in the order of the jobs, which go to the processes in bunches; else each as soon
            as it is there, for long jobs of which a stopped run should lose few.

    Raises:
        FaimError: a process died; else what `work` raises. Jobs not begun are dropped.
    """
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    bar = Progress(*columns, TimeRemainingColumn(), console=console or Console(stderr=True))
    workers = min(workers, len(jobs))
    with bar, _mapper(workers, len(jobs), ordered) as run:
        task = bar.add_task("videos", total=total, completed=total - len(jobs))
        try:
            for result in run(work, jobs):
                yield result
                bar.advance(task)
        except BrokenProcessPool as error:
            raise FaimError(
                f"a process died; expected memory enough for {workers} workers "
                "(the same command with fewer goes on from here)"
            ) from error


@contextmanager
def _mapper(workers: int, jobs: int, ordered: bool) -> Iterator[Callable[..., Iterator]]:
    """`map`, in this process or over several."""
    if workers <= 1:
        yield map
        return
    bunch = min(max(jobs // (64 * workers), 1), MOST_AT_ONCE)
    # Forked processes would inherit locks that threads of torch or OpenCV hold.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_begin_worker
    )

    def as_they_come(work: Callable[[Job], Result], todo: Sequence[Job]) -> Iterator[Result]:
        for done in as_completed([pool.submit(work, job) for job in todo]):
            yield done.result()

    try:
        if ordered:
            yield lambda work, todo: pool.map(work, todo, chunksize=bunch)
        else:
            yield as_they_come
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    """Ctrl-C goes to all processes of the terminal; the first one ends the others.

    One that was killed cannot, so the others see for themselves that it is gone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
