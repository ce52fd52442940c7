"""Label Studio's JSON of tasks with predictions, and the labelling configuration that they fit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from faim.files import write_whole
from faim.runtime.sinks import Result, check_place
from faim.runtime.writers.boxes import Box, solid_boxes_of
from faim.runtime.writers.names import image_path
from faim.runtime.writers.tracks import Track, TrackBook
from faim.stream.frames import FrameSource
from faim.text import printable

#: Where Label Studio serves files of its machine, from its LOCAL_FILES_DOCUMENT_ROOT on.
_LOCAL_FILES = "/data/local-files/?d="
_MODEL = "faim"


class LabelStudioSink:
    """A video as one task with a `videorectangle` a track, or image files as one task each.

    A track is a sequence of keyframes, in percent of the frame, frames counted from 1; the last
    before a gap is not `enabled`, which ends the lifespan there. A box without a track is a track
    of one frame. The configuration lies beside the file, as `tasks.label_config.xml`. Files are
    named as Label Studio serves them with its document root at `/`; URLs stay.

    Args:
        path: the file, written at `close` as the configuration is.
        source: where the frames come from.
        class_names: of the weights, by class id.

    Raises:
        FaimError: the files cannot be written.
    """

    def __init__(self, path: str | Path, source: FrameSource, class_names: Sequence[str]) -> None:
        self._path, self._source = Path(path), source
        self._class_names = class_names
        self._book = TrackBook()
        self._image_tasks: list[dict[str, Any]] = []
        check_place(str(path))
        check_place(str(config_path(path)))

    def write(self, result: Result) -> None:
        """See `Sink`."""
        image = image_path(self._source, result.frame)
        if image is None:
            self._book.add(result)
            return
        height, width = result.frame.image.shape[:2]
        regions = [_rectangle(box, width, height) for box in solid_boxes_of(result)]
        self._image_tasks.append(_task("image", _served(image), regions))

    def close(self) -> None:
        """See `Sink`."""
        tasks = self._image_tasks or ([self._video_task()] if self._book.frames else [])
        if not tasks:
            return
        config = _video_config(self._source.fps) if self._book.frames else _image_config()
        labels = config[-1]
        for name in self._class_names:
            ElementTree.SubElement(labels, "Label", value=printable(str(name)))
        ElementTree.indent(config)
        text = ElementTree.tostring(config, encoding="unicode")
        write_whole(config_path(self._path), lambda part: part.write_text(text, "utf-8"))
        write_whole(self._path, lambda part: part.write_text(json.dumps(tasks)))

    def _video_task(self) -> dict[str, Any]:
        name = self._source.name
        place = name if "://" in name else _served(Path(name).absolute())
        return _task("video", place, (self._region(track) for track in self._book.tracks()))

    def _region(self, track: Track) -> dict[str, Any]:
        total, fps = self._book.total(self._source), self._source.fps
        last = {run[-1].place for run in track.runs}
        sequence = [
            {
                "frame": keyframe.frame + 1,
                "time": round((keyframe.frame + 1) / fps, 6),
                "enabled": keyframe.place not in last,
                "rotation": 0,
                **_percent(keyframe.box, *self._book.size),
            }
            for keyframe in track.keyframes
        ]
        return {
            "from_name": "box",
            "to_name": "video",
            "type": "videorectangle",
            "score": round(track.score, 4),
            "value": {
                "framesCount": total,
                "duration": round(total / fps, 6),
                "sequence": sequence,
                "labels": [printable(track.label)],
            },
        }


def config_path(path: str | Path) -> Path:
    """Where the labelling configuration of a file of tasks lies."""
    return Path(path).with_suffix(".label_config.xml")


def _rectangle(box: Box, width: int, height: int) -> dict[str, Any]:
    return {
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "score": round(box.score, 4),
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "rotation": 0,
            **_percent(box, width, height),
            "rectanglelabels": [printable(box.label)],
        },
    }


def _percent(box: Box, width: int, height: int) -> dict[str, float]:
    return {
        "x": round(100 * box.x1 / width, 4),
        "y": round(100 * box.y1 / height, 4),
        "width": round(100 * box.width / width, 4),
        "height": round(100 * box.height / height, 4),
    }


def _task(kind: str, place: str, regions: Iterable[dict[str, Any]]) -> dict[str, Any]:
    numbered = [{"id": f"{_MODEL}{n}", **region} for n, region in enumerate(regions)]
    score = sum(region["score"] for region in numbered) / max(len(numbered), 1)
    prediction = {"model_version": _MODEL, "score": round(score, 4), "result": numbered}
    return {"data": {kind: place}, "predictions": [prediction]}


def _served(path: Path) -> str:
    return _LOCAL_FILES + quote(path.relative_to(path.anchor).as_posix())


def _video_config(fps: float) -> ElementTree.Element:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Video", name="video", value="$video", framerate=f"{fps:g}")
    ElementTree.SubElement(view, "VideoRectangle", name="box", toName="video")
    ElementTree.SubElement(view, "Labels", name="videoLabels", toName="video")
    return view


def _image_config() -> ElementTree.Element:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    ElementTree.SubElement(view, "RectangleLabels", name="label", toName="image")
    return view
