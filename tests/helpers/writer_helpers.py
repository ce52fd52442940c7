"""Results with known boxes and tracks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import supervision as sv

from faim.runtime.results import FrameResult
from faim.runtime.sinks import Result, Sink
from faim.runtime.sources import ArraySource
from faim.stream.frames import Frame

NAMES = ("dog", "cat", "a/b: c")
WIDTH, HEIGHT = 64, 48
#: track (-1 none yet), class id, score, box
Row = tuple[int, int, float, tuple[float, float, float, float]]
#: Track 1 has no box in frame 2, track 2 ends with frame 1, and one box has no track.
FRAMES: list[list[Row]] = [
    [(1, 0, 0.9, (10, 8, 30, 40)), (2, 1, 0.6, (32, 0, 64, 24))],
    [(1, 0, 0.8, (12, 8, 32, 40)), (2, 1, 0.5, (32, 2, 64, 26))],
    [(-1, 1, 0.4, (0, 0, 16.256, 12))],
    [(1, 1, 0.7, (16, 8, 36, 40))],
    [(1, 0, 0.95, (18, 8, 38, 40))],
]


def result(
    index: int,
    rows: Sequence[Row],
    *,
    file: str | None = None,
    tracks: bool = True,
    image: np.ndarray | None = None,
) -> Result:
    """A frame at 25 a second with these detections."""
    found = sv.Detections(
        xyxy=np.array([row[3] for row in rows], np.float32).reshape(-1, 4),
        confidence=np.array([row[2] for row in rows], np.float32),
        class_id=np.array([row[1] for row in rows], int),
        tracker_id=np.array([row[0] for row in rows], int) if tracks else None,
        data={"class_name": np.array([NAMES[row[1]] for row in rows], dtype=str)},
    )
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8) if image is None else image
    return FrameResult(Frame(index, index / 25, picture, file=file), found)


def results(*, tracks: bool = True, frames: Sequence[int] = range(5)) -> list[Result]:
    """`FRAMES` with these numbers."""
    return [result(n, rows, tracks=tracks) for n, rows in zip(frames, FRAMES, strict=False)]


def source(name: str = "films/walk.mp4", frame_count: int | None = 5) -> ArraySource:
    """What the frames come from."""
    made = ArraySource([np.zeros((HEIGHT, WIDTH, 3), np.uint8)])
    made.name, made.frame_count = name, frame_count
    return made


def image_source(folder: Path) -> ArraySource:
    """One whose frames have files in `folder`."""
    made = source(str(folder), None)
    made.folder = folder  # type: ignore[attr-defined]
    return made


def fill(sink: Sink, given: Sequence[Result]) -> None:
    """Write all, and close."""
    for each in given:
        sink.write(each)
    sink.close()
