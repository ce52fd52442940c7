"""What an evaluation of `real_video.py` left, as figures."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faim.data.coco_vid import CocoVid
from faim.evaluation.results_file import read_detections
from lab.jobs import Job
from lab.partial_labels import figures, found_by_video
from studies.real_video.plan import Places


@dataclass(frozen=True)
class Scoring:
    """What detections are scored on.

    Attributes:
        annotations: the validation set.
        clean: its sequences without unlabelled objects of their class.
        groups: names of classes, by group: `shared` and `unseen`.
    """

    annotations: Path
    clean: frozenset[str]
    groups: Mapping[str, tuple[str, ...]]


def read_scores(job: Job, scoring: Scoring, places: Places) -> dict[str, Any]:
    """Figures of a job's modes from the detections that it left, which are then removed.

    Returns:
        `modes`: by the name of the mode the figures of the shared classes, as `unseen` those of
        the others, see `figures`; and as `found` the share of objects found in each sequence.
    """
    data, modes = CocoVid(scoring.annotations), {}
    for name, (folder, mode) in places.items():
        found = read_detections(job.run / folder / f"detections_{mode}.json", data)
        scores = {
            group: figures(data, found, scoring.clean, classes)
            for group, classes in scoring.groups.items()
        }
        each = found_by_video(data, found)
        modes[name] = {**scores["shared"], "unseen": scores["unseen"], "found": each}
    for folder in {folder for folder, _ in places.values()}:
        shutil.rmtree(job.run / folder)
    return {"modes": modes}
