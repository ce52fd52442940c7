"""Classes that the training data have no objects of stay the base detector's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from loguru import logger

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import build_model
from faim.families.yolox.second_stage import SecondStage
from faim.families.yolox.starting_weights import starting_model
from faim.training.checkpoints import SETTINGS
from faim.training.experiment import FaimExperiment, seen_classes
from faim.training.request import TrainRequest
from faim.training.run import train

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def more_classes(annotations: Path) -> Path:
    """The data with a category before, between and behind the two that have objects."""
    content = json.loads(annotations.read_text())
    first, second = content["categories"]
    content["categories"] = [
        {"id": 1, "name": "before"},
        {"id": 2, "name": first["name"]},
        {"id": 3, "name": "between"},
        {"id": 4, "name": second["name"]},
    ]
    for annotation in content["annotations"]:
        annotation["category_id"] = 2 if annotation["category_id"] == first["id"] else 4
    path = annotations.with_name("more_classes.json")
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def experiment(
    faim_experiment: FaimExperiment, more_classes: Path, tmp_path: Path
) -> FaimExperiment:
    """One epoch on data of four categories, from a base detector that knows them."""
    torch.manual_seed(3)
    config = FaimConfig(
        variant="nano", class_names=CocoVid(more_classes).classes, architecture="yolox"
    )
    model = build_model(config)
    for layer in model.detector.head.obj_preds:
        torch.nn.init.constant_(layer.bias, 1.0)
    path = tmp_path / "base.safetensors"
    save_checkpoint(path, model)
    return replace(faim_experiment, train_ann=str(more_classes), ckpt=str(path), max_epochs=1)


def test_seen_classes(annotations: Path, more_classes: Path) -> None:
    assert seen_classes(CocoVid(annotations)) == ()
    names = CocoVid(more_classes).classes
    assert seen_classes(CocoVid(more_classes)) == (names[1], names[3])


def test_only_frames_that_are_trained_on_count(
    faim_experiment: FaimExperiment, annotations: Path
) -> None:
    content = json.loads(annotations.read_text())
    name = content["categories"][1]["name"]
    first = {image["id"] for image in content["images"] if image["frame_id"] == 0}
    content["annotations"] = [
        a
        for a in content["annotations"]
        if a["category_id"] != content["categories"][1]["id"] or a["image_id"] not in first
    ]
    path = annotations.with_name("late.json")
    path.write_text(json.dumps(content))
    data = CocoVid(path)
    assert SecondStage(faim_experiment).config_for(data).refined_classes == ()
    thinned = replace(faim_experiment, frame_stride=4)
    assert SecondStage(thinned).config_for(data).refined_classes == tuple(
        n for n in data.classes if n != name
    )


def test_a_training_refines_what_it_sees(
    experiment: FaimExperiment, tmp_path: Path, fit: Callable[..., Path]
) -> None:
    names = CocoVid(Path(experiment.train_ann)).classes
    model = load_model(fit(experiment, tmp_path / "run"))
    assert model.config.class_names == names
    assert model.config.refined_classes == (names[1], names[3])
    images = torch.rand(2, 3, 64, 64) * 255
    with torch.inference_mode():
        proposals = model.propose(images)
        found = model.aggregator.refine(proposals)
    assert torch.equal(found[..., [0, 2]], proposals.class_scores[..., [0, 2]])
    assert not torch.equal(found[..., [1, 3]], proposals.class_scores[..., [1, 3]])


def test_the_experiment_may_say_which(experiment: FaimExperiment) -> None:
    data = CocoVid(Path(experiment.train_ann))
    chosen = replace(experiment, refined_classes=("between",))
    chosen.validate()
    assert SecondStage(chosen).config_for(data).refined_classes == ("between",)
    told: list[str] = []
    sink = logger.add(told.append, format="{message}")
    SecondStage(chosen).starting_model(data)
    logger.remove(sink)
    assert told[-1].startswith("1 of 4 classes are refined (between); the others keep")
    everything = replace(experiment, refined_classes=())
    assert SecondStage(everything).config_for(data).refined is None


def test_what_a_checkpoint_refines_stays_refined(experiment: FaimExperiment) -> None:
    path = Path(experiment.ckpt).with_name("faim.safetensors")
    config = FaimConfig(variant="nano", class_names=NAMES)
    going_on = replace(experiment, ckpt=str(path))
    for before, expected in ((("c", "d"), ("b", "c", "d")), ((), ())):
        save_checkpoint(path, build_model(replace(config, refined_classes=before)))
        model = starting_model(going_on, NAMES, ("b", "c"))
        assert model.config.refined_classes == expected
    named = replace(going_on, refined_classes=("b", "c"))
    assert starting_model(named, NAMES, ("b", "c")).config.refined_classes == ("b", "c")


def test_a_resumed_training_refines_the_same(
    experiment: FaimExperiment, tmp_path: Path, fit: Callable[..., Path]
) -> None:
    """What is refined may come from the checkpoint alone, and so from another -c."""
    fit(experiment, tmp_path / "run")
    data = CocoVid(Path(experiment.train_ann))
    path = tmp_path / "other.safetensors"
    config = replace(experiment.config(data.classes), refined_classes=data.classes[:1])
    save_checkpoint(path, build_model(config))
    other = replace(experiment, ckpt=str(path))
    with pytest.raises(FaimError, match=r"made with model\.refined_classes=.* the same settings"):
        fit(other, tmp_path / "run", resume=tmp_path / "run/last.ckpt")


@pytest.mark.parametrize("change", [{"retention_weight": 1.0}, {"join": "correction"}])
def test_a_checkpoint_from_before_had_no_such_choice(
    experiment: FaimExperiment, tmp_path: Path, fit: Callable[..., Path], change: dict[str, object]
) -> None:
    fit(experiment, tmp_path / "run")
    last = tmp_path / "run/last.ckpt"
    stored = torch.load(last, weights_only=True)
    del stored[SETTINGS]["model.join"], stored[SETTINGS]["model.retention_weight"]
    torch.save(stored, last)
    other = replace(experiment, model={**experiment.model, **change})
    name = next(iter(change))
    with pytest.raises(FaimError, match=rf"made with model\.{name}=.* the same settings"):
        fit(other, tmp_path / "run", resume=last)


def test_a_correcting_ticam_goes_on_correcting(experiment: FaimExperiment) -> None:
    path = Path(experiment.ckpt).with_name("faim.safetensors")
    config = FaimConfig(variant="nano", class_names=NAMES, join="correction")
    save_checkpoint(path, build_model(config))
    going_on = replace(experiment, ckpt=str(path))
    assert starting_model(going_on, NAMES).config.join == "correction"
    same, other = (
        replace(going_on, model={**going_on.model, "join": join})
        for join in ("correction", "replace")
    )
    assert starting_model(same, NAMES).config.join == "correction"
    with pytest.raises(FaimError, match=r"trained with model\.join=correction; expected the same"):
        starting_model(other, NAMES)


def test_wrong_names(experiment: FaimExperiment, tmp_path: Path) -> None:
    with pytest.raises(FaimError, match=r"refined_classes is \('horse',\); expected some of"):
        train(TrainRequest(replace(experiment, refined_classes=("horse",)), tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    wrong = replace(experiment, refined_classes=(1,))  # type: ignore[arg-type]
    with pytest.raises(FaimError, match="refined_classes is"):
        wrong.validate()
    inside = replace(experiment, model={"refined_classes": ("before",)})
    with pytest.raises(FaimError, match=r"model\.refined_classes is set by the experiment"):
        inside.validate()
