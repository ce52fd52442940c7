"""The JSON object of a frame, which `faim predict --jsonl` and a result's own methods give."""

from __future__ import annotations

import json
from typing import Any

import supervision as sv

from faim.runtime.found import names_of, tracks_of
from faim.stream.frames import Frame


def to_record(frame: Frame, found: sv.Detections) -> dict[str, Any]:
    """The JSON object of one frame; boxes in pixels with 2 decimals, scores with 4.

    Returns:
        `{"frame", "time", "width", "height", "detections": [{"bbox": [x1, y1, x2, y2], "score",
        "label", "class_id"}]}`, "file" behind "frame" where it has one, and "track_id" last in
        every detection that has a track.
    """
    height, width = frame.image.shape[:2]
    columns = found.confidence, names_of(found), found.class_id, tracks_of(found)
    rows = zip(found.xyxy, *columns, strict=True)
    return {
        "frame": frame.index,
        **({} if frame.file is None else {"file": frame.file}),
        "time": round(float(frame.time), 6),
        "width": width,
        "height": height,
        "detections": [
            {
                "bbox": [round(float(side), 2) for side in box],
                "score": round(float(score), 4),
                "label": str(name),
                "class_id": int(class_id),
                **({"track_id": int(track)} if track >= 0 else {}),
            }
            for box, score, name, class_id, track in rows
        ],
    }


def to_line(record: dict[str, Any], encoding: str) -> str:
    """A record as a line of JSON; names that the encoding cannot carry are written in escapes."""
    line = json.dumps(record, ensure_ascii=False)
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = json.dumps(record)
    return line + "\n"
