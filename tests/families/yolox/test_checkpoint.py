import pickle

import numpy as np
import pytest
import torch

from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_base_weights, load_model, save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, YoloxVideo
from faim.families.yolox.public_checkpoints import size_of
from faim.state_dicts import shapes_of

NAMES = ("cat", "dog")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FAIM(FaimConfig(variant="nano", class_names=NAMES, num_proposals=7)).eval()


@pytest.fixture
def saved(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model)
    return path


def test_round_trip(model, saved):
    loaded = load_model(saved)
    assert loaded.config == model.config
    for (name, own), (_, theirs) in zip(
        model.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert torch.equal(own, theirs), name
    assert not loaded.training


def test_other_aggregations_take_the_base_detector_alone(model, saved):
    affinity = load_model(saved, aggregate="affinity")
    assert isinstance(affinity, YoloxVideo)
    images = torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        assert torch.equal(affinity.propose(images).boxes, model.propose(images).boxes)
        alone = load_model(saved, aggregate="none")
        proposals = alone.propose(images)
        assert torch.equal(alone.aggregator.refine(proposals), proposals.class_scores)


@pytest.mark.parametrize("wrapped", [True, False])
def test_official_yolox_checkpoint(model, tmp_path, wrapped):
    state = model.detector.state_dict()
    path = tmp_path / "yolox.pth"
    # YOLOX's trainer stores more than the weights.
    extra = {"start_epoch": 3, "best_ap": np.float64(0.4), "curr_ap": None}
    torch.save({"model": state, **extra} if wrapped else state, path)
    loaded = load_model(path, class_names=NAMES)
    assert loaded.config.variant == "nano"
    assert loaded.config.architecture == "yolox"
    assert loaded.config.class_names == NAMES
    for name, tensor in state.items():
        assert torch.equal(loaded.state_dict()[f"detector.{name}"], tensor)


@pytest.mark.parametrize("variant", ["nano", "tiny", "s", "m", "l", "x"])
def test_variant_is_read_off_the_weights(tmp_path, variant):
    with torch.device("meta"):
        state = YoloxVideo(FaimConfig(variant=variant, class_names=("a",))).detector.state_dict()
    assert size_of(shapes_of(state), tmp_path / "w.pth") == (variant, None)


def test_base_weights_for_another_number_of_classes(model, saved):
    other = FAIM(FaimConfig(variant="nano", class_names=("a", "b", "c")))
    fresh = other.detector.head.cls_preds[0].weight.clone()
    load_base_weights(other, saved)
    own, theirs = other.detector.state_dict(), model.detector.state_dict()
    for name in own:
        if not name.startswith("head.cls_preds"):
            assert torch.equal(own[name], theirs[name]), name
    assert torch.equal(other.detector.head.cls_preds[0].weight, fresh)


def test_wrong_files(model, saved, tmp_path):
    with pytest.raises(FaimError, match="no such file"):
        load_model(tmp_path / "absent.pth")
    (tmp_path / "empty.pth").touch()
    with pytest.raises(FaimError, match="empty"):
        load_model(tmp_path / "empty.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(FaimError, match="not a checkpoint"):
        load_model(tmp_path / "text.pth")
    (tmp_path / "text.safetensors").write_text("hello hello hello")
    with pytest.raises(FaimError, match="not a safetensors checkpoint"):
        load_model(tmp_path / "text.safetensors")
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(FaimError, match="not a safetensors checkpoint"):
        load_model(saved)
    (tmp_path / "noise.pth").write_bytes(b".noise")
    with pytest.raises(FaimError, match="not a checkpoint"):
        load_model(tmp_path / "noise.pth")
    torch.save({1: torch.zeros(3)}, tmp_path / "numbers.pth")
    with pytest.raises(FaimError, match="no YOLOX weights"):
        load_model(tmp_path / "numbers.pth")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(FaimError, match="no YOLOX weights"):
        load_model(tmp_path / "other.pth")


def test_a_pickle_is_never_run(tmp_path):
    flag = tmp_path / "flag"

    class Evil:
        def __reduce__(self):
            return flag.write_text, ("ran",)

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(FaimError, match="not a checkpoint"):
        load_model(path)
    torch.save(Evil(), path)
    with pytest.raises(FaimError, match="not a checkpoint"):
        load_model(path)
    assert not flag.exists()


def test_weights_that_are_not_finite(model, tmp_path):
    broken = FAIM(model.config)
    with torch.no_grad():
        broken.ticam.classifier.bias[0] = float("nan")
    save_checkpoint(tmp_path / "nan.safetensors", broken)
    with pytest.raises(FaimError, match=r"ticam\.classifier\.bias.*finite|finite.*ticam"):
        load_model(tmp_path / "nan.safetensors")


def test_wrong_class_count(saved):
    with pytest.raises(FaimError, match="2 classes; 3 class names"):
        load_model(saved, class_names=("a", "b", "c"))


def test_no_ticam_in_a_plain_yolox(model, tmp_path):
    torch.save(model.detector.state_dict(), tmp_path / "y.pth")
    with pytest.raises(FaimError, match="no TICAM"):
        load_model(tmp_path / "y.pth", aggregate="ticam")


def test_a_failed_write_leaves_no_half_file(model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FaimError, match="cannot make its folder"):
        save_checkpoint(tmp_path / "file" / "model.safetensors", model)
