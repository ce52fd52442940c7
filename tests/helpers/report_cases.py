"""A small dataset and run folders on it, as `faim eval --out` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from faim.data.coco_vid import CocoVid
from faim.evaluation.tables import Case
from faim.structures import Detections

WIDTH, HEIGHT, FRAMES = 96, 64, 24
CATEGORIES = {4: "cat", 9: "dog"}  # not dense, so that a mix-up shows
#: image id, category id, bbox x y w h, score
Row = tuple[int, int, tuple[float, float, float, float], float]


def truth_box(image_id: int) -> tuple[float, float, float, float]:
    return (5.0 + (image_id % FRAMES), 10.0, 40.0, 30.0)


def write_data(folder: Path, *, images: bool = True) -> Path:
    """Two videos of 24 frames with one cat, then one dog; images 1 … 24 and 25 … 48."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {
            "id": number,
            "video_id": 1 + (number - 1) // FRAMES,
            "frame_id": (number - 1) % FRAMES,
            "file_name": f"{number}.png",
            "width": WIDTH,
            "height": HEIGHT,
        }
        for number in range(1, 2 * FRAMES + 1)
    ]
    content = {
        "videos": [{"id": 1, "name": "walk"}, {"id": 2, "name": "run"}],
        "images": entries,
        "annotations": [
            {
                "id": entry["id"],
                "image_id": entry["id"],
                "category_id": 4 if entry["video_id"] == 1 else 9,
                "bbox": list(truth_box(entry["id"])),
                "area": 1200,
                "iscrowd": 0,
                "instance_id": entry["video_id"],
            }
            for entry in entries
        ],
        "categories": [{"id": number, "name": name} for number, name in CATEGORIES.items()],
    }
    if images:
        for entry in entries:
            grey = np.full((HEIGHT, WIDTH, 3), 120, dtype=np.uint8)
            cv2.imwrite(str(folder / entry["file_name"]), grey)
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    return path


def perfect(score: float = 0.9, but: Sequence[int] = ()) -> list[Row]:
    """Every object found, but in these images."""
    return [
        (number, 4 if number <= FRAMES else 9, truth_box(number), score)
        for number in range(1, 2 * FRAMES + 1)
        if number not in but
    ]


def as_case(data: CocoVid, rows: list[Row]) -> Case:
    """The detections against the ground truth of `write_data`."""
    found = {}
    for image_id in {row[0] for row in rows}:
        mine = [row for row in rows if row[0] == image_id]
        boxes = torch.tensor([row[2] for row in mine], dtype=torch.float64)
        boxes[:, 2:] += boxes[:, :2]
        found[image_id] = Detections(
            boxes,
            torch.tensor([row[3] for row in mine], dtype=torch.float64),
            torch.tensor([list(CATEGORIES).index(row[1]) for row in mine]),
        )
    return Case(data, found)


def write_run(
    folder: Path,
    data: Path,
    modes: dict[str, list[Row]],
    figures: dict[str, dict[str, Any]] | None = None,
    **about: Any,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for mode, rows in modes.items():
        keys = ("image_id", "category_id", "bbox", "score")
        content = [dict(zip(keys, row, strict=True)) for row in rows]
        (folder / f"detections_{mode}.json").write_text(json.dumps(content))
    known = {mode: {"ap50": 50.0, "ms_per_frame": 20.0} for mode in modes}
    content = {
        "name": folder.name,
        "data": str(data),
        "classes": list(CATEGORIES.values()),
        "modes": {mode: {**known[mode], **(figures or {}).get(mode, {})} for mode in modes},
        **about,
    }
    (folder / "run.json").write_text(json.dumps(content))
    return folder
