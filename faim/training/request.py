"""What a training is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faim.experiments.common import CommonExperiment


@dataclass(frozen=True)
class TrainRequest:
    """A training to run or to go on with.

    Attributes:
        experiment: with all options applied.
        out: folder to write to.
        resume: checkpoint to go on from, or None.
        overwrite: whether `out` may hold another training.
    """

    experiment: CommonExperiment
    out: Path
    resume: Path | None = None
    overwrite: bool = False
