"""How detections are scored where not every object has a label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from faim.data.coco_vid import CocoVid, VideoRecord
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.stability import stability
from faim.evaluation.viewer import viewer_figures
from faim.structures import Detections
from lab.subsets import with_videos

FIGURES = (
    "found_share", "flips_per_100", "wrong_labels", "boxes_per_frame", "ap50", "ap75", "ap50_own"
)  # fmt: skip


def found_by_video(data: CocoVid, detections: Mapping[int, Detections]) -> dict[str, float]:
    """The share of objects found in each video, in percent; NaN without objects."""
    alone = {video.name: with_videos(data, [video]) for video in data.videos}
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
    objects = with_videos(data, [_only(video, labels) for video in data.videos])
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
    part = with_videos(data, videos)
    if not any(_labels(video) for video in videos):
        return []
    there = {f.image_id: detections[f.image_id] for f in part.frames if f.image_id in detections}
    found = evaluate_ap(part, there).per_class
    return [(found[name].ap50, found[name].ap75) for name in classes if name in found]


def _only(video: VideoRecord, labels: set[int]) -> VideoRecord:
    """The video with the objects of some classes."""
    frames = (
        replace(f, annotations=tuple(a for a in f.annotations if a.category_id in labels))
        for f in video.frames
    )
    return replace(video, frames=tuple(frames))


def _labels(video: VideoRecord) -> set[int]:
    return {a.category_id for frame in video.frames for a in frame.annotations}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
