from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faim.errors import FaimError
from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, build_model
from faim.families.yolox.starting_weights import starting_model
from faim.training.experiment import BaseExperiment, FaimExperiment

NAMES = ("cat", "dog", "cow")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    model = build_model(FaimConfig(variant="nano", class_names=NAMES, architecture="yolox"))
    for layer in model.detector.head.cls_preds:
        torch.nn.init.normal_(layer.bias)
    path = tmp_path_factory.mktemp("weights") / "base.safetensors"
    save_checkpoint(path, model)
    return path


def test_known_classes_keep_their_predictors_in_the_order_of_the_data(base: Path) -> None:
    images = torch.rand(1, 3, 64, 64) * 255
    whole = starting_model(BaseExperiment(variant="nano", ckpt=str(base)), NAMES).eval()
    part = starting_model(FaimExperiment(variant="nano", ckpt=str(base)), ("cow", "cat")).eval()
    with torch.no_grad():
        expected, found = whole.detector(images).raw, part.detector(images).raw
    torch.testing.assert_close(found.class_scores, expected.class_scores[..., [2, 0]])
    assert torch.equal(found.boxes, expected.boxes)


def test_the_video_branch_starts_from_the_classification_branch(base: Path) -> None:
    experiment = FaimExperiment(variant="nano", ckpt=str(base))
    model = starting_model(experiment, NAMES)
    assert isinstance(model, FAIM)
    trained = model.detector.head.cls_convs.state_dict()
    own = model.video_branch.convs.state_dict()
    assert own.keys() == trained.keys()
    assert all(torch.equal(own[name], trained[name]) for name in own)
    fresh = starting_model(replace(experiment, init_branch_from_base=False), NAMES)
    assert isinstance(fresh, FAIM)
    name = "convs.0.0.dconv.conv.weight"
    assert not torch.equal(
        fresh.video_branch.state_dict()[name], model.video_branch.state_dict()[name]
    )


def test_the_seed_decides_what_is_random(base: Path) -> None:
    def ticam(seed: int) -> torch.Tensor:
        experiment = FaimExperiment(variant="nano", ckpt=str(base), seed=seed)
        model = starting_model(experiment, NAMES)
        return torch.cat([p.flatten() for p in model.ticam.parameters()])

    assert torch.equal(ticam(1), ticam(1))
    assert not torch.equal(ticam(1), ticam(2))


def test_faim_goes_on_from_faim(base: Path, tmp_path: Path) -> None:
    experiment = FaimExperiment(variant="nano", ckpt=str(base), seed=1)
    first = starting_model(experiment, NAMES)
    save_checkpoint(tmp_path / "faim.safetensors", first)
    path = str(tmp_path / "faim.safetensors")
    second = starting_model(replace(experiment, ckpt=path, seed=2), NAMES)
    for name, tensor in second.state_dict().items():
        assert torch.equal(tensor, first.state_dict()[name]), name
    detector = starting_model(BaseExperiment(variant="nano", ckpt=path), NAMES).detector
    for name, tensor in detector.state_dict().items():
        assert torch.equal(tensor, first.detector.state_dict()[name]), name


def test_the_first_stage_takes_other_classes_with_fresh_predictors(base: Path) -> None:
    experiment = BaseExperiment(variant="nano", ckpt=str(base))
    model = starting_model(experiment, ("car", "bus"))
    assert model.detector.head.cls_preds[0].weight.shape[0] == 2
    known = starting_model(experiment, NAMES).detector.state_dict()
    for name, tensor in model.detector.state_dict().items():
        assert name.startswith("head.cls_preds") or torch.equal(tensor, known[name]), name


@pytest.mark.parametrize(
    ("ckpt", "variant", "names", "sentence"),
    [
        ("", "nano", NAMES, "second stage starts from a trained base detector"),
        ("gone.safetensors", "nano", NAMES, "no such file"),
        ("base", "nano", ("car", "bus"), "3 classes, the data have 2"),
        ("base", "s", NAMES, "variant nano; expected s"),
    ],
)
def test_wrong_weights(
    ckpt: str, variant: str, names: tuple[str, ...], sentence: str, base: Path
) -> None:
    experiment = FaimExperiment(variant=variant, ckpt=str(base) if ckpt == "base" else ckpt)
    with pytest.raises(FaimError, match=sentence):
        starting_model(experiment, names)
