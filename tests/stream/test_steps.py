from __future__ import annotations

import pytest
import torch

from faim.data.transforms import LetterboxGeometry
from faim.errors import FaimError
from faim.nn.nms import detections_of, scored_boxes
from faim.stream.steps import check_sampling, frame_groups, in_source
from faim.structures import Proposals


def test_groups_by_hand() -> None:
    assert frame_groups(7, 3, "uniform", 0) == [[0, 3, 6], [1, 4], [2, 5]]
    assert frame_groups(7, 3, "local", 0) == [[0, 1, 2], [3, 4], [5, 6]]
    shuffled = frame_groups(90, 32, "shuffled", 4)
    assert shuffled == frame_groups(90, 32, "shuffled", 4) != frame_groups(90, 32, "shuffled", 5)
    assert sorted(index for group in shuffled for index in group) == list(range(90))
    assert all(frame_groups(0, 3, kind, 0) == [] for kind in ("uniform", "shuffled", "local"))


def test_wrong_samplings() -> None:
    check_sampling("local", 3)
    with pytest.raises(FaimError, match="sampling: 'global' given; expected one of uniform"):
        check_sampling("global", 0)
    for seed in (-1, 1.5, True):
        with pytest.raises(FaimError, match=f"seed: {seed} given"):
            check_sampling("uniform", seed)  # type: ignore[arg-type]


def test_detections_come_back_in_the_images_pixels_and_clipped() -> None:
    proposals = Proposals(
        boxes=torch.tensor([[8.0, 16.0, 40.0, 70.0], [0.0, 0.0, 4.0, 4.0]]),
        objectness=torch.tensor([0.5, 1.0]),
        class_scores=torch.zeros(2, 2),
        cls_features=torch.zeros(2, 4),
        ins_features=torch.zeros(2, 4),
        valid=torch.tensor([True, True]),
    )
    geometry = LetterboxGeometry(0.5, (128, 128), (64, 64))
    probabilities = torch.tensor([[0.0, 0.8], [0.1, 0.0]])
    scored = scored_boxes(proposals, probabilities, score_threshold=0.2, nms_threshold=0.5)
    found = detections_of(in_source(scored, geometry), 0.2)
    assert found.boxes.tolist() == [[16, 32, 80, 128]]
    assert found.scores.tolist() == pytest.approx([0.4])
    assert found.class_ids.tolist() == [1]
