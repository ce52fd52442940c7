"""Comma-separated values, one row a detection."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from faim.runtime.sinks import LineFile, Result
from faim.runtime.writers.boxes import boxes_of

COLUMNS = (
    "frame",
    "time",
    "file",
    "track_id",
    "class_id",
    "label",
    "score",
    "x1",
    "y1",
    "x2",
    "y2",
)


class CsvSink:
    """A header, and the rows of each frame as soon as they are known; see `LineFile`.

    `file` is empty where a frame has no file of its own, `track_id` where a box has no track. Times
    are seconds with 6 decimals, scores have 4, boxes 2 in pixels of the frame.

    Raises:
        FaimError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = LineFile(path)
        self._begun = False

    def write(self, result: Result) -> None:
        """See `Sink`."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        if not self._begun:
            rows.writerow(COLUMNS)
        frame = result.frame
        for box in boxes_of(result):
            rows.writerow(
                (
                    frame.index,
                    round(float(frame.time), 6),
                    frame.file,
                    box.track,
                    box.class_id,
                    box.label,
                    round(box.score, 4),
                    *(round(side, 2) for side in (box.x1, box.y1, box.x2, box.y2)),
                )
            )
        self._file.append(text.getvalue())
        self._begun = True

    def close(self) -> None:
        """See `Sink`."""
        self._file.close()
