"""The public implementation of REPP, on one synthetic video."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faim.postprocess.repp import Repp, ReppConfig
from faim.structures import ScoredBoxes


@pytest.fixture(scope="module")
def case(shared: Path) -> dict[str, Any]:
    return json.loads((shared / "parity" / "repp_case.json").read_text())


def scored(frame: list[dict[str, Any]]) -> ScoredBoxes:
    boxes = torch.tensor([found["bbox"] for found in frame], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.tensor([found["scores"] for found in frame], dtype=torch.float64)
    return ScoredBoxes(boxes, scores.reshape(-1, 6))


def test_boxes_scores_classes_and_tracks_are_those_of_the_reference(case: dict[str, Any]) -> None:
    names = sorted(case["input"])
    frames = [scored(case["input"][name]) for name in names]
    config = ReppConfig(
        patience=None,
        **{
            name: value
            for name, value in case["config"].items()
            if name not in ("distance_func", "appearance_matching")
        },
    )
    repp = Repp(config)
    size = (case["image_size"][1], case["image_size"][0])
    found: dict[str, list[list[float]]] = defaultdict(list)
    tracks = repp.link(frames, size)
    for name, boxes, ids in zip(names, repp.apply(frames, size), tracks, strict=True):
        for box, scores, track in zip(boxes.boxes, boxes.scores, ids[ids >= 0], strict=True):
            x1, y1, x2, y2 = box.tolist()
            found[name] += [
                [track, label, score, x1, y1, x2 - x1, y2 - y1]
                for label, score in enumerate(scores.tolist())
                if score
            ]
    expected: dict[str, list[list[float]]] = defaultdict(list)
    for one in case["expected"]:
        row = [one["track_id"], one["class_id"], one["score"], *one["bbox"]]
        expected[one["frame"]].append(row)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(sorted(found[name]), sorted(expected[name]), rtol=0, atol=1e-6)
    assert sum(map(len, found.values())) == len(case["expected"]) == 786
