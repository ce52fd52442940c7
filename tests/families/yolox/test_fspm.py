import torch
from torchvision.ops import batched_nms

from faim.families.yolox.fspm import FSPM
from faim.structures import RawPredictions


def raw_of(boxes, objectness, class_scores):
    return RawPredictions(
        torch.tensor([boxes], dtype=torch.float),
        torch.tensor([objectness]),
        torch.tensor([class_scores]),
    )


BOXES = [[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 6], [50, 50, 60, 60], [90, 90, 95, 95]]


def test_by_hand():
    """IoU with box 0: box 1 0.8, box 2 0.6. Box 4 is outside the top 4 by objectness."""
    raw = raw_of(
        BOXES, [0.9, 0.8, 0.7, 0.6, 0.1], [[0.5, 0.1], [0.6, 0.1], [0.5, 0.0], [0.1, 0.9], [1, 1]]
    )
    fspm = FSPM(top_k=4, num_proposals=3, nms_train=0.75, nms_test=0.5)
    test = fspm.eval()(raw)
    # Products: 0.45, 0.48, 0.35, 0.54. Box 1 removes box 0 (0.8) and box 2 (0.75).
    assert test.index.tolist() == [[3, 1, 0]]
    assert test.valid.tolist() == [[True, True, False]]
    assert test.objectness[0, 2] == 0
    train = fspm.train()(raw)
    # At 0.75 box 2 stays: its IoU with box 1 is 0.75, not above it.
    assert train.index.tolist() == [[3, 1, 2]]
    assert train.valid.all()


def test_nms_keeps_other_classes_apart():
    raw = raw_of(BOXES[:2], [0.9, 0.8], [[0.9, 0.1], [0.1, 0.9]])
    picks = FSPM(num_proposals=2).eval()(raw)
    assert picks.index.tolist() == [[0, 1]]


def test_top_k_goes_by_objectness_not_by_score():
    raw = raw_of([BOXES[0], BOXES[3]], [0.5, 0.4], [[0.1], [0.9]])
    picks = FSPM(top_k=1, num_proposals=1).eval()(raw)
    assert picks.index.tolist() == [[0]]


def test_frames_do_not_touch_each_other():
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(3, 200, 2, generator=g) * 100
    boxes = torch.cat([corner, corner + 20], -1)
    raw = RawPredictions(boxes, torch.rand(3, 200, generator=g), torch.rand(3, 200, 4, generator=g))
    fspm = FSPM().eval()
    together = fspm(raw)
    for frame in range(3):
        alone = fspm(raw[frame : frame + 1])
        assert torch.equal(alone.index[0], together.index[frame])
        assert torch.equal(alone.boxes[0], together.boxes[frame])


def test_few_anchors_first_give_what_all_of_them_give():
    g = torch.Generator().manual_seed(0)
    corner = torch.rand(1, 2000, 2, generator=g) * 200
    boxes = torch.cat([corner, corner + 10 + torch.rand(1, 2000, 2, generator=g) * 60], -1)
    scores = torch.rand(1, 2000, 3, generator=g)
    raw = RawPredictions(boxes, torch.rand(1, 2000, generator=g), scores)
    for wanted in (5, 30, 120):
        picks = FSPM(num_proposals=wanted).eval()(raw)
        top = raw.objectness[0].topk(750).indices
        best, labels = raw.class_scores[0, top].max(-1)
        keep = batched_nms(raw.boxes[0, top], raw.objectness[0, top] * best, labels, 0.5)
        expected = top[keep[:wanted]]
        assert picks.index[0, : len(expected)].tolist() == expected.tolist()
        assert picks.valid[0].sum() == len(expected)
