"""The masks of one video: runs in a worker process."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image as Pillow

from faim.data.converters.items import Problems
from faim.data.records import VideoRecord
from faim.errors import FaimError
from faim.masks.finish import Finished, Finishing, finish
from faim.masks.frames import VideoFrames
from faim.masks.protocol import Boxes, Image, MaskMethod, TrackIds

#: Most pixels of an image: a mask takes a byte for each, and several are in memory at once.
MOST_PIXELS = 2**28


def mask_video(
    method: MaskMethod, finishing: Finishing, strict: bool, job: tuple[str, VideoRecord]
) -> tuple[str, bytes]:
    """The line that `Unfinished` keeps of a video, behind the video's fingerprint.

    It has `masks`, for each frame and box {"segmentation", "area", "source"} or null, and `counts`,
    `examples` and `notes` of problems. Frames whose image is missing, broken or of another size get
    no masks, unless the method looks at none; nor do those of more than `MOST_PIXELS`.

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
    sound = _small_enough(video, problems)
    if method.needs_frames:
        sound = _readable(video, frames, sound, problems)
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


def _small_enough(video: VideoRecord, problems: Problems) -> list[int]:
    """The frames of at most `MOST_PIXELS`."""
    sound = []
    for index, frame in enumerate(video.frames):
        if frame.width * frame.height <= MOST_PIXELS:
            sound.append(index)
            continue
        problems.add(
            "image too large",
            f"image {frame.image_id} is {frame.width}x{frame.height}; expected at most "
            f"{MOST_PIXELS} pixels",
        )
    return sound


def _readable(
    video: VideoRecord, frames: VideoFrames, among: Sequence[int], problems: Problems
) -> list[int]:
    """The frames that can be decoded, in order; from the last to the first, which are then kept."""
    broken: dict[int, str] = {}
    for index in reversed(among):
        path = video.frames[index].path
        try:
            frames[index]
            if _is_cut_off(path):
                broken[index] = f"{path}: is cut off; expected a whole image"
        except FaimError as error:
            broken[index] = str(error)
    for index in sorted(broken):
        problems.add("image missing, broken or of another size", broken[index])
    return [index for index in among if index not in broken]


def _is_cut_off(path: Path) -> bool:
    """Whether the end of a JPEG file is missing, for which OpenCV makes up pixels.

    Only a file without the mark of the end near its end is decoded again.
    """
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        return False
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - 1024, 0))
            if b"\xff\xd9" in file.read():
                return False
        with Pillow.open(path) as image:
            image.load()
    except OSError as error:
        return "truncated" in str(error)
    except (SyntaxError, ValueError, Pillow.DecompressionBombError):
        return False  # OpenCV knows better
    return False


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
