"""Which runs and modes a report compares, and that they belong together."""

from __future__ import annotations

import filecmp
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faim.errors import FaimError
from faim.report.run_folder import Run, read_run


@dataclass(frozen=True, eq=False)
class Column:
    """One mode of one run.

    Attributes:
        number: from 1; the same in every table and figure.
        run: the run.
        title: the run's name, told apart from other runs of that name.
        mode: the mode's name.
    """

    number: int
    run: Run
    title: str
    mode: str

    @property
    def figures(self) -> dict[str, Any]:
        """The mode's part of `run.json`."""
        return self.run.modes[self.mode]

    @property
    def label(self) -> str:
        """Run and mode in one line."""
        return f"{self.title} · {self.mode}"


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read run folders and check that they were evaluated on the same data.

    Raises:
        FaimError: a folder is no run folder or is given twice; two runs have other classes or
            another number of videos or images.
    """
    twice = [f for f, times in Counter(Path(f).resolve() for f in folders).items() if times > 1]
    if twice:
        raise FaimError(f"{twice[0]}: given twice; expected different run folders")
    runs = [read_run(Path(folder)) for folder in folders]
    first = runs[0]
    for run in runs[1:]:
        for what in ("classes", "videos", "images"):
            mine, theirs = run.about.get(what), first.about.get(what)
            if mine is not None and theirs is not None and mine != theirs:
                raise FaimError(
                    f"{run.folder}: was evaluated on other {what} than {first.folder}; expected "
                    "runs on the same data"
                )
    return runs


def check_same_file(runs: Sequence[Run]) -> None:
    """FaimError if two runs were evaluated on different annotation files.

    Equal copies count as the same file. Where one of the two is not on this machine, their names
    decide.
    """
    first = runs[0]
    for run in runs[1:]:
        mine, theirs = (Path(str(r.about.get("data", ""))) for r in (run, first))
        if not _same_file(mine, theirs):
            raise FaimError(
                f"{run.folder}: was evaluated on {mine}, {first.folder} on {theirs}; expected runs "
                "on the same data (or --data, if it is)"
            )


def make_columns(runs: Sequence[Run], modes: Sequence[str] | None = None) -> list[Column]:
    """Every run in every mode, or in those that are asked for.

    Raises:
        FaimError: no run has an asked-for mode.
    """
    known = {mode: None for run in runs for mode in run.modes}
    for mode in modes or ():
        if mode not in known:
            raise FaimError(f"--mode: {mode!r} given; expected one of {', '.join(known)}")
    pairs = [
        (run, title, mode)
        for run, title in zip(runs, _titles(runs), strict=True)
        for mode in run.modes
        if not modes or mode in modes
    ]
    return [Column(number, *pair) for number, pair in enumerate(pairs, start=1)]


def pick(columns: Sequence[Column], text: str) -> Column:
    """The column that `RUN:MODE` names; RUN is a name or a folder, and MODE may be left out.

    Raises:
        FaimError: no column, or more than one, has that name.
    """
    found = [column for column in columns if text in _names(column)]
    if not found:
        wanted = ", ".join(f"{column.title}:{column.mode}" for column in columns[:6])
        raise FaimError(f"--compare: no {text!r} among the runs; expected two of {wanted}")
    if len(found) > 1:
        modes = ", ".join(column.mode for column in found)
        raise FaimError(f"--compare: {text!r} fits several ({modes}); expected RUN:MODE")
    return found[0]


def _same_file(mine: Path, theirs: Path) -> bool:
    if mine == theirs:
        return True
    if os.path.isfile(mine) and os.path.isfile(theirs):  # noqa: PTH113 - raises no OSError
        return filecmp.cmp(mine, theirs, shallow=False)
    return mine.name == theirs.name


def _titles(runs: Sequence[Run]) -> list[str]:
    """The runs' names; those of one name with the shortest tail of their folders that differs."""
    times = Counter(run.name for run in runs)
    titles = []
    for run in runs:
        if times[run.name] == 1:
            titles.append(run.name)
            continue
        twins = [other.folder.resolve() for other in runs if other.name == run.name]
        titles.append(f"{run.name} ({_tail(run.folder.resolve(), twins)})")
    return titles


def _tail(folder: Path, twins: Sequence[Path]) -> str:
    for depth in range(1, len(folder.parts) + 1):
        tails = [twin.parts[-depth:] for twin in twins]
        if tails.count(folder.parts[-depth:]) == 1:
            return str(Path(*folder.parts[-depth:]))
    return str(folder)


def _names(column: Column) -> set[str]:
    runs = {column.title, column.run.name, str(column.run.folder), column.run.folder.name}
    return runs | {f"{run}:{column.mode}" for run in runs} | {str(column.number)}
