import pytest
import torch
from yolox.config import YoloxConfig

from faim.families.yolox.base import BaseDetector
from faim.nn.pyramid import STRIDES, gather_features
from faim.structures import FrameTargets


@pytest.fixture(scope="module")
def pair():
    """The package's own YOLOX-Nano and ours, with the same weights."""
    torch.manual_seed(0)
    theirs = YoloxConfig.get_named_config("yolox-nano").get_model()
    ours = BaseDetector("nano", 80)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def test_predictions_are_the_packages(pair):
    theirs, ours = (model.eval() for model in pair)
    images = torch.rand(2, 3, 96, 160) * 255
    with torch.inference_mode():
        expected, raw = theirs(images), ours(images).raw
    centre, size = expected[..., :2], expected[..., 2:4]
    torch.testing.assert_close(raw.boxes, torch.cat([centre - size / 2, centre + size / 2], -1))
    torch.testing.assert_close(raw.objectness, expected[..., 4])
    torch.testing.assert_close(raw.class_scores, expected[..., 5:])


@pytest.mark.parametrize("use_l1", [False, True])
def test_losses_are_the_packages(pair, use_l1):
    theirs, ours = (model.train() for model in pair)
    theirs.head.use_l1 = ours.use_l1 = use_l1
    images = torch.rand(2, 3, 96, 96) * 255
    boxes = torch.tensor([[10.0, 20, 60, 70], [40, 10, 90, 50]])
    targets = [
        FrameTargets(boxes, torch.tensor([3, 7]), torch.tensor([0, 1])),
        FrameTargets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long()),
    ]
    labels = torch.zeros(2, 5, 5)
    labels[0, :2] = torch.tensor([[3.0, 35, 45, 50, 50], [7, 65, 30, 50, 40]])
    expected, losses = theirs(images, labels), ours.losses(images, targets)
    torch.testing.assert_close(losses["total"], expected["total_loss"])
    torch.testing.assert_close(losses["objectness"], expected["conf_loss"])
    torch.testing.assert_close(losses["l1"], torch.as_tensor(expected["l1_loss"]))
    assert (losses["l1"] > 0) == use_l1


def test_assignments_name_the_anchors_of_the_truth(pair):
    ours = pair[1].train()
    boxes = torch.tensor([[8.0, 8, 72, 72]])
    target = FrameTargets(boxes, torch.tensor([3]), torch.tensor([0]))
    _, (assignment, none) = ours.detection_losses(
        ours(torch.rand(2, 3, 96, 96) * 255),
        [target, FrameTargets(boxes[:0], torch.zeros(0).long(), torch.zeros(0).long())],
    )
    assert none is None
    assert len(assignment.anchors) == len(assignment.targets) == len(assignment.ious) > 0
    assert assignment.targets.unique().tolist() == [0]
    # YOLOX's centre prior: an anchor's centre is within 1.5 strides of the truth's centre.
    start = 0
    for stride in STRIDES:
        side = 96 // stride
        own = assignment.anchors[
            (assignment.anchors >= start) & (assignment.anchors < start + side * side)
        ]
        x = ((own - start) % side + 0.5) * stride
        assert ((x - 40).abs() < 1.5 * stride).all()
        start += side * side


def test_gather_features_by_flat_index():
    levels = [torch.arange(4.0).view(1, 1, 2, 2), torch.tensor([[[[10.0]]]])]
    got = gather_features(levels, torch.tensor([[4, 2, 0]]))
    assert got.flatten().tolist() == [10, 2, 0]
