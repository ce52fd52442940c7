"""Training images, decoded when they are first needed, or all at once."""

from __future__ import annotations

from collections.abc import Iterable
from multiprocessing.pool import ThreadPool
from pathlib import Path

from loguru import logger

from faim.data.records import FrameRecord, read_frame
from faim.pictures.image import Image


class KeptImages:
    """Decoded frames, kept in memory if asked to; worker processes then share them by fork."""

    def __init__(self, frames: Iterable[FrameRecord], cache: bool) -> None:
        """With `cache`, decode every frame now; FaimError where one cannot be."""
        self._kept: dict[Path, Image] = {}
        if not cache:
            return
        unique = list({frame.path: frame for frame in frames}.values())
        needed = sum(frame.height * frame.width * 3 for frame in unique)
        logger.info(f"keeping {len(unique)} decoded images, {needed / 1e9:.1f} GB")
        with ThreadPool() as pool:
            images = pool.map(read_frame, unique)
        for frame, image in zip(unique, images, strict=True):
            image.flags.writeable = False
            self._kept[frame.path] = image

    def read(self, frame: FrameRecord) -> Image:
        """The frame's image, (H, W, 3) uint8 BGR; not to be written to."""
        kept = self._kept.get(frame.path)
        return read_frame(frame) if kept is None else kept
