import math

import pytest
import torch

from faim.nn.losses import (
    Matches,
    crop_masks,
    mask_loss,
    match_proposals,
    refined_classification_loss,
)
from faim.nn.pyramid import Assignment
from faim.structures import FrameTargets, Picks


def one_frame(boxes, index=None, valid=None):
    n = len(boxes)
    return Picks(
        index=torch.tensor([index or list(range(n))]),
        boxes=torch.tensor([boxes], dtype=torch.float),
        objectness=torch.ones(1, n),
        class_scores=torch.ones(1, n, 2),
        valid=torch.tensor([valid or [True] * n]),
    )


TRUTH = FrameTargets(
    boxes=torch.tensor([[0.0, 0, 10, 10], [100, 100, 110, 110]]),
    labels=torch.tensor([1, 0]),
    instance_ids=torch.tensor([0, 1]),
)


def test_matching_by_overlap():
    picks = one_frame([[0, 0, 10, 6], [0, 0, 10, 5], [100, 100, 110, 109], [0, 0, 10, 10]],
                      valid=[True, True, True, False])  # fmt: skip
    matches = match_proposals(picks, [TRUTH], [None], 0.6)
    assert matches.target.tolist() == [[0, -1, 1, -1]]
    assert matches.label.tolist() == [[1, -1, 0, -1]]
    torch.testing.assert_close(matches.iou, torch.tensor([[0.6, 0.0, 0.9, 0.0]]))


def test_assignment_goes_first():
    """An assigned anchor belongs to its ground truth whatever it overlaps."""
    picks = one_frame([[0, 0, 10, 2], [50, 50, 60, 60]], index=[70, 80])
    assignment = Assignment(
        anchors=torch.tensor([5, 70]), targets=torch.tensor([0, 1]), ious=torch.tensor([0.9, 0.3])
    )
    matches = match_proposals(picks, [TRUTH], [assignment], 0.6)
    assert matches.target.tolist() == [[1, -1]]
    assert matches.label.tolist() == [[0, -1]]
    torch.testing.assert_close(matches.iou, torch.tensor([[0.3, 0.0]]))


def test_frame_without_truth():
    empty = FrameTargets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())
    matches = match_proposals(one_frame([[0, 0, 10, 10]]), [empty], [None], 0.6)
    assert matches.target.tolist() == [[-1]]


def test_refined_loss_by_hand():
    """One matched proposal with IoU 0.8: soft target 0.8 for its class, 0 for the other."""
    logits = torch.tensor([[[2.0, -1.0], [9.0, 9.0]]])
    matches = Matches(torch.tensor([[0, -1]]), torch.tensor([[0, -1]]), torch.tensor([[0.8, 0.0]]))
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    expected = -0.8 * math.log(p) - 0.2 * math.log(1 - p) - math.log(1 - q)
    assert refined_classification_loss(logits, matches).item() == pytest.approx(expected)


def test_refined_loss_without_matches_is_zero_with_a_gradient():
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    none = torch.full((1, 2), -1)
    loss = refined_classification_loss(logits, Matches(none, none, torch.zeros(1, 2)))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_crop_of_a_half_filled_box():
    masks = torch.zeros(1, 100, 100, dtype=torch.bool)
    masks[0, 20:40, 20:30] = True  # the left half of the box
    crop = crop_masks(masks, torch.tensor([[20.0, 20, 40, 40]]), 8)
    expected = torch.zeros(8, 8)
    expected[:, :4] = 1
    assert torch.equal(crop[0], expected)


def test_mask_losses_by_hand():
    logits = torch.tensor([[[0.0, 0.0], [0.0, 0.0]]])
    truth = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    assert mask_loss(logits, truth, "bce").item() == pytest.approx(math.log(2))
    # Dice with smoothing 1: overlap 2 * 0.5 = 1, sums 2 and 1.
    assert mask_loss(logits, truth, "dice").item() == pytest.approx(1 - 2 / 4)
