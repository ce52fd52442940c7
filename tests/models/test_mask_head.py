import pytest
import torch

from faim.models.mask_head import MaskHead


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
    pooled = head._pool(ramp, torch.tensor([[64.0, 64, 192, 192]]), torch.tensor([0]))
    expected = 64 + (torch.arange(4) + 0.5) * 32
    torch.testing.assert_close(pooled[0, 0, 0], expected)


def test_level_goes_by_size():
    levels = [torch.full((1, 1, 32 >> i, 32 >> i), float(i)) for i in range(3)]
    head = MaskHead(1, 1, ("P3", "P4", "P5"), roi_size=2)
    boxes = torch.tensor([[0.0, 0, 50, 50], [0, 0, 224, 224], [0, 0, 250, 250], [0, 0, 130, 130]])
    pooled = head._pool(levels, boxes, torch.zeros(4, dtype=torch.long))
    # FPN: 224 px and more belong to level 4, half of that to level 3.
    assert pooled[:, 0, 0, 0].tolist() == [0, 1, 1, 0]


def test_output_is_twice_the_roi_and_one_mask_a_class():
    head = MaskHead(8, 3, roi_size=32)
    features = [torch.randn(2, 8, 32 >> i, 32 >> i) for i in range(3)]
    boxes = torch.tensor([[0.0, 0, 50, 50], [10, 10, 90, 200]])
    out = head(features, boxes, torch.tensor([0, 1]))
    assert out.shape == (2, 3, 64, 64)
    # Each box sees its own image only.
    features[2] = torch.cat([features[2][:1], torch.zeros_like(features[2][:1])])
    changed = head(features, boxes, torch.tensor([0, 1]))
    assert torch.equal(changed[0], out[0])
    assert not torch.equal(changed[1], out[1])
