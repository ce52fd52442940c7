import pytest
import torch

from faim.nn.mask_head import MaskHead
from faim.nn.pyramid import anchor_levels


def pyramid(value_at):
    """Three levels of a 256 px image, whose one channel is a function of the pixel."""
    levels = []
    for stride in (8, 16, 32):
        centres = (torch.arange(256 // stride) + 0.5) * stride
        levels.append(value_at(centres[None, :], centres[:, None])[None, None])
    return levels


@pytest.mark.parametrize("level", ["P3", "P4", "P5"])
def test_pools_the_place_of_the_box(level):
    """RoIAlign of a linear ramp gives the ramp at the sampling points, at every level."""
    head = MaskHead(1, 2, (level,), roi_size=4)
    ramp = pyramid(lambda x, y: x + 0 * y)
    boxes, image = torch.tensor([[64.0, 64, 192, 192]]), torch.tensor([0])
    pooled = head._pool(ramp, boxes, image, head.level_of(ramp, boxes, image))
    expected = 64 + (torch.arange(4) + 0.5) * 32
    torch.testing.assert_close(pooled[0, 0, 0], expected)


def test_level_goes_by_size():
    levels = [torch.full((1, 1, 32 >> i, 32 >> i), float(i)) for i in range(3)]
    head = MaskHead(1, 1, ("P3", "P4", "P5"), roi_size=2)
    boxes = torch.tensor([[0.0, 0, 50, 50], [0, 0, 224, 224], [0, 0, 250, 250], [0, 0, 130, 130]])
    none = torch.zeros(4, dtype=torch.long)
    # FPN: 224 px and more belong to level 4, half of that to level 3.
    assert head.level_of(levels, boxes, none).tolist() == [0, 1, 1, 0]
    pooled = head._pool(levels, boxes, none, head.level_of(levels, boxes, none))
    assert pooled[:, 0, 0, 0].tolist() == [0, 1, 1, 0]


def test_own_level_is_the_anchors():
    """Of a 256 px image: 32 x 32 anchors on P3, then 16 x 16 on P4, then 8 x 8 on P5."""
    levels = [torch.full((1, 1, 32 >> i, 32 >> i), float(i)) for i in range(3)]
    head = MaskHead(1, 1, ("own",), roi_size=2)
    anchors = torch.tensor([0, 1023, 1024, 1279, 1280, 1343])
    boxes = torch.tensor([[0.0, 0, 250, 250]]).expand(6, 4)
    assert head.level_of(levels, boxes, anchors).tolist() == [0, 0, 1, 1, 2, 2]
    pooled = head._pool(levels, boxes, torch.zeros_like(anchors), torch.tensor([0, 0, 1, 1, 2, 2]))
    assert pooled[:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_the_place_of_an_anchor():
    levels = [torch.zeros(1, 1, 8 >> i, 16 >> i) for i in range(3)]  # a 128 x 64 px image
    level, centre = anchor_levels(torch.tensor([[0, 17], [128 + 9, 128 + 32 + 7]]), levels)
    assert level.tolist() == [[0, 0], [1, 2]]
    assert centre.tolist() == [[[4, 4], [12, 12]], [[24, 24], [112, 48]]]


@pytest.mark.parametrize(
    ("upsampling", "side", "parameters"),
    [("bilinear", 16, 0), ("none", 8, 0), ("deconvolution", 16, 4 * 4 * 4 + 4)],
)
def test_upsampling(upsampling, side, parameters):
    """Tables IV and V of the paper's appendix."""
    head = MaskHead(4, 3, roi_size=8, upsampling=upsampling)
    features = [torch.randn(1, 4, 32 >> i, 32 >> i) for i in range(3)]
    none = torch.tensor([0])
    assert head(features, torch.tensor([[0.0, 0, 90, 50]]), none, none).shape == (1, 3, side, side)
    assert sum(p.numel() for p in head.upsample.parameters()) == parameters


def test_output_is_twice_the_roi_and_one_mask_a_class():
    head = MaskHead(8, 3, roi_size=32)
    features = [torch.randn(2, 8, 32 >> i, 32 >> i) for i in range(3)]
    boxes = torch.tensor([[0.0, 0, 50, 50], [10, 10, 90, 200]])
    out = head(features, boxes, torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert out.shape == (2, 3, 64, 64)
    # Each box sees its own image only.
    features[2] = torch.cat([features[2][:1], torch.zeros_like(features[2][:1])])
    changed = head(features, boxes, torch.tensor([0, 1]), torch.tensor([0, 0]))
    assert torch.equal(changed[0], out[0])
    assert not torch.equal(changed[1], out[1])
