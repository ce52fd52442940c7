"""The assembled network: what its outputs depend on, and what they do not."""

from dataclasses import replace

import pytest
import torch
from boxvos_helpers import small_network

from faim.errors import FaimError
from faim.families.boxvos.config import BoxVosConfig
from faim.families.boxvos.lovasz import lovasz_hinge
from faim.families.boxvos.network import FrameEncoding
from faim.families.boxvos.object_encoder import rasterize


def clip(batch=1, frames=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, frames, 3, 64, 96, generator=generator)
    corners = torch.rand(batch, frames, 2, generator=generator) * 30
    boxes = torch.cat([corners, corners + 30], -1)
    return images, boxes


def trained_a_little(**changes):
    """A network whose every part has an effect: at the start all weights w are one, and features
    vanish on their way through layers whose norms have seen nothing.
    """
    model = small_network(**changes)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight.0.weight"):
                parameter.normal_(0, 0.1, generator=torch.Generator().manual_seed(5))
        for part in model.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.momentum = 1.0
        model.train()(*clip(batch=2, seed=9))
    return model.eval()


@torch.no_grad()
def test_a_batch_is_its_sequences_one_by_one():
    model = trained_a_little()
    images, boxes = clip(batch=2)
    together = model(images, boxes)
    for b in range(2):
        alone = model(images[b : b + 1], boxes[b : b + 1])
        for passed, whole in zip(alone, together, strict=True):
            assert torch.allclose(passed[0], whole[b], atol=1e-4)


@torch.no_grad()
def test_frames_encoded_apart_and_gathered_give_the_same_masks():
    model = trained_a_little()
    images, boxes = clip()
    parts = [model.encode(images[0, t : t + 1], boxes[0, t : t + 1]) for t in range(3)]
    window = FrameEncoding.stack(parts).map(lambda value: value.unsqueeze(0))
    for found, whole in zip(model.decode(window), model(images, boxes), strict=True):
        assert torch.allclose(found, whole, atol=1e-4)


@torch.no_grad()
def test_frames_in_another_order_get_the_same_masks():
    model = trained_a_little()
    images, boxes = clip()
    order = [2, 0, 1]
    straight, shuffled = model(images, boxes), model(images[:, order], boxes[:, order])
    for before, after in zip(straight, shuffled, strict=True):
        assert torch.allclose(before[:, order], after, atol=1e-4)


@torch.no_grad()
def test_other_frames_count_only_where_several_frames_are_used():
    images, boxes = clip()
    changed = images.clone()
    changed[:, 1:] = 1 - changed[:, 1:]
    several = trained_a_little()
    assert (several(images, boxes)[-1][:, 0] - several(changed, boxes)[-1][:, 0]).abs().max() > 1e-4
    single = trained_a_little(multi_frame=False, iterative=False)
    before, after = single(images, boxes), single(changed, boxes)
    assert len(before) == 1
    assert torch.allclose(before[0][:, 0], after[0][:, 0], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(
    ("changes", "matter"),
    [
        ({"multi_frame": False, "iterative": False}, {"single"}),
        ({"single_frame": False, "iterative": False}, {"embedding", "weight"}),
        ({"iterative": False}, {"single", "embedding", "weight"}),
        ({}, {"single", "embedding", "weight"}),
    ],
)
def test_the_rows_of_table_2(changes, matter):
    """In each row of the paper's table just these parts of the encoding reach the masks."""
    model = trained_a_little(**changes)
    images, boxes = clip()
    window = model.encode(images[0], boxes[0]).map(lambda value: value.unsqueeze(0))
    masks = model.decode(window)
    assert len(masks) == (1 if "iterative" in changes else 2)
    for name in ("single", "embedding", "weight"):
        part = getattr(window, name)
        noise = torch.rand(part.shape, generator=torch.Generator().manual_seed(0))
        other = model.decode(replace(window, **{name: part + noise}))
        assert (not torch.allclose(other[-1], masks[-1], atol=1e-5)) == (name in matter)


@torch.no_grad()
def test_the_second_pass_sees_the_first_one_s_masks_alone():
    """B̂ reads y: with the same first masks, e and w of the first pass do not matter any more."""
    model = trained_a_little()
    images, boxes = clip()
    window = model.encode(images[0], boxes[0]).map(lambda value: value.unsqueeze(0))
    first, refined = model.decode(window)
    encoding, weight = model.secondary_encoder(first.sigmoid().flatten(0, 1).unsqueeze(1))
    s = model.secondary_aggregation(window.features, encoding[None], weight[None], 15)
    levels = [level.flatten(0, 1) for level in window.levels]
    again = model.decoder(torch.cat([s, window.single], 2).flatten(0, 1), levels, (64, 96))
    assert torch.allclose(again, refined[0], atol=1e-5)


def test_every_part_gets_a_gradient_and_a_frozen_backbone_none():
    model = small_network()
    model.freeze_backbone = True
    model.train()
    images, boxes = clip()
    before = {name: value.clone() for name, value in model.backbone.named_buffers()}
    masks = torch.zeros(1, 3, 64, 96, dtype=torch.bool)
    masks[..., 20:40, 20:40] = True
    truth = masks.flatten(0, 1).flatten(1)
    for logits in model(images, boxes):
        lovasz_hinge(logits.flatten(0, 1).flatten(1), truth).mean().backward(retain_graph=True)
    for name, parameter in model.named_parameters():
        if name.startswith("backbone."):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
    for name, value in model.backbone.named_buffers():
        assert torch.equal(value, before[name])


def test_rasterized_boxes_cover_pixels_by_area():
    found = rasterize(torch.tensor([[1.0, 0.5, 2.25, 2.0]]), 3, 4)[0, 0]
    expected = [[0, 0.5, 0.125, 0], [0, 1, 0.25, 0], [0, 0, 0, 0]]
    assert torch.allclose(found, torch.tensor(expected))
    assert rasterize(torch.tensor([[-5.0, -5.0, 9.0, 9.0]]), 3, 4).sum() == 12


def test_features_have_patches_of_length_one():
    model = small_network()
    x = model.deep_features(torch.randn(2, model.backbone.channels[8], 6, 7) * 50)
    patches = torch.nn.functional.unfold(x, 3, padding=1)
    inner = x.square().sum(1).mean((1, 2)) * 9
    assert inner.tolist() == pytest.approx([1.0, 1.0], rel=1e-4)
    assert 0.5 < patches.square().sum(1).mean() < 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": (100, 96)}, "multiples of 32"),
        ({"backbone": "vgg"}, "resnet18"),
        ({"stride": 4}, "8 or 16"),
        ({"decoder_strides": (4, 8)}, "falling"),
        ({"decoder_strides": ()}, "falling"),
        ({"decoder_dims": (8,)}, "4 numbers"),
        ({"kernel": 2}, "odd"),
        ({"feature_dim": 0}, "feature_dim"),
        ({"crop_factor": 0.5}, "crop_factor"),
        ({"single_frame": False, "multi_frame": False, "iterative": False}, "both false"),
        ({"multi_frame": False}, "iterative"),
    ],
)
def test_wrong_numbers_are_told(changes, words):
    with pytest.raises(FaimError, match=words):
        BoxVosConfig(**changes)
