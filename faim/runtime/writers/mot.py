"""MOTChallenge's text format (Dendorfer et al., 2020)."""

from __future__ import annotations

from pathlib import Path

from faim.runtime.sinks import LineFile, Result
from faim.runtime.writers.boxes import Box, boxes_of, one_a_track


class MotSink:
    """`frame,id,left,top,width,height,confidence,class,-1,-1`, frame by frame; see `LineFile`.

    As the benchmark has it, frames, pixels and classes count from 1 (person, COCO's first class, is
    its pedestrian). Where frames are linked these are results of a tracker: boxes that have no
    track yet are left out, and no frame has a track twice. Where nothing links them these are
    detections, all with the id -1, as in the benchmark's `det.txt`.

    Raises:
        FaimError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = LineFile(path)

    def write(self, result: Result) -> None:
        """See `Sink`."""
        boxes = boxes_of(result)
        if result.detections.tracker_id is not None:
            boxes = one_a_track(box for box in boxes if box.track is not None)
        self._file.append("".join(_line(result.frame.index + 1, box) for box in boxes))

    def close(self) -> None:
        """See `Sink`."""
        self._file.close()


def _line(frame: int, box: Box) -> str:
    track = -1 if box.track is None else box.track
    place = f"{box.x1 + 1:.2f},{box.y1 + 1:.2f},{box.width:.2f},{box.height:.2f}"
    return f"{frame},{track},{place},{box.score:.4f},{box.class_id + 1},-1,-1\n"
