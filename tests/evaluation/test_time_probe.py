"""What key frames are given to look at, and what a model that uses time makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from evaluation_cases import MakeData

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.modes import ModeRunner
from faim.evaluation.time_probe import CASES, TimeProbe
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.proposal_detector import ProposalDetector
from faim.structures import Proposals

FRAMES = 6
BOX = [16.0, 16.0, 48.0, 48.0]


@pytest.fixture
def two_videos(tmp_path: Path) -> CocoVid:
    """Grey levels 0 to 50 in the first video, whose object is a cat; 100 to 150 and a dog."""
    images, annotations = [], []
    for video in range(2):
        for frame in range(FRAMES):
            number = video * FRAMES + frame + 1
            grey = 100 * video + 10 * frame
            cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64, 3), grey, np.uint8))
            images.append(
                {
                    "id": number,
                    "video_id": video + 1,
                    "frame_id": frame,
                    "file_name": f"{number}.png",
                    "width": 64,
                    "height": 64,
                }
            )
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": video + 1,
                    "bbox": [16, 16, 32, 32],
                    "area": 1024,
                    "iscrowd": 0,
                    "instance_id": video,
                }
            )
    content = {
        "videos": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "two.json").write_text(json.dumps(content))
    return CocoVid(tmp_path / "two.json")


class ByReferences:
    """Decides the class by the frames around the key frame, as their grey levels say."""

    name, padded = "by references", False

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def refine(self, proposals: Proposals) -> torch.Tensor:
        greys = proposals.cls_features[:, 0, 0]
        self.seen.append(greys.int().tolist())
        others = greys[1:] if len(greys) > 1 else greys * 0 + 75
        dog = (others.mean() / 150).clamp(0, 1)
        return torch.stack([1 - dog, dog]).expand(*proposals.valid.shape, 2)


class Model(ProposalDetector):
    """Proposes the object in every frame but one of the letterbox's grey."""

    def __init__(self) -> None:
        self.config = FaimConfig(
            variant="nano", class_names=("cat", "dog"), test_size=(64, 64), test_frames=4
        )
        self.aggregator = ByReferences()

    def propose(self, images: torch.Tensor) -> Proposals:
        grey = images[0, 0, 32, 32].float()
        there = float(grey != 114)
        return Proposals(
            boxes=torch.tensor([[BOX]]),
            objectness=torch.tensor([[0.9 * there]]),
            class_scores=torch.full((1, 1, 2), 0.5),
            cls_features=grey.expand(1, 1, 4),
            ins_features=torch.ones(1, 1, 4),
            valid=torch.tensor([[bool(there)]]),
        )


def test_what_a_key_frame_sees(two_videos: CocoVid) -> None:
    model = Model()
    TimeProbe(ModeRunner(model, two_videos, ()), stride=6).run()
    seen = dict(zip(CASES, model.aggregator.seen[: len(CASES)], strict=True))
    assert seen["whole video"] == [0, 10, 30, 50]
    assert sorted(seen["shuffled"][1:]) == [10, 30, 50]
    assert seen["alone"] == [0]
    assert seen["repeated"] == [0, 0, 0, 0]
    assert seen["other video"] == [0, 100, 120, 150]
    assert seen["key blanked"] == [114, 10, 30, 50]


def test_a_model_that_lives_by_its_references(two_videos: CocoVid) -> None:
    found = TimeProbe(ModeRunner(Model(), two_videos, ()), stride=2).run()
    ap50 = {case: ap.ap50 for case, ap in found.items()}
    assert ap50["whole video"] == pytest.approx(100)
    assert ap50["shuffled"] == pytest.approx(100)
    assert ap50["other video"] < 60
    assert ap50["key blanked"] == 0


def test_one_video_has_no_other(make_data: MakeData) -> None:
    data = make_data([[(0, (10, 10, 50, 50), 1)]], classes=("cat", "dog"))
    with pytest.raises(FaimError, match=r"--probe-time: .* has 1 video; expected two"):
        TimeProbe(ModeRunner(Model(), data, ()))
