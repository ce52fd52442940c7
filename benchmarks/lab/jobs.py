"""Trainings and their evaluations as `faim` commands: several at once, each result kept."""

from __future__ import annotations

import hashlib
import os
import shlex
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import torch

from faim.cli import main as faim
from faim.errors import EXIT_INTERRUPTED, FaimError
from faim.files import check_writable
from faim.reading import read_json
from lab.results import Kept

LEVELS = {"ap50": "AP50", "ap75": "AP75", "ap50_95": "AP50:95"}


@dataclass(frozen=True)
class Job:
    """One training and its evaluation.

    Attributes:
        row: of the table that it belongs to.
        seed: of the training.
        commands: of `faim`, in order.
        recipe: what decides the result.
        run: the training's folder; log and figures are beside it.
    """

    row: str
    seed: int
    commands: tuple[list[str], ...]
    recipe: list[str]
    run: Path

    @property
    def log(self) -> Path:
        """What the commands print."""
        return self.run.with_name(f"{self.run.name}.log")

    @property
    def figures(self) -> Path:
        """What the evaluation writes."""
        return self.run.with_name(f"{self.run.name}.json")

    @property
    def unread(self) -> tuple[list[str], ...]:
        """Its evaluations whose run folders are gone."""
        return tuple(
            line
            for line in self.commands
            if line[0] == "eval" and not (Path(value_of(line, "--out")) / "run.json").exists()
        )


def value_of(line: Sequence[str], option: str) -> str:
    """What a command line gives an option."""
    return line[line.index(option) + 1]


#: From a job whose commands have run to its result, with figures by mode as `modes`.
Reader = Callable[[Job], Mapping[str, Any]]


def results(
    jobs: Sequence[Job], workers: int, kept: Kept, read: Reader, figures: Collection[str] = ()
) -> Iterator[tuple[Job, Mapping[str, Any]]]:
    """The jobs with their results: first what is kept, then each as it is finished.

    Kept results have the `figures` too, see `kept_result`.

    Raises:
        FaimError: see `train_and_score`; a worker process that died.
    """
    todo = []
    for job in jobs:
        found = kept_result(job, f"rows/{job.run.name}", kept, read, figures)
        if found is None:
            todo.append(job)
        else:
            yield job, found
    for count, (job, content) in enumerate(_done(todo, workers, read), 1):
        ap = ", ".join(f"{mode} {found['ap50']:.1f}" for mode, found in content["modes"].items())
        seconds = f"{content['seconds']:.0f} s"
        print(f"{count}/{len(todo)} {job.row}, seed {job.seed}: AP50 {ap} ({seconds})", flush=True)
        yield job, kept.add(f"rows/{job.run.name}", job.recipe, content)


def kept_result(
    job: Job, name: str, kept: Kept, read: Reader, figures: Collection[str]
) -> dict[str, Any] | None:
    """A job's kept result, None if it is not there.

    If it lacks some of the `figures` in a mode it is read again: from the detections that are left
    or, where they are gone, from evaluations of the trained weights. Nothing is trained.

    Raises:
        FaimError: as `train_and_score`.
    """
    found = kept.find(name, job.recipe)
    if found is None or has_figures(found, figures):
        return found
    again = _score(job, job.unread, "a", read)
    return kept.add(name, job.recipe, {**again, "seconds": found["seconds"] + again["seconds"]})


def has_figures(content: Mapping[str, Any], figures: Collection[str]) -> bool:
    """Whether all modes of a result have these figures."""
    return all(set(figures) <= set(mode) for mode in content["modes"].values())


def _done(jobs: Sequence[Job], workers: int, read: Reader) -> Iterator[tuple[Job, dict[str, Any]]]:
    if workers == 1:
        yield from ((job, train_and_score(job, read)) for job in jobs)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (threads,))
    try:
        running = {pool.submit(train_and_score, job, read): job for job in jobs}
        for future in as_completed(running):
            yield running[future], future.result()
    except BrokenProcessPool as error:
        raise FaimError(
            f"--jobs {workers}: a process died; expected memory for as many trainings"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def train_and_score(job: Job, read: Reader) -> dict[str, Any]:
    """Run a job's commands, what they print in its log; returns what is read, and the seconds.

    Raises:
        FaimError: a command fails; names the log.
    """
    return _score(job, job.commands, "w", read)


def _score(
    job: Job, commands: Sequence[list[str]], log: Literal["w", "a"], read: Reader
) -> dict[str, Any]:
    started = time.monotonic()
    check_writable(job.log)
    with job.log.open(log, encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        for line in commands:
            command(line, f" (see {job.log})")
    return {**read(job), "seconds": time.monotonic() - started}


def command(line: Sequence[str], hint: str = "") -> dict[str, Any]:
    """Run a `faim` command; FaimError, with a hint, where it fails."""
    print(f"$ faim {shlex.join(line)}", flush=True)
    status = faim(line)
    if status == EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    if status:
        raise FaimError(f"faim {line[0]}: exit status {status}; expected 0{hint}")
    return {}


def collect(
    found: Iterator[tuple[Job, Mapping[str, Any]]], jobs: Sequence[Job]
) -> dict[str, dict[str, Any]]:
    """Figures by mode, by row and seed, in the order of the jobs."""
    done = {job.run: content["modes"] for job, content in found}
    rows: dict[str, dict[str, Any]] = {}
    for job in jobs:
        rows.setdefault(job.row, {})[str(job.seed)] = done[job.run]
    return rows


def read_figures(file: Path) -> dict[str, Any]:
    """Average precision of every mode, from what `faim eval` wrote."""
    modes = read_json(file)["modes"]
    return {"modes": {mode: {level: modes[mode][level] for level in LEVELS} for mode in modes}}


def generation(out: Path, videos: int, frames: int, size: int, seed: int) -> list[str]:
    """The command that generates hard SynthVID 2."""
    line = f"--videos {videos} --frames {frames} --size {size} --severity hard --seed {seed}"
    return ["synth", "--edition", "2", "--out", f"{out}", *line.split()]


def digest(file: Path) -> str:
    """SHA-256 of a file; FaimError if it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FaimError(f"{file}: cannot be read ({error.strerror}); expected a file") from error
