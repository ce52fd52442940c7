"""The proposal-sparse branch and IFEM against the dense ones."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faim.families.yolox.config import YOLOX_SCALES, FaimConfig
from faim.families.yolox.faim import FAIM
from faim.families.yolox.patches import cut_patches, locate
from faim.nn.pyramid import gather_features

MODELS: dict[str, FAIM] = {}


def model_of(variant):
    """A FAIM whose new parts have lively weights and batch norms."""
    if variant not in MODELS:
        torch.manual_seed(0)
        model = FAIM(FaimConfig(variant=variant, class_names=("a",))).eval()
        for part in (model.video_branch, model.ifem):
            for module in part.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.3)
                    module.running_var.uniform_(0.5, 1.5)
                    module.weight.data.uniform_(0.5, 1.5)
                    module.bias.data.normal_(0, 0.5)
        MODELS[variant] = model
    return MODELS[variant]


def sparse_and_dense(model, stems, index):
    dense = model.video_branch(stems)
    expected = [gather_features(levels, index) for levels in (dense, model.ifem(dense))]
    last = [stem.permute(0, 2, 3, 1) for stem in stems]
    cells, order = locate(index, [tuple(stem.shape[1:3]) for stem in last])
    found = model.patch_features(last, cells, order)
    return [(f.unflatten(0, index.shape), e) for f, e in zip(found, expected, strict=True)]


@pytest.mark.parametrize("variant", YOLOX_SCALES)
def test_every_position_of_a_small_image(variant):
    """Corners and borders are most of it: the levels are 8x12, 4x6 and 2x3 cells."""
    model = model_of(variant)
    generator = torch.Generator().manual_seed(1)
    shape = (1, model.config.feature_dim)
    stems = [torch.randn(*shape, 8 >> k, 12 >> k, generator=generator) for k in range(3)]
    index = torch.randperm(96 + 24 + 6, generator=generator)[None]
    with torch.inference_mode():
        for found, expected in sparse_and_dense(model, stems, index):
            assert (found - expected).abs().max() <= 1e-4
            assert expected.std() > 0.01  # nothing was compared with nothing


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(
    variant=st.sampled_from(list(YOLOX_SCALES)),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    batch=st.integers(1, 3),
    count=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
def test_random_positions_sizes_and_batches(variant, height, width, batch, count, seed):
    model = model_of(variant)
    generator = torch.Generator().manual_seed(seed)
    sizes = [(4 * height, 4 * width), (2 * height, 2 * width), (height, width)]
    stems = [torch.randn(batch, model.config.feature_dim, *s, generator=generator) for s in sizes]
    index = torch.randint(21 * height * width, (batch, count), generator=generator)
    with torch.inference_mode():
        for found, expected in sparse_and_dense(model, stems, index):
            assert (found - expected).abs().max() <= 1e-4


def test_locate_sorts_by_level_and_back():
    index = torch.tensor([[6, 0, 4], [5, 3, 6]])  # levels of 2x2, 1x2 and 1x1 cells
    cells, order = locate(index, [(2, 2), (1, 2), (1, 1)])
    assert [around[:, 24].tolist() for around in cells] == [[0, 7], [0, 3], [0, 1]]
    assert order.tolist() == [4, 0, 2, 3, 1, 5]
    assert sorted(cells[0][1][cells[0][1] >= 0].tolist()) == [4, 5, 6, 7]  # of its own image


def test_lists_are_filled_up():
    cells, order = locate(torch.tensor([[0, 1, 2, 3, 5]]), [(2, 2), (1, 2), (1, 1)], multiple=4)
    assert [len(around) for around in cells] == [4, 4, 4]
    assert order.tolist() == [0, 1, 2, 3, 4]
    assert (cells[1][1:] == -1).all()
    assert (cells[2] == -1).all()


def test_a_patch_is_zero_outside_the_image():
    features = torch.arange(1.0, 7.0).view(1, 2, 3, 1)
    [cells], _ = locate(torch.tensor([[2]]), [(2, 3)])
    patches, inside = cut_patches(features, cells)
    expected = torch.zeros(7, 7)
    expected[3:5, 1:4] = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    assert torch.equal(patches.view(7, 7), expected)
    assert torch.equal(inside.view(7, 7), (expected > 0).float())
