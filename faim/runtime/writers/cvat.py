"""CVAT for video 1.1: objects as tracks, for its annotation tool."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from faim.files import write_whole
from faim.runtime.sinks import Result, check_place
from faim.runtime.writers.names import source_stem
from faim.runtime.writers.tracks import Keyframe, Track, TrackBook
from faim.stream.frames import FrameSource
from faim.text import printable


class CvatSink:
    """One source as XML, to be uploaded as the annotations of a task with the same video.

    Every box is a keyframe. Where a track has none in the next frame that was looked at, it ends
    there by a box that is `outside`; a later box takes it up again. Frames in between that were
    not looked at are interpolated by CVAT, which refuses a file that goes beyond its video. A track
    has one class, which its boxes vote for. A box without a track is a track of one frame.

    Args:
        path: the file, written at `close`.
        source: where the frames come from.

    Raises:
        FaimError: the file cannot be written.
    """

    def __init__(self, path: str | Path, source: FrameSource) -> None:
        self._path, self._source = Path(path), source
        self._book = TrackBook()
        check_place(str(path))

    def write(self, result: Result) -> None:
        """See `Sink`."""
        self._book.add(result)

    def close(self) -> None:
        """See `Sink`."""
        if not self._book.frames:
            return
        tracks = list(self._book.tracks())
        root = ElementTree.Element("annotations")
        ElementTree.SubElement(root, "version").text = "1.1"
        root.append(self._meta(sorted({track.label for track in tracks})))
        for number, track in enumerate(tracks):
            root.append(self._track(number, track))
        ElementTree.indent(root)
        document = ElementTree.ElementTree(root)
        write_whole(
            self._path, lambda part: document.write(part, encoding="utf-8", xml_declaration=True)
        )

    def _meta(self, labels: list[str]) -> ElementTree.Element:
        total = self._book.total(self._source)
        meta = ElementTree.Element("meta")
        task = ElementTree.SubElement(meta, "task")
        for name, value in {
            "name": source_stem(self._source),
            "size": total,
            "mode": "interpolation",
            "start_frame": 0,
            "stop_frame": total - 1,
        }.items():
            ElementTree.SubElement(task, name).text = str(value)
        listed = ElementTree.SubElement(task, "labels")
        for text in labels:
            label = ElementTree.SubElement(listed, "label")
            ElementTree.SubElement(label, "name").text = printable(text)
            ElementTree.SubElement(label, "type").text = "rectangle"
            ElementTree.SubElement(label, "attributes")
        size = ElementTree.SubElement(task, "original_size")
        for name, pixels in zip(("width", "height"), self._book.size, strict=True):
            ElementTree.SubElement(size, name).text = str(pixels)
        return meta

    def _track(self, number: int, track: Track) -> ElementTree.Element:
        names = {"id": str(number), "label": printable(track.label), "source": "auto"}
        element = ElementTree.Element("track", names)
        for run in track.runs:
            for keyframe in run:
                element.append(_box(keyframe, keyframe.frame, outside=False))
            end = self._book.after(run[-1], self._source)
            if end is not None:
                element.append(_box(run[-1], end, outside=True))
        return element


def _box(keyframe: Keyframe, frame: int, *, outside: bool) -> ElementTree.Element:
    box = keyframe.box
    corners = {"xtl": box.x1, "ytl": box.y1, "xbr": box.x2, "ybr": box.y2}
    return ElementTree.Element(
        "box",
        {
            "frame": str(frame),
            "keyframe": "1",
            "outside": str(int(outside)),
            "occluded": "0",
            **{name: f"{side:.2f}" for name, side in corners.items()},
            "z_order": "0",
        },
    )
