"""A dataset without images: one video, and whatever objects a test asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from faim.data.coco_vid import CocoVid
from faim.structures import Detections

Box = tuple[float, float, float, float]
#: Objects of one frame: class index, x1 y1 x2 y2, instance id.
Objects = Sequence[tuple[int, Box, int]]
MakeData = Callable[..., CocoVid]


def detections(*rows: tuple[int, float, Box]) -> Detections:
    """(class, score, box) of every detection."""
    return Detections(
        torch.tensor([box for *_, box in rows], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([score for _, score, _ in rows], dtype=torch.float32),
        torch.tensor([label for label, *_ in rows], dtype=torch.long),
    )


def data_maker(folder: Path) -> MakeData:
    def make(frames: Sequence[Objects], classes: Sequence[str] = ("cat", "dog", "cow")) -> CocoVid:
        annotations = [
            {
                "image_id": image_id,
                "category_id": label + 5,  # not dense, so that a mix-up shows
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
                "instance_id": instance,
            }
            for image_id, objects in enumerate(frames, start=1)
            for label, (x1, y1, x2, y2), instance in objects
        ]
        content = {
            "videos": [{"id": 1, "name": "video"}],
            "images": [
                {
                    "id": number,
                    "video_id": 1,
                    "frame_id": number - 1,
                    "file_name": f"{number}.png",
                    "width": 200,
                    "height": 100,
                }
                for number in range(1, len(frames) + 1)
            ],
            "annotations": [{"id": i, **a} for i, a in enumerate(annotations, start=1)],
            "categories": [{"id": i + 5, "name": name} for i, name in enumerate(classes)],
        }
        file = folder / "annotations.json"
        file.write_text(json.dumps(content))
        return CocoVid(file)

    return make
