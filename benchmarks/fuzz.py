"""Damaged files against everything that reads files, for as long as one likes.

    python benchmarks/fuzz.py --seconds 600 --seed 3

Right is what was read, or refused as `FaimError` in one sentence, within bounded time and memory.
Everything else is printed, and its input kept in `--out`, whose `faults.jsonl` says what it is.
The same seed makes the same inputs; tests/benchmarks/fuzz tries a few of each kind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from faim.arguments import whole
from studies.fuzz.runner import Bench, Child, Outcome
from studies.fuzz.subjects import SUBJECTS, Subject

#: Inputs of the same fault that are kept.
_KEPT = 3


@dataclass
class Tally:
    """What came of the inputs of one subject."""

    kinds: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    largest: float = 0.0

    def add(self, outcome: Outcome) -> str | None:
        """Count it; returns the fault where it is one that should be kept."""
        self.kinds[outcome.kind] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        self.largest = max(self.largest, outcome.megabytes)
        if outcome.fault is None:
            return None
        kind = outcome.fault[:60]
        self.faults[kind] += 1
        return outcome.fault if self.faults[kind] <= _KEPT else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; the exit status is 1 where faults were found."""
    options = _parser().parse_args(arguments)
    chosen = [SUBJECTS[name] for name in options.subjects or SUBJECTS]
    options.out.mkdir(parents=True, exist_ok=True)
    tallies = {subject.name: Tally() for subject in chosen}
    console, random = Console(), Random(options.seed)
    with tempfile.TemporaryDirectory() as folder, Child() as child:
        bench = Bench(Path(folder), child)
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            for subject in chosen:
                _attempt(bench, subject, random.getrandbits(32), tallies, options.out, console)
    # Narrower, names of loaders would be cut.
    Console(width=max(console.width, 110)).print(_table(tallies))
    return int(any(tally.faults for tally in tallies.values()))


def _attempt(
    bench: Bench,
    subject: Subject,
    seed: int,
    tallies: dict[str, Tally],
    out: Path,
    console: Console,
) -> None:
    recipe, outcome = bench.attempt(subject, Random(seed))
    fault = tallies[subject.name].add(outcome)
    if fault is None:
        return
    place = out / f"{subject.name.replace(' ', '_')}-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bench.damaged, place)
    record = {"subject": subject.name, "seed": seed, "recipe": recipe, "fault": fault}
    with (out / "faults.jsonl").open("a", encoding="utf-8") as file:
        print(json.dumps(record), file=file)
    text = f"{subject.name}: {recipe}: {fault[:300]!a}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _table(tallies: dict[str, Tally]) -> Table:
    kinds = ("accepted", "refused", "other", "crash", "hang")
    table = Table(title="damaged inputs")
    for name in ("loader", "tried", *kinds, "faults", "most s", "most MB"):
        table.add_column(name, justify="left" if name == "loader" else "right", no_wrap=True)
    for name, tally in tallies.items():
        counts = [tally.kinds.total(), *(tally.kinds[kind] for kind in kinds)]
        counts.append(tally.faults.total())
        table.add_row(name, *map(str, counts), f"{tally.slowest:.1f}", f"{tally.largest:.0f}")
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Damaged files against everything that reads.")
    parser.add_argument("--seconds", type=whole(1), default=600, help="by the clock (600)")
    parser.add_argument("--seed", type=whole(0), default=0, help="of all inputs (0)")
    parser.add_argument(
        "--subjects", nargs="+", choices=list(SUBJECTS), metavar="NAME", help="only these"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/fuzz"), help="where faults are kept"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
