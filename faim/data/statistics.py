"""What a data set holds, in numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faim.data.records import VideoRecord

#: Shares of the boxes that are smaller than the sizes in `Statistics.box_sizes`.
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class ClassCount:
    """One class; a track is counted once in a video."""

    name: str
    boxes: int
    tracks: int
    videos: int
    masks: int


@dataclass(frozen=True)
class Statistics:
    """Numbers of a data set.

    Attributes:
        videos: videos with frames.
        frames: images.
        empty_frames: those without a box.
        boxes: annotations, without crowds.
        masks: boxes with a mask.
        trackless: boxes whose track is not known.
        tracks: known tracks, each counted once in a video.
        most_boxes: in one frame.
        classes: in the order of their ids, those without boxes too.
        image_sizes: (width, height), most frequent first.
        video_lengths: frames of the shortest, the median and the longest video.
        box_sizes: square root of the boxes' area in pixels, at each of `QUANTILES`; NaN without
            boxes.
    """

    videos: int
    frames: int
    empty_frames: int
    boxes: int
    masks: int
    trackless: int
    tracks: int
    most_boxes: int
    classes: tuple[ClassCount, ...]
    image_sizes: tuple[tuple[tuple[int, int], int], ...]
    video_lengths: tuple[int, float, int]
    box_sizes: tuple[float, ...]


def measure(videos: Sequence[VideoRecord], classes: Sequence[str]) -> Statistics:
    """Count everything once; annotations' `category_id` index `classes`."""
    boxes: Counter[int] = Counter()
    masks: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    tracks: Counter[int] = Counter()
    all_tracks = 0
    sizes = []
    for video in videos:
        found = [annotation for frame in video.frames for annotation in frame.annotations]
        boxes.update(each.category_id for each in found)
        masks.update(each.category_id for each in found if each.segmentation)
        seen.update({each.category_id for each in found})
        known = {(each.instance_id, each.category_id) for each in found if each.instance_id >= 0}
        tracks.update(category for _, category in known)
        all_tracks += len({track for track, _ in known})
        sizes += [math.sqrt((b[2] - b[0]) * (b[3] - b[1])) for b in (each.box for each in found)]
    frames = [frame for video in videos for frame in video.frames]
    lengths = sorted(len(video.frames) for video in videos) or [0]
    quantiles = np.quantile(sizes, QUANTILES).tolist() if sizes else [math.nan] * len(QUANTILES)
    return Statistics(
        videos=len(videos),
        frames=len(frames),
        empty_frames=sum(not frame.annotations for frame in frames),
        boxes=len(sizes),
        masks=masks.total(),
        trackless=sum(a.instance_id < 0 for frame in frames for a in frame.annotations),
        tracks=all_tracks,
        most_boxes=max((len(frame.annotations) for frame in frames), default=0),
        classes=tuple(
            ClassCount(name, boxes[k], tracks[k], seen[k], masks[k])
            for k, name in enumerate(classes)
        ),
        image_sizes=tuple(Counter((f.width, f.height) for f in frames).most_common()),
        video_lengths=(lengths[0], float(np.median(lengths)), lengths[-1]),
        box_sizes=tuple(quantiles),
    )
