from __future__ import annotations

import pytest
import torch
from torch import Tensor

from faim.nn.nms import detections_of, postprocess, scored_boxes
from faim.structures import Proposals, ScoredBoxes


def proposals(boxes: Tensor, objectness: Tensor, classes: int) -> Proposals:
    count = len(boxes)
    return Proposals(
        boxes=boxes,
        objectness=objectness,
        class_scores=torch.zeros(count, classes),
        cls_features=torch.zeros(count, 2),
        ins_features=torch.zeros(count, 2),
        valid=torch.arange(count) < count - 2,
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("count", "classes"), [(12, 3), (30, 80), (2, 5)])
def test_scored_boxes_are_the_detections_bit_for_bit(seed: int, count: int, classes: int) -> None:
    torch.manual_seed(seed)
    corners = 300 * torch.rand(count, 2)
    boxes = torch.cat([corners, corners + 20 + 120 * torch.rand(count, 2)], dim=1)
    found = proposals(boxes, torch.rand(count), classes)
    probabilities = torch.rand(count, classes) ** 8
    expected = postprocess(found, probabilities, score_threshold=0.05)
    scored = scored_boxes(found, probabilities, score_threshold=0.05)
    again = detections_of(scored, 0.05)
    assert torch.equal(again.boxes, expected.boxes)
    assert torch.equal(again.scores, expected.scores)
    assert torch.equal(again.class_ids, expected.class_ids)
    assert (scored.scores > 0).any(dim=1).all()
    assert scored.boxes.dtype == scored.scores.dtype == torch.float32


def test_suppressed_and_weak_classes_are_zero() -> None:
    boxes = torch.tensor(
        [[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 9, 9], [0, 0, 1, 1]]
    )
    found = proposals(boxes.float(), torch.tensor([1.0, 0.5, 1.0, 1.0, 1.0]), 2)
    probabilities = torch.tensor([[0.8, 0.05], [0.9, 0.6], [0.04, 0.09], [1.0, 1.0], [1.0, 1.0]])
    scored = scored_boxes(found, probabilities, score_threshold=0.1)
    # Class 0 of the second lies under the first, the third has none from 0.1 on, two are padding.
    assert scored.boxes.tolist() == [[0, 0, 10, 10], [0, 0, 10, 9]]
    assert scored.scores.tolist() == [[pytest.approx(0.8), 0.0], [0.0, pytest.approx(0.3)]]


def test_detections_of_leaves_zeros_out_whatever_the_threshold() -> None:
    scored = ScoredBoxes(
        torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3]]), torch.tensor([[0.5, 0.0], [0.2, 0.9]])
    )
    found = detections_of(scored, 0.0)
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.2])
    assert found.class_ids.tolist() == [1, 0, 0]
    assert found.boxes[:, 0].tolist() == [2, 0, 2]
    assert detections_of(scored, 0.5).class_ids.tolist() == [1, 0]
    assert len(detections_of(scored[:0], 0.0).scores) == 0
