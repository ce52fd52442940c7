"""The objects that `attention.py` looks at."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from faim.data.coco_vid import Annotation, CocoVid, FrameRecord, VideoRecord
from faim.errors import FaimError

CLEAR = "clear"


@dataclass(frozen=True)
class Key:
    """An object of one frame; `place` is the frame's in its video."""

    video: VideoRecord
    place: int
    annotation: Annotation

    @property
    def frame(self) -> FrameRecord:
        """The key frame."""
        return self.video.frames[self.place]


def find_keys(
    data: CocoVid, references: int, limit: int | None = None, seed: int = 0
) -> tuple[list[Key], bool]:
    """The objects of all degraded frames, or of all frames where the dataset knows none.

    An object counts if at least so many other frames of its video have it too as there are
    `references`: all of them can be right.

    Args:
        data: with instance ids.
        references: how many are looked at of each object.
        limit: how many objects at most, a random choice of them.
        seed: of the choice.

    Returns:
        The objects in the dataset's order, and whether they are those of degraded frames.

    Raises:
        FaimError: an annotation has no instance id, or no object counts.
    """
    if any(each.instance_id < 0 for frame in data.frames for each in frame.annotations):
        raise FaimError(
            f"{data.annotation_file}: an annotation without instance_id; expected one on each, "
            "which tells the same object from others"
        )
    degraded = any(is_degraded(frame) for frame in data.frames)
    keys = [
        key
        for video in data.videos
        for key in _keys_of(video, references)
        if is_degraded(key.frame) or not degraded
    ]
    if not keys:
        raise FaimError(
            f"{data.annotation_file}: no object to look at; expected one that at least "
            f"{references} other frames of its video have too"
        )
    return _chosen(keys, limit, seed), degraded


def is_degraded(frame: FrameRecord) -> bool:
    """Whether the dataset says that something was done to the frame."""
    return frame.degradation not in (None, CLEAR)


def _chosen(keys: list[Key], limit: int | None, seed: int) -> list[Key]:
    if limit is None or limit >= len(keys):
        return keys
    places = random.Random(seed).sample(range(len(keys)), limit)
    return [keys[place] for place in sorted(places)]


def _keys_of(video: VideoRecord, references: int) -> list[Key]:
    frames = Counter(
        instance
        for frame in video.frames
        for instance in {each.instance_id for each in frame.annotations}
    )
    return [
        Key(video, place, each)
        for place, frame in enumerate(video.frames)
        for each in frame.annotations
        if frames[each.instance_id] > references
    ]
