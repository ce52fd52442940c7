"""COCO's JSON with the videos of CocoVID, as MMTracking writes it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faim.files import write_whole
from faim.runtime.sinks import Result, check_place
from faim.runtime.writers.boxes import solid_boxes_of
from faim.runtime.writers.names import image_path, source_stem
from faim.stream.frames import Frame, FrameSource


class CocoSink:
    """All frames of one source as `images`, `annotations`, `categories` and one of `videos`.

    Category ids are class ids plus 1. An annotation has `score`, and where it has a track
    `track_id` and, for CocoVID, the same as `instance_id`. `file_name` is an image's place from the
    folder of the JSON file; frames of a video are called `walk/000012.jpg`.

    Args:
        path: the file, written at `close`.
        source: where the frames come from.
        class_names: of the weights, by class id.

    Raises:
        FaimError: the file cannot be written.
    """

    def __init__(self, path: str | Path, source: FrameSource, class_names: Sequence[str]) -> None:
        self._path, self._source = Path(path), source
        self._stem = source_stem(source)
        self._categories = [
            {"id": number, "name": str(name)} for number, name in enumerate(class_names, 1)
        ]
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        check_place(str(path))

    def write(self, result: Result) -> None:
        """See `Sink`."""
        height, width = result.frame.image.shape[:2]
        image_id = len(self._images) + 1
        self._images.append(
            {
                "id": image_id,
                "video_id": 1,
                "frame_id": result.frame.index,
                "file_name": self._file_name(result.frame),
                "width": width,
                "height": height,
            }
        )
        for box in solid_boxes_of(result):
            sides = [round(side, 2) for side in (box.x1, box.y1, box.width, box.height)]
            track = {} if box.track is None else {"track_id": box.track, "instance_id": box.track}
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": box.class_id + 1,
                    "bbox": sides,
                    "area": round(box.width * box.height, 2),
                    "iscrowd": 0,
                    "score": round(box.score, 4),
                    **track,
                }
            )

    def _file_name(self, frame: Frame) -> str:
        image = image_path(self._source, frame)
        if image is None:
            return f"{self._stem}/{frame.index:06d}.jpg"
        if not image.is_absolute():
            return image.as_posix()
        return Path(os.path.relpath(image, os.path.abspath(self._path.parent))).as_posix()  # noqa: PTH100 - links stay

    def close(self) -> None:
        """See `Sink`."""
        if not self._images:
            return
        document = {
            "info": {"description": f"detections in {self._stem}"},
            "videos": [{"id": 1, "name": self._stem}],
            "images": self._images,
            "annotations": self._annotations,
            "categories": self._categories,
        }
        write_whole(self._path, lambda part: part.write_text(json.dumps(document)))
