"""A dataset without images: one video, and whatever objects a test asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from faim.data.coco_vid import CocoVid
from faim.structures import Detections

Box = tuple[float, float, float, float]
#: Objects of one frame: class index, x1 y1 x2 y2, instance id.
Objects = Sequence[tuple[int, Box, int]]
MakeData = Callable[..., CocoVid]
#: Where the object of frame t stands; frames are 200x100, network input 64x128 (scale 0.64).
BOXES = [(10.0 + 4 * t, 20.0, 50.0 + 4 * t, 60.0) for t in range(6)]


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


def random_case(
    seed: int, frames: int = 30, *, still: bool = False, classes: int = 3, smallest: float = 8
) -> tuple[list[Objects], dict[int, Detections]]:
    """Objects of all sizes, and detections of which some are shifted, confused or made up.

    With `still` every frame shows the same objects; no object has a side below `smallest`.
    """
    random = np.random.default_rng(seed)
    made: list[Objects] = []
    found = {}
    objects: Objects = []
    for image_id in range(1, frames + 1):
        if not objects or not still:
            number = int(random.integers(1, 4))
            low = random.uniform(0, [60, 20], (number, 2))
            boxes = np.concatenate(
                [low, low + random.uniform(smallest, [140, 80], (number, 2))], axis=1
            )
            labels = random.integers(0, classes, number)
            objects = [
                (int(label), (float(a), float(b), min(float(c), 200.0), min(float(d), 100.0)), i)
                for i, (label, (a, b, c, d)) in enumerate(zip(labels, boxes, strict=True))
            ]
        made.append(objects)
        truth = np.array([box for _, box, _ in objects])
        names = np.array([label for label, *_ in objects])
        boxes = np.concatenate([truth + random.normal(0, noise, truth.shape) for noise in (2, 6)])
        boxes = np.concatenate([boxes, random.uniform([0, 0, 60, 40], [50, 40, 90, 80], (2, 4))])
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:] - 1), boxes[:, 2:]], axis=1)
        guesses = np.concatenate([names, names, random.integers(0, classes, 2)])
        wrong = random.random(len(guesses)) < 0.2
        guesses[wrong] = random.integers(0, classes, int(wrong.sum()))
        found[image_id] = Detections(
            torch.from_numpy(boxes).float(),
            torch.from_numpy(random.uniform(0.01, 1, len(boxes))).float(),
            torch.from_numpy(guesses),
        )
    return made, found
