"""Which proposals a mask is learnt of, and which of them the loss reaches."""

from __future__ import annotations

import pytest
import torch

from faim.families.yolox.config import FaimConfig
from faim.families.yolox.mask_learning import Decisions, learn_masks
from faim.nn.losses import Matches
from faim.nn.mask_head import MaskHead
from faim.structures import FrameTargets, Picks

#: A 128 px image: 16 x 16 anchors on P3, 8 x 8 on P4 from 256 on, 4 x 4 on P5 from 320 on.
SIDES = (16, 8, 4)
P4, P5 = 256, 320


def decided(anchors: list[int], boxes: list[list[float]], iou: float | list[float] = 0.9):
    """One frame's proposals, all of the one object in its middle."""
    n = len(anchors)
    box = torch.tensor([[32.0, 32, 96, 96]])
    mask = torch.zeros(1, 128, 128, dtype=torch.bool)
    mask[0, 40:90, 40:90] = True
    truth = FrameTargets(box, torch.tensor([0]), torch.tensor([0]), mask)
    picks = Picks(
        index=torch.tensor([anchors]),
        boxes=torch.tensor([boxes]),
        objectness=torch.ones(1, n),
        class_scores=torch.ones(1, n, 1),
        valid=torch.ones(1, n, dtype=torch.bool),
    )
    none = torch.zeros(1, n, dtype=torch.long)
    overlap = torch.tensor([[iou] * n if isinstance(iou, float) else iou])
    return Decisions(picks, torch.zeros(1, n, 1), Matches(none, none, overlap), [truth])


def learn(made: Decisions, level: str, **changes):
    """The learning, and per level (D, H, W) whether F_ins gets a gradient."""
    config = FaimConfig(variant="nano", class_names=("a",), mask_levels=(level,), **changes)
    torch.manual_seed(0)
    features = [torch.rand(1, 8, side, side).requires_grad_() for side in SIDES]
    learnt = learn_masks(MaskHead(8, 1, (level,), 8), features, made, config)
    gradients = torch.autograd.grad(learnt.loss, features, allow_unused=True)
    shown = (
        torch.zeros_like(f) if g is None else g for f, g in zip(features, gradients, strict=True)
    )
    return learnt, [gradient[0].abs().sum(dim=0) > 0 for gradient in shown]


#: The anchor at cell (x, y) = (8, 8) of P3, and at (4, 4) of P4, both in the object's middle.
MIDDLE = (8 * 16 + 8, P4 + 4 * 8 + 4)
BOX = [32.0, 32.0, 96.0, 96.0]


def test_p5_alone_does_not_reach_what_is_read() -> None:
    made = decided(list(MIDDLE), [BOX, BOX])
    learnt, gradients = learn(made, "P5")
    assert [bool(g.any()) for g in gradients] == [False, False, True]
    assert learnt.reached == 0


def test_own_level_reaches_what_is_read() -> None:
    made = decided(list(MIDDLE), [BOX, BOX])
    learnt, gradients = learn(made, "own")
    assert learnt.reached == 1
    assert gradients[0][8, 8]
    assert gradients[1][4, 4]
    assert not gradients[2].any()


def test_the_share_that_is_reached() -> None:
    """Of one drawn proposal on P3, the others of P3 within its box are reached, P4's are not."""
    beside = 8 * 16 + 9
    far = 15 * 16 + 15
    made = decided([MIDDLE[0], beside, far, MIDDLE[1]], [BOX] * 4, iou=[0.9, 0.1, 0.1, 0.1])
    learnt, gradients = learn(made, "own")
    assert gradients[0][8, 9]
    assert not gradients[0][15, 15]
    assert learnt.reached == pytest.approx(0.5)


class Recorder(MaskHead):
    """Remembers the left edges of the boxes it is given."""

    def __init__(self) -> None:
        super().__init__(2, 1, ("P5",), 4)
        self.drawn: list[list[float]] = []

    def forward(self, ins_features, boxes, frames, anchors):
        self.drawn.append(boxes[:, 0].tolist())
        return super().forward(ins_features, boxes, frames, anchors)


def test_rois_are_drawn_not_the_best() -> None:
    """Over many steps each of 20 alike gets its turn, whatever its IoU; a step repeats itself."""
    ious = [0.6 + 0.019 * i for i in range(20)]
    boxes = [[float(i), 0, 64 + i, 64] for i in range(20)]
    config = FaimConfig(variant="nano", class_names=("a",), max_mask_rois=3)
    features = [torch.rand(1, 2, side, side) for side in SIDES]
    seen = set()
    for step in range(60):
        made = decided([step + 12 * i for i in range(20)], boxes, iou=ious)
        head = Recorder()
        for _ in range(2):
            learn_masks(head, features, made, config)
        assert head.drawn[0] == head.drawn[1]
        assert len(head.drawn[0]) == 3
        seen.update(head.drawn[0])
    assert seen == {float(i) for i in range(20)}


def test_none_matched() -> None:
    made = decided([0, 1], [BOX, BOX])
    none = torch.full((1, 2), -1)
    made = Decisions(made.picks, made.logits, Matches(none, none, torch.zeros(1, 2)), made.targets)
    learnt, _ = learn(made, "own")
    assert learnt.loss == 0
    assert learnt.reached == 0
