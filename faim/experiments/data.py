"""The data sets that an experiment names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError


def read_data(annotation_file: str | Path, what: str, option: str) -> CocoVid:
    """Read a CocoVID file; if it is absent, the sentence says how to come by one.

    Raises:
        FaimError: no such file, or see `CocoVid`.
    """
    path = Path(annotation_file)
    if not os.path.isfile(path):  # noqa: PTH113 - is_file raises for names too long
        raise FaimError(
            f"{path}: no {what} data there; put a CocoVID annotation file with its images there, "
            f"name another with {option} ANN.json, or generate one with `faim synth --out "
            f"data/synthvid --videos 200` and give {option} data/synthvid/annotations.json"
        )
    return CocoVid(path)


def data_identity(data: CocoVid) -> dict[str, Any]:
    """What tells a data set from another when a training is resumed, wherever its file lies."""
    counts = len(data.videos), len(data.frames), sum(len(f.annotations) for f in data.frames)
    return {"videos, frames and objects in the data": counts}
