"""The baseline trains in the same loop as FAIM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import _KilledError as KilledError
from test_train import kill_after

from faim.errors import FaimError
from faim.experiments.file import load_experiment
from faim.experiments.stage import stage_of
from faim.families.yolox.checkpoint import load_checkpoint, save_checkpoint
from faim.families.yolox.starting_weights import starting_model
from faim.training.experiment import (
    BaseExperiment,
    Experiment,
    FaimExperiment,
    YolovExperiment,
    YolovIfemExperiment,
)

Fit = Callable[..., Path]
KINDS = {"yolov": YolovExperiment, "yolov_ifem": YolovIfemExperiment}


def baseline(faim_experiment: FaimExperiment, architecture: str) -> Experiment:
    """The same settings for a baseline."""
    return KINDS[architecture](**asdict(faim_experiment))


@pytest.mark.parametrize(
    ("architecture", "trained"),
    [
        ("yolov", ("video_branch.", "ticam.")),
        ("yolov_ifem", ("video_branch.", "ticam.", "ifem.", "mask_head.")),
    ],
)
def test_a_training_changes_its_parts_alone(
    architecture: str,
    trained: tuple[str, ...],
    faim_experiment: FaimExperiment,
    fit: Fit,
    tmp_path: Path,
) -> None:
    experiment = baseline(faim_experiment, architecture)
    start = starting_model(experiment, load_checkpoint(experiment.ckpt)[0].class_names)
    before = start.state_dict()
    config, after = load_checkpoint(fit(experiment, tmp_path))
    assert config.architecture == architecture
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert {f"{name.split('.')[0]}." for name in changed} == set(trained)


def test_a_resumed_training_ends_in_the_same_weights(
    faim_experiment: FaimExperiment, fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = baseline(faim_experiment, "yolov")
    experiment.checkpoint_every = 2
    whole = load_checkpoint(fit(experiment, tmp_path / "whole"))[1]
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        with pytest.raises(KilledError):
            fit(experiment, tmp_path / "killed")
    last = tmp_path / "killed/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 2
    resumed = load_checkpoint(fit(experiment, tmp_path / "killed", resume=last))[1]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_masks_are_needed_where_they_are_learnt() -> None:
    assert not YolovExperiment().masks_required
    assert YolovIfemExperiment().masks_required
    assert not YolovIfemExperiment(model={"mask_weight": 0.0}).masks_required
    assert YolovExperiment().config(("a",)).train_parts == ("video_branch", "ticam")


def test_parts_that_yolov_has_not() -> None:
    experiment = YolovExperiment(model={"train_parts": ["ifem"]})
    with pytest.raises(FaimError, match="expected some of base, video_branch, ticam"):
        experiment.validate()


@pytest.mark.parametrize("variant", ["nano", "tiny", "s", "m", "l", "x"])
def test_the_shipped_experiments(variant: str) -> None:
    experiment = load_experiment(f"exps/yolov_{variant}.py")
    reference = load_experiment(f"exps/faim_{variant}.py")
    assert isinstance(experiment, YolovExperiment)
    known = asdict(reference) | {"name": f"yolov_{variant}"}
    assert asdict(experiment) == known  # the comparison is of the method alone
    if variant == "s":
        assert isinstance(load_experiment("exps/yolov_ifem_s.py"), YolovIfemExperiment)


def test_what_a_training_starts_from(faim_experiment: FaimExperiment, tmp_path: Path) -> None:
    """YOLOV goes on from YOLOV; of FAIM or a base detector it takes the base detector."""
    names = load_checkpoint(faim_experiment.ckpt)[0].class_names
    experiment = baseline(faim_experiment, "yolov")
    first = starting_model(experiment, names)
    branch = "video_branch.convs.0.0.dconv.conv.weight"
    trained = first.detector.state_dict()["head.cls_convs.0.0.dconv.conv.weight"]
    assert torch.equal(first.state_dict()[branch], trained)
    with torch.no_grad():
        first.ticam.classifier.bias += 1  # type: ignore[union-attr, operator]
    experiment.ckpt = faim_experiment.ckpt = str(tmp_path / "yolov.safetensors")
    save_checkpoint(experiment.ckpt, first)
    second = starting_model(experiment, names).state_dict()
    assert all(torch.equal(second[name], tensor) for name, tensor in first.state_dict().items())
    faim = starting_model(faim_experiment, names).state_dict()
    for name, tensor in first.state_dict().items():
        same = torch.equal(faim[name], tensor)
        assert same or not name.startswith(("detector.", "video_branch.")), name
        assert not same or name != "ticam.classifier.bias"


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        (BaseExperiment, "frame"),
        (FaimExperiment, "global"),
        (YolovExperiment, "global"),
        (YolovIfemExperiment, "global"),
    ],
)
def test_what_validation_looks_at(kind: type[Experiment], mode: str, annotations: Path) -> None:
    stage = stage_of(kind(val_ann=str(annotations)))
    asked: list[Any] = []

    def measure(*arguments: Any) -> dict[str, float]:
        asked.append(arguments)
        return {"ap50": 3.0}

    assert stage.evaluate("the model", "cpu", 8, measure) == {"ap50": 3.0}
    ((model, data, seen, device),) = asked
    assert (model, len(data.frames), seen, device) == ("the model", 8, mode, "cpu")


def test_resuming_a_finished_training_leaves_its_averaged_weights(
    faim_experiment: FaimExperiment, fit: Fit, tmp_path: Path
) -> None:
    experiment = baseline(faim_experiment, "yolov")
    first = load_checkpoint(fit(experiment, tmp_path))[1]
    again = load_checkpoint(fit(experiment, tmp_path, resume=tmp_path / "last.ckpt"))[1]
    assert all(torch.equal(first[name], again[name]) for name in first)
