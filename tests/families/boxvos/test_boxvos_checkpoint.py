"""Checkpoints of the box-to-mask network, and weights for its backbone."""

import dataclasses
import json

import pytest
import torch
import torchvision
from boxvos_helpers import small_config, small_network
from safetensors.torch import load_file, save_file

from faim.errors import FaimError
from faim.families.boxvos.backbone_weights import load_backbone
from faim.families.boxvos.checkpoint import load_box_vos, make_box_vos, save_box_vos
from faim.weights import default_weights


def test_a_network_comes_back_as_it_was(tmp_path):
    model = small_network(iterative=False)
    save_box_vos(tmp_path / "w.safetensors", model)
    again = load_box_vos(tmp_path / "w.safetensors")
    assert again.config == model.config
    assert not again.training
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_the_same_seed_gives_the_same_network():
    first, second, other = (small_network(seed) for seed in (3, 3, 4))
    assert torch.equal(first.reduce.weight, second.reduce.weight)
    assert not torch.equal(first.reduce.weight, other.reduce.weight)


def test_wrong_files_are_told(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FaimError, match="no such file"):
        load_box_vos(path)
    path.write_bytes(b"")
    with pytest.raises(FaimError, match="empty"):
        load_box_vos(path)
    path.write_bytes(b"nothing")
    with pytest.raises(FaimError, match="not a safetensors"):
        load_box_vos(path)
    with pytest.raises(FaimError, match="expected one of"):
        load_box_vos(default_weights())
    (tmp_path / "w.pth").write_bytes(b"x")
    with pytest.raises(FaimError, match=r"not a \.safetensors"):
        load_box_vos(tmp_path / "w.pth")
    model = small_network()
    save_box_vos(path, model)
    state = load_file(path)
    state["reduce.bias"][0] = float("nan")
    config = json.dumps(dataclasses.asdict(model.config))
    save_file(state, path, metadata={"format": "faim box-to-mask", "config": config})
    with pytest.raises(FaimError, match="not finite"):
        load_box_vos(path)
    state["reduce.bias"][0] = 0
    save_file(state, path, metadata={"format": "faim box-to-mask", "config": '{"depth": 3}'})
    with pytest.raises(FaimError, match="damaged config"):
        load_box_vos(path)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("feature_dim", 16.0, "feature_dim is 16.0; expected a whole number"),
        ("feature_dim", 10**9, "feature_dim is 1000000000; expected a number from 1 to 4096"),
        ("decoder_dims", [8, 10**9], "decoder_dims is .8, 1000000000.; expected 2 numbers from 1"),
        ("kernel", 3.0, "kernel is 3.0; expected a whole number"),
        ("kernel", 10**9 + 1, "kernel is 1000000001; expected an odd number from 1 to 31"),
        ("crop_factor", float("nan"), "crop_factor is nan; expected a number"),
        ("crop_factor", 10**400, r"crop_factor is 10+\.\.\.0+; expected a number"),
        ("size", [64.0, 96.0], "size is .64.0, 96.0.; expected values separated by commas"),
        ("size", [64, 9600], "size is .64, 9600.; expected multiples of 32 pixels, at most 8192"),
        ("single_frame", "no", "single_frame is 'no'; expected true or false"),
        ("frames", True, "frames is True; expected a whole number"),
        ("frames", 10**9, "frames is 1000000000; expected a number from 1 to 10000"),
    ],
)
def test_a_damaged_config_is_one_sentence(tmp_path, field, value, sentence):
    path = tmp_path / "w.safetensors"
    model = small_network()
    config = json.dumps({**dataclasses.asdict(model.config), field: value})
    save_file(model.state_dict(), path, metadata={"format": "faim box-to-mask", "config": config})
    with pytest.raises(FaimError, match=rf"w\.safetensors: {sentence}"):
        load_box_vos(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "[1]", "null", '"size"', ""])
def test_a_config_that_is_no_dictionary_of_fields(tmp_path, text):
    path = tmp_path / "w.safetensors"
    state = small_network().state_dict()
    save_file(state, path, metadata={"format": "faim box-to-mask", "config": text})
    with pytest.raises(
        FaimError, match=r"w\.safetensors: config: .*expected BoxVosConfig's values"
    ):
        load_box_vos(path)


def test_backbone_weights_of_a_classifier_and_of_a_detector(tmp_path):
    torch.manual_seed(1)
    classifier = torchvision.models.mobilenet_v3_large(weights=None)
    torch.save(classifier.state_dict(), tmp_path / "c.pth")
    model = small_network()
    load_backbone(model, str(tmp_path / "c.pth"))
    name = "features.0.0.weight"
    assert torch.equal(model.backbone.net.state_dict()[name], classifier.state_dict()[name])

    detector = {f"backbone.body.{n}": 2 * t for n, t in classifier.state_dict().items()}
    detector = {n: t for n, t in detector.items() if "num_batches" not in n}
    torch.save({"model": detector}, tmp_path / "d.pth")
    load_backbone(model, str(tmp_path / "d.pth"))
    assert torch.equal(model.backbone.net.state_dict()[name], 2 * classifier.state_dict()[name])
    with pytest.raises(FaimError, match="no weights of a mobilenet_v3_large"):
        load_backbone(model, str(default_weights()))
    with pytest.raises(FaimError, match="expected that backbone"):
        load_backbone(model, "coco-maskrcnn")


def test_the_backbone_of_a_yolox_detector_gives_its_features():
    """The embedded checkpoint's detector and our backbone see the same in a frame."""
    from faim.families.yolox.checkpoint import load_model

    model = make_box_vos(
        small_config(backbone="yolox_nano", decoder_strides=(32, 16, 8), decoder_dims=(8, 8, 8))
    ).eval()
    load_backbone(model, str(default_weights()))
    detector = load_model(default_weights()).detector
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model.backbone(images)
        theirs = detector.backbone.backbone(images.flip(1) * 255)
    for stride, name in ((8, "dark3"), (16, "dark4"), (32, "dark5")):
        assert torch.allclose(found[stride], theirs[name], atol=1e-4)
