"""The masks of one video: runs in a worker process."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import cv2
import numpy as np

from faim.data.converters.items import Problems
from faim.data.records import VideoRecord
from faim.errors import FaimError
from faim.masks.finish import Finished, Finishing, finish
from faim.masks.frames import VideoFrames
from faim.masks.protocol import Boxes, MaskMethod, TrackIds
from faim.pictures.image import Image


def mask_video(
    method: MaskMethod, finishing: Finishing, strict: bool, job: tuple[str, VideoRecord]
) -> tuple[str, bytes]:
    """The line that `Unfinished` keeps of a video, behind the video's fingerprint.

    It has `masks`, for each frame and box {"segmentation", "area", "source"} or null, and `counts`,
    `examples` and `notes` of problems. Frames whose image is missing, broken or of another size get
    no masks, unless the method looks at none.

    Args:
        method: makes the masks.
        finishing: what is done to them.
        strict: the first problem is an error.
        job: the fingerprint, and the video's frames with boxes.

    Raises:
        FaimError: the method cannot work; with `strict`, the first problem.
    """
    if multiprocessing.parent_process():
        cv2.setNumThreads(1)  # one of several processes
    digest, video = job
    problems = Problems(strict)
    frames = VideoFrames(video.frames)
    sound = list(range(len(video.frames)))
    if method.needs_frames:
        sound = _readable(frames, problems)
    made = iter(()) if not sound else _make(method, finishing, video, frames, sound)
    masks: list[list[dict[str, Any] | None]] = [[None] * len(f.annotations) for f in video.frames]
    for index, number, mask in made:
        masks[sound[index]][number] = asdict(mask)
    kept = {
        "masks": masks,
        "counts": problems.counts,
        "examples": problems.examples,
        "notes": problems.notes,
    }
    return digest, json.dumps(kept, separators=(",", ":"), allow_nan=False).encode()


def _readable(frames: VideoFrames, problems: Problems) -> list[int]:
    """The frames that can be decoded, in order; from the last to the first, which are then kept."""
    broken: dict[int, str] = {}
    for index in reversed(range(len(frames))):
        try:
            frames[index]
        except FaimError as error:
            broken[index] = str(error)
    for index in sorted(broken):
        problems.add("image missing, broken or of another size", broken[index])
    return [index for index in range(len(frames)) if index not in broken]


def _make(
    method: MaskMethod,
    finishing: Finishing,
    video: VideoRecord,
    frames: VideoFrames,
    sound: Sequence[int],
) -> Iterator[tuple[int, int, Finished]]:
    """Index among the sound frames, number of the box, and its mask; each box once."""
    if len(sound) < len(frames):
        frames = VideoFrames([video.frames[index] for index in sound])
    annotations = [video.frames[index].annotations for index in sound]
    boxes: list[Boxes] = [np.array([each.box for each in here]) for here in annotations]
    tracks: list[TrackIds] = [np.array([each.instance_id for each in here]) for here in annotations]
    left = {(index, number) for index, here in enumerate(boxes) for number in range(len(here))}

    def image_of(index: int) -> Callable[[], Image] | None:
        # GrabCut would do the same again.
        again = method.needs_frames and method.name != "grabcut"
        return partial(frames.__getitem__, index) if again else None

    for made in method.generate(frames, boxes, tracks):
        place = made.frame, made.index
        left.remove(place)
        size, box = frames.sizes[made.frame], boxes[made.frame][made.index]
        if made.mask is not None and made.mask.shape != size:
            raise ValueError(f"{method.name}: a mask of {made.mask.shape}; expected {size}")
        yield *place, finish(made.mask, box, size, finishing, image_of(made.frame))
    for index, number in sorted(left):
        box, size = boxes[index][number], frames.sizes[index]
        yield index, number, finish(None, box, size, finishing, image_of(index))
