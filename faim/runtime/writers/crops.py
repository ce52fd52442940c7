"""What was found, cut out of the frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from faim.pictures.image import Image
from faim.pictures.writing import encode_image
from faim.runtime.sinks import Result
from faim.runtime.writers.boxes import Box, boxes_of
from faim.runtime.writers.folder import OutputFolder
from faim.runtime.writers.names import FrameNames, folder_names


class CropsSink:
    """One JPEG a detection: `dog/000012_0.jpg`, or `dog/000012_0_id7.jpg` where it has a track.

    Behind the frame's name stands the detection's place in its frame, best score first. The crop
    is of the frame without anything drawn, and holds every pixel that the box touches.

    Args:
        folder: gets a folder for each class that is found.
        class_names: of the weights, by class id.

    Raises:
        FaimError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path, class_names: Sequence[str]) -> None:
        self._folder = OutputFolder(folder)
        self._classes = folder_names(class_names)
        self._names = FrameNames()

    def write(self, result: Result) -> None:
        """See `Sink`."""
        frame = self._names.of(result.frame)
        for place, box in enumerate(boxes_of(result)):
            crop = _cut(result.frame.image, box)
            if crop.size:
                track = "" if box.track is None else f"_id{box.track}"
                name = f"{self._classes[box.class_id]}/{frame}_{place}{track}.jpg"
                self._folder.write(name, encode_image(Path(name), crop))

    def close(self) -> None:
        """See `Sink`."""
        self._folder.close()


def _cut(image: Image, box: Box) -> Image:
    rows = slice(math.floor(box.y1), math.ceil(box.y2))
    return image[rows, math.floor(box.x1) : math.ceil(box.x2)]
