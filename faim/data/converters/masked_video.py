"""Videos as DAVIS has them: a folder of JPEGs, and one of PNG masks with the same names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from faim.data.converters.items import BoxItem, FrameItem, Problems, VideoItem
from faim.errors import FaimError
from faim.pictures.reading import image_size

Mask = npt.NDArray[np.uint8]


class MaskedJob(Protocol):
    """A video's name and its two folders."""

    @property
    def key(self) -> str:
        """Its name."""

    @property
    def images(self) -> Path:
        """The folder of `*.jpg`."""

    @property
    def masks(self) -> Path:
        """The folder of `*.png`."""


def read_masked_video(
    job: MaskedJob,
    read: Callable[[Path], Mask],
    objects: Callable[[Mask, Path], tuple[BoxItem, ...]],
    problems: Problems,
) -> VideoItem | None:
    """The frames whose image and mask are sound and of one size; `frame_id` is the place.

    A frame without a mask is left out, as nothing is known about its objects, and so is one with a
    damaged mask or one of another size; they are counted in `problems`.

    Args:
        job: the folders.
        read: a mask file's content (h, w); FaimError if it cannot be read.
        objects: the boxes of a mask and its file.
        problems: gets what is wrong.

    Returns:
        The video, or None without a frame.

    Raises:
        FaimError: a problem, if `problems` is strict.
    """
    files = sorted(job.images.glob("*.jpg"))
    if not files:
        problems.add("missing image", f"{job.images} (no JPEG images)")
    frames = []
    for frame_id, file in enumerate(files):
        path = job.masks / f"{file.stem}.png"
        try:
            width, height = image_size(file)
            mask = read(path) if path.is_file() else None
        except FaimError as error:
            problems.add("unreadable", str(error))
            continue
        if mask is None:
            problems.add("missing annotation", str(path))
        elif mask.shape != (height, width):
            sizes = f"{mask.shape[1]}x{mask.shape[0]}, the image {width}x{height}"
            problems.add("size differs", f"{path} (is {sizes})")
        else:
            frames.append(FrameItem(file, width, height, frame_id, objects(mask, path)))
    return VideoItem(job.key, tuple(frames)) if frames else None
