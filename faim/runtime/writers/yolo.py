"""Labels as YOLO's tools read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from faim.runtime.sinks import Result
from faim.runtime.writers.boxes import Box, solid_boxes_of
from faim.runtime.writers.folder import OutputFolder
from faim.runtime.writers.names import FrameNames

#: Beside the labels: the classes, and where images belong.
DATA_FILE = "data.yaml"


class YoloSink:
    """`labels/000012.txt` a frame, an empty one where nothing is found, and a `data.yaml`.

    A line is `class x y w h confidence` and the track where there is one: class from 0, centre and
    size in shares of the frame. Labels of image files have their names, so with the images in the
    folder `images` beside `labels` it is a data set.

    Args:
        folder: gets both.
        class_names: of the weights, by class id.

    Raises:
        FaimError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path, class_names: Sequence[str]) -> None:
        self._folder = OutputFolder(folder)
        self._data = {
            "path": ".",
            "train": "images",
            "val": "images",
            "names": dict(enumerate(map(str, class_names))),
        }
        self._names = FrameNames()
        self._begun = False

    def write(self, result: Result) -> None:
        """See `Sink`."""
        if not self._begun:
            text = yaml.safe_dump(self._data, allow_unicode=True, sort_keys=False)
            self._folder.write(DATA_FILE, text.encode())
            self._begun = True
        height, width = result.frame.image.shape[:2]
        lines = [_line(box, width, height) for box in solid_boxes_of(result)]
        name = f"labels/{self._names.of(result.frame)}.txt"
        self._folder.write(name, "".join(lines).encode())

    def close(self) -> None:
        """See `Sink`."""
        self._folder.close()


def _line(box: Box, width: int, height: int) -> str:
    centre = (box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height
    numbers = (*centre, box.width / width, box.height / height)
    track = "" if box.track is None else f" {box.track}"
    return f"{box.class_id} {' '.join(f'{n:.6f}' for n in numbers)} {box.score:.4f}{track}\n"
