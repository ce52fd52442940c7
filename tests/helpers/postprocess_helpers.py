"""Small videos of scored boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from faim.structures import ScoredBoxes

SIZE = (360, 640)
Row = tuple[Sequence[float], Sequence[float]]


def scored(*rows: Row, classes: int = 2) -> ScoredBoxes:
    """(box, scores) of every box of a frame."""
    return ScoredBoxes(
        torch.tensor([box for box, _ in rows], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([scores for _, scores in rows], dtype=torch.float32).reshape(-1, classes),
    )


def moving(frames: int, objects: int, classes: int, seed: int = 0) -> list[ScoredBoxes]:
    """Objects far from each other that wander a little; each is missed now and then."""
    random = np.random.default_rng(seed)
    starts = np.stack([40.0 + 80 * np.arange(objects), np.full(objects, 100.0)], axis=1)
    sizes = random.uniform(40, 60, (objects, 2))
    video = []
    for _ in range(frames):
        starts = starts + random.normal(0, 1, starts.shape)
        seen = random.random(objects) < 0.9
        boxes = np.concatenate(
            [starts, starts + sizes * random.uniform(0.97, 1.03, sizes.shape)], 1
        )
        scores = random.uniform(0.01, 1, (objects, classes))
        video.append(
            ScoredBoxes(
                torch.tensor(boxes[seen], dtype=torch.float32),
                torch.tensor(scores[seen], dtype=torch.float32),
            )
        )
    return video
