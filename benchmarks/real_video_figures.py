"""How `real_video.py` scores detections where not every object has a label."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from real_video_plan import Places
from training_jobs import Job

from faim.data.coco_vid import CocoVid, VideoRecord
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.results_file import read_detections
from faim.evaluation.stability import stability
from faim.evaluation.viewer import viewer_figures
from faim.structures import Detections

FIGURES = (
    "found_share", "flips_per_100", "wrong_labels", "boxes_per_frame", "ap50", "ap75", "ap50_own"
)  # fmt: skip


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


def found_by_video(data: CocoVid, detections: Mapping[int, Detections]) -> dict[str, float]:
    """The share of objects found in each video, in percent; NaN without objects."""
    alone = {video.name: _only(data, [video]) for video in data.videos}
    return {name: stability(part, detections).found_share for name, part in alone.items()}


def figures(
    data: CocoVid,
    detections: Mapping[int, Detections],
    clean: frozenset[str],
    classes: Sequence[str],
) -> dict[str, float | None]:
    """What is found of some classes, in percent; None where there is nothing to measure.

    Returns:
        `found_share`, `flips_per_100` and `wrong_labels` over all their objects;
        `boxes_per_frame`, of all classes and frames. `ap50` and `ap75`, the mean of
        the classes on the clean sequences of all classes, where a detection in a sequence of
        another class is a mistake; `ap50_own` with each class on its own clean sequences alone,
        where no object of it lacks a label.
    """
    labels = {data.classes.index(name) for name in classes}
    objects = _only(data, data.videos, labels)
    steady, shown = stability(objects, detections), viewer_figures(objects, detections)
    videos = [video for video in data.videos if video.name in clean]
    pooled = _levels(data, videos, detections, classes)
    own = []
    for name in classes:
        of_class = [video for video in videos if data.classes.index(name) in _labels(video)]
        own += [ap50 for ap50, _ in _levels(data, of_class, detections, [name])]
    values = (
        steady.found_share,
        steady.flips_per_100,
        shown.wrong_labels,
        shown.boxes_per_frame,
        _mean([ap50 for ap50, _ in pooled]),
        _mean([ap75 for _, ap75 in pooled]),
        _mean(own),
    )
    known = (None if math.isnan(value) else value for value in values)
    return dict(zip(FIGURES, known, strict=True))


def _levels(
    data: CocoVid,
    videos: Sequence[VideoRecord],
    detections: Mapping[int, Detections],
    classes: Sequence[str],
) -> list[tuple[float, float]]:
    """AP50 and AP75 of those of the classes that the videos have objects of."""
    part = _only(data, videos)
    if not any(_labels(video) for video in videos):
        return []
    there = {f.image_id: detections[f.image_id] for f in part.frames if f.image_id in detections}
    found = evaluate_ap(part, there).per_class
    return [(found[name].ap50, found[name].ap75) for name in classes if name in found]


def _only(data: CocoVid, videos: Sequence[VideoRecord], labels: set[int] | None = None) -> CocoVid:
    """The dataset with some of its videos and, with `labels`, the objects of some classes."""
    part = copy(data)
    part.videos = list(videos)
    if labels is not None:
        part.videos = [
            replace(video, frames=tuple(
                replace(f, annotations=tuple(a for a in f.annotations if a.category_id in labels))
                for f in video.frames
            ))
            for video in videos
        ]  # fmt: skip
    return part


def _labels(video: VideoRecord) -> set[int]:
    return {a.category_id for frame in video.frames for a in frame.annotations}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
