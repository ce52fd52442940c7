"""The loss that draws the instance attention to the same object in other frames."""

from __future__ import annotations

import math

import pytest
import torch

from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM
from faim.nn.losses import Matches, identity_loss, instance_ids
from faim.nn.ticam import TICAM
from faim.structures import FrameTargets, Proposals, VideoSample


def test_by_hand() -> None:
    """Two frames of two proposals: 7 twice, and one of no object and 8 beside it."""
    objects = torch.tensor([[7, -1], [8, 7]])
    attention = torch.tensor(
        [
            [0.4, 0.2, 0.3, 0.1],  # of 0.4 elsewhere a quarter is the same object's
            [0.25, 0.25, 0.25, 0.25],
            [0.25, 0.25, 0.25, 0.25],  # 8 is nowhere else
            [0.6, 0.2, 0.1, 0.1],  # three quarters
        ]
    )
    learnt = identity_loss(attention, objects)
    assert learnt.loss.item() == pytest.approx(-(math.log(0.25) + math.log(0.75)) / 2)
    assert learnt.same_object.item() == pytest.approx(0.5)


def test_nothing_to_learn() -> None:
    attention = torch.full((4, 4), 0.25, requires_grad=True)
    for objects in ([[-1, -1], [-1, -1]], [[1, 1], [2, 3]]):
        learnt = identity_loss(attention, torch.tensor(objects))
        assert learnt.loss == 0
        learnt.loss.backward()
    assert attention.grad is not None
    assert attention.grad.abs().sum() == 0


def test_whose_proposal_it_is() -> None:
    box = torch.tensor([[0.0, 0, 9, 9]])
    truth = FrameTargets(box.expand(2, 4), torch.tensor([0, 0]), torch.tensor([5, 6]))
    none = FrameTargets(box[:0], torch.tensor([]).long(), torch.tensor([]).long())
    target = torch.tensor([[1, -1, 0], [-1, -1, -1]])
    matches = Matches(target, target, target.float())
    assert instance_ids(matches, [truth, none]).tolist() == [[6, -1, 5], [-1, -1, -1]]


def test_it_draws_the_map_to_the_same_object() -> None:
    """Features of two objects under a nuisance that is larger: the map learns to see through it."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    objects = torch.tensor([[0, 1]] * 8)
    identity = torch.zeros(8, 2, 16)
    identity[:, 0, 0] = identity[:, 1, 1] = 1
    nuisance = torch.zeros(8, 2, 16)
    nuisance[..., 2:6] = torch.randn(8, 2, 4, generator=generator) * 2
    proposals = Proposals(
        boxes=torch.zeros(8, 2, 4),
        objectness=torch.ones(8, 2),
        class_scores=torch.ones(8, 2, 1),
        cls_features=torch.zeros(8, 2, 16),
        ins_features=identity + nuisance,
        valid=torch.ones(8, 2, dtype=torch.bool),
    )
    ticam = TICAM(16, 1)
    optimizer = torch.optim.Adam([ticam.qk_ins.weight], 0.02)
    shares = []
    for _ in range(60):
        learnt = identity_loss(ticam.attention(proposals).ins, objects)
        shares.append(float(learnt.same_object))
        optimizer.zero_grad()
        learnt.loss.backward()
        optimizer.step()
    assert shares[0] < 0.65
    assert shares[-1] > 0.95


def test_a_training_step_counts_it_by_its_weight() -> None:
    halves = torch.tensor([[0.0, 0, 64, 128], [64, 0, 128, 128]])
    truth = FrameTargets(halves, torch.tensor([1, 1]), torch.tensor([0, 1]))
    sample = VideoSample(torch.rand(2, 3, 128, 128) * 255, [truth, truth])
    totals = []
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(0)
        config = FaimConfig(
            variant="nano",
            class_names=("a", "b"),
            match_iou=0.0,
            mask_weight=0.0,
            identity_weight=weight,
        )
        losses = FAIM(config).training_losses(sample)
        totals.append(float(losses["total"].detach()))
        assert (losses["identity"] != 0) == (weight > 0)
    assert totals[1] > totals[0]
    assert totals[2] - totals[0] == pytest.approx(3 * (totals[1] - totals[0]), rel=1e-4)
