"""Which frames and classes of a dataset a training sees."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

from faim.data.coco_vid import CocoVid


def every_nth_frame(data: CocoVid, stride: int) -> CocoVid:
    """The dataset with frames 0, stride, 2 stride … of each video."""
    thinned = copy(data)
    thinned.videos = [replace(v, frames=v.frames[::stride]) for v in data.videos]
    return thinned


def thinned(data: CocoVid, count: int) -> CocoVid:
    """The dataset with about `count` frames, evenly spread over its videos.

    All of it where what is left would have no object.
    """
    fewer = every_nth_frame(data, max(-(-len(data.frames) // count), 1))
    # Where videos have a frame or two, of those too.
    fewer.videos = fewer.videos[:: max(len(fewer.frames) // count, 1)]
    return fewer if any(frame.annotations for frame in fewer.frames) else data


def seen_classes(data: CocoVid) -> tuple[str, ...]:
    """Names of the classes that there are objects of; () where that is all of them."""
    seen = {a.category_id for frame in data.frames for a in frame.annotations}
    if len(seen) == len(data.classes):
        return ()
    return tuple(name for index, name in enumerate(data.classes) if index in seen)
