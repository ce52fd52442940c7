"""How TICAM's scores join the base detector's, by what the training data have labels of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from faim.data.coco_vid import CocoVid, FrameRecord
from faim.data.synth import generate
from faim.errors import FaimError
from faim.experiments.stage import stage_of
from faim.families.yolox import label_coverage as module
from faim.families.yolox import starting_weights
from faim.families.yolox.base import DetectorOutput
from faim.families.yolox.checkpoint import load_checkpoint, save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import YoloxVideo, build_model
from faim.families.yolox.label_coverage import LabelCoverage, choose_join, label_coverage
from faim.structures import RawPredictions
from faim.training.checkpoints import SETTINGS, stored_settings
from faim.training.experiment import FaimExperiment
from faim.weights import default_weights

SIDE = 64
SQUARE = (10.0, 10.0, 30.0, 30.0)
#: What the stub finds in every frame: x1 y1 x2 y2, objectness, and the scores of two classes.
FOUND = (
    (SQUARE, 1.0, (0.9, 0.0)),
    ((10.0, 10.0, 30.0, 29.0), 1.0, (0.8, 0.0)),  # the same again, which NMS leaves out
    ((40.0, 10.0, 60.0, 30.0), 0.9, (0.0, 0.9)),
    ((10.0, 40.0, 30.0, 60.0), 0.6, (0.8, 0.0)),  # 0.48
)

CORRECTS = (
    "so TICAM corrects the base detector's scores (model.join=correction); model.join=replace for "
    "the paper's rule"
)
REPLACES = "so TICAM's scores replace the base detector's (model.join=replace)"


class Stub(nn.Module):
    """A base detector that finds the same in every image."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes = nn.Parameter(torch.tensor([[box for box, _, _ in FOUND]]))

    def forward(self, images: Tensor) -> DetectorOutput:
        raw = RawPredictions(
            self.boxes,
            torch.tensor([[objectness for _, objectness, _ in FOUND]]),
            torch.tensor([[scores for _, _, scores in FOUND]]),
        )
        return DetectorOutput(raw, [], [], [], [])


def stub(refined: tuple[str, ...] = ()) -> YoloxVideo:
    config = FaimConfig(
        variant="nano",
        class_names=("cat", "dog"),
        architecture="yolox",
        test_size=(SIDE, SIDE),
        refined_classes=refined,
    )
    model = YoloxVideo(config)
    model.detector = Stub()  # type: ignore[assignment]
    return model


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[..., CocoVid]:
    """Data of black frames; of each the labels are given as boxes x1 y1 x2 y2."""
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((SIDE, SIDE, 3), np.uint8))

    def make(*frames: tuple[tuple[float, ...], ...], crowd: int = 0, **more: Any) -> CocoVid:
        image = {"video_id": 1, "file_name": "black.png", "width": SIDE, "height": SIDE}
        boxes = [
            (number, (x1, y1, x2 - x1, y2 - y1))
            for number, frame in enumerate(frames)
            for x1, y1, x2, y2 in frame
        ]
        content = {
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "videos": [{"id": 1, "name": "black"}],
            "images": [{**image, "id": n + 1, "frame_id": n} for n in range(len(frames))],
            "annotations": [
                {"id": n, "image_id": k + 1, "category_id": 1, "bbox": box, "iscrowd": crowd}
                for n, (k, box) in enumerate(boxes)
            ],
            **more,
        }
        path = tmp_path / "data.json"
        path.write_text(json.dumps(content))
        return CocoVid(path)

    return make


# -- what is counted


def test_detections_without_a_label_are_counted(labelled: Callable[..., CocoVid]) -> None:
    """A label of any class will do: the stub's dog is labelled as a cat."""
    whole = SQUARE, (41.0, 10.0, 61.0, 30.0)
    data = labelled(whole, (SQUARE,), (), whole)
    model = stub().train()
    assert label_coverage(model, data) == LabelCoverage(4, 8, 3)
    assert model.training
    assert label_coverage(stub(("dog",)), data) == LabelCoverage(4, 4, 2)


@pytest.mark.parametrize(("shift", "unlabelled"), [(10, 0), (11, 1)])
def test_how_much_a_label_overlaps(
    labelled: Callable[..., CocoVid], shift: int, unlabelled: int
) -> None:
    """Of squares of side 20 the IoU is (20 - shift) / (20 + shift), 0.33 and 0.29."""
    data = labelled(((10.0 + shift, 10.0, 30.0 + shift, 30.0),))
    assert label_coverage(stub(("cat",)), data) == LabelCoverage(1, 1, unlabelled)


@pytest.mark.parametrize(("left", "unlabelled"), [(0.0, 0), (25.0, 1)])
def test_a_crowd_is_a_label_of_what_lies_in_it(
    labelled: Callable[..., CocoVid], left: float, unlabelled: int
) -> None:
    """All of the detection does, or a quarter."""
    data = labelled(((left, 0.0, 64.0, 64.0),), crowd=1)
    assert label_coverage(stub(("cat",)), data) == LabelCoverage(1, 1, unlabelled)


def test_the_frames_are_spread(
    labelled: Callable[..., CocoVid], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def nothing(model: Any, frame: FrameRecord) -> np.ndarray:
        seen.append(frame.frame_id)
        return np.zeros((0, 4))

    monkeypatch.setattr(module, "_confident", nothing)
    assert label_coverage(stub(), labelled(*[()] * 200)) == LabelCoverage(64, 0, 0)
    assert seen == [200 * (2 * place + 1) // 128 for place in range(64)]
    assert (seen[0], seen[-1], set(np.diff(seen).tolist())) == (1, 198, {3, 4})
    seen.clear()
    label_coverage(stub(), labelled((), (), ()))
    assert seen == [0, 1, 2]


# -- what is chosen


@pytest.mark.parametrize(
    ("detections", "unlabelled", "join", "sentence"),
    [
        (
            *(120, 41, "correction"),
            "labels look partial: 41 of 120 confident detections of the base detector (34 %) have "
            f"no label, {CORRECTS}",
        ),
        (
            *(15, 3, "replace"),
            "labels look exhaustive: 3 of 15 confident detections of the base detector (20 %) have "
            f"no label, {REPLACES}",
        ),
        (
            *(9, 9, "replace"),
            "labels cannot be judged: 9 confident detections of the base detector in 64 frames, at "
            f"least 10 are needed, {REPLACES}",
        ),
        (
            *(1, 0, "replace"),
            "labels cannot be judged: 1 confident detection of the base detector in 64 frames, at "
            f"least 10 are needed, {REPLACES}",
        ),
    ],
)
def test_what_is_found_decides(
    labelled: Callable[..., CocoVid],
    monkeypatch: pytest.MonkeyPatch,
    detections: int,
    unlabelled: int,
    join: str,
    sentence: str,
) -> None:
    found = LabelCoverage(64, detections, unlabelled)
    monkeypatch.setattr(module, "label_coverage", lambda model, data: found)
    choice = choose_join("auto", labelled(()), stub())
    assert (choice.join, choice.sentence) == (join, sentence)


def test_the_option_comes_before_the_file_and_that_before_what_is_found(
    labelled: Callable[..., CocoVid],
) -> None:
    silent, partial, exhaustive = (
        labelled(*[()] * 5, info=info) for info in ({}, {"exhaustive": False}, {"exhaustive": True})
    )
    assert choose_join("auto", silent, stub()).join == "correction"
    path = exhaustive.annotation_file
    choice = choose_join("auto", exhaustive, stub())
    assert choice.join == "replace"
    assert choice.sentence == f"{path} says that all objects have a label, {REPLACES}"
    choice = choose_join("auto", partial, None)
    assert choice.join == "correction"
    assert choice.sentence == f"{path} says that not all objects have a label, {CORRECTS}"
    for data in (silent, partial, exhaustive):
        choice = choose_join("exhaustive", data, stub())
        assert (choice.join, choice.sentence) == ("replace", f"labels=exhaustive, {REPLACES}")
        choice = choose_join("partial", data, stub())
        assert (choice.join, choice.sentence) == ("correction", f"labels=partial, {CORRECTS}")


# -- in a training


@pytest.fixture(scope="module")
def synth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of four frames, of classes that the embedded weights know."""
    path = generate(
        tmp_path_factory.mktemp("synth"),
        videos=4,
        frames=4,
        size=128,
        classes=7,
        severity="easy",
        seed=1,
        progress=False,
    )
    content = json.loads(path.read_text())
    del content["info"]["exhaustive"]  # the labels speak for themselves
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def half(synth: Path) -> Path:
    """The same without the labels of every second frame."""
    content = json.loads(synth.read_text())
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] % 2]
    path = synth.with_name("half.json")
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def experiment(faim_experiment: FaimExperiment, synth: Path) -> FaimExperiment:
    """One epoch from the embedded weights' base detector."""
    return replace(
        faim_experiment,
        train_ann=str(synth),
        ckpt=str(default_weights()),
        model={"test_size": (256, 256), "train_frames": 4, "mask_weight": 0.0},
        max_epochs=1,
    )


def on(experiment: FaimExperiment, path: Path, **changes: Any) -> Any:
    """The model that a training on these data starts from."""
    changed = replace(experiment, train_ann=str(path), **changes)
    changed.validate()
    stage = stage_of(changed)
    return stage.starting_model(stage.read_data())


def joined(experiment: FaimExperiment, join: str) -> FaimExperiment:
    return replace(experiment, model={**experiment.model, "join": join})


def test_all_labels_replace_and_half_of_them_correct(
    experiment: FaimExperiment, synth: Path, half: Path, logged: list[str]
) -> None:
    whole = on(experiment, synth)
    assert whole.config.join == "replace"
    assert logged[0] == (
        "labels look exhaustive: 0 of 24 confident detections of the base detector (0 %) have no "
        f"label, {REPLACES}"
    )
    logged.clear()
    corrects = on(experiment, half)
    assert corrects.config.join == "correction"
    assert logged[0] == (
        "labels look partial: 11 of 24 confident detections of the base detector (46 %) have no "
        f"label, {CORRECTS}"
    )
    up, down = corrects.config.correction_up, corrects.config.correction_down
    assert (up, down) == (FaimConfig.correction_up, FaimConfig.correction_down)
    counts = (
        f"of TICAM's corrections those that raise a score count {up:g} times (model.correction_up)"
        ", those that lower one 0 times (model.correction_down), as partial labels hardly teach "
        "what an object is not; training itself takes all of them"
    )
    assert counts in logged
    logged.clear()
    named = on(joined(experiment, "correction"), half)
    assert corrects.config == named.config
    assert logged[-1] == counts
    for name, tensor in named.state_dict().items():
        assert torch.equal(corrects.state_dict()[name], tensor), name


def test_only_frames_that_are_trained_on_are_looked_at(
    experiment: FaimExperiment, half: Path, logged: list[str]
) -> None:
    """Every second one, whose labels are all there."""
    assert on(experiment, half, frame_stride=2).config.join == "replace"
    assert logged[0].startswith("labels look exhaustive: 0 of 13 confident detections")


def test_a_named_join_stays(experiment: FaimExperiment, half: Path, logged: list[str]) -> None:
    assert on(joined(experiment, "replace"), half).config.join == "replace"
    assert on(joined(experiment, "mean"), half, labels="partial").config.join == "mean"
    assert not any("labels" in line for line in logged)


def test_a_base_detector_of_other_classes_cannot_judge(
    experiment: FaimExperiment, half: Path, logged: list[str]
) -> None:
    """Which its predictors of as many classes would."""
    weights = load_checkpoint(experiment.ckpt)[0]
    content = json.loads(half.read_text())
    content["categories"] = [
        {"id": number, "name": f"other {number}"} for number in range(1, weights.num_classes + 1)
    ]
    other = half.with_name("other.json")
    other.write_text(json.dumps(content))
    assert on(experiment, other).config.join == "replace"
    sentence = (
        "labels cannot be judged: the base detector's class names are not those of the data, "
        f"{REPLACES}"
    )
    assert sentence in logged
    assert on(experiment, other, labels="partial").config.join == "correction"


def test_a_checkpoint_that_is_gone_on_with_keeps_its_join(
    experiment: FaimExperiment, half: Path, tmp_path: Path, logged: list[str]
) -> None:
    config = experiment.config(CocoVid(half).classes)
    path = tmp_path / "faim.safetensors"
    going_on = replace(experiment, ckpt=str(path))
    for join in ("replace", "correction", "mean"):
        own = replace(config, join=join, base_share=0.3, correction_up=1.5, correction_down=0.5)
        save_checkpoint(path, build_model(own))
        found = on(going_on, half).config
        assert (found.join, found.base_share) == (join, 0.3)
        assert (found.correction_up, found.correction_down) == (1.5, 0.5)
        sentence = f"TICAM's scores join the base detector's as in {path} (model.join={join})"
        assert sentence in logged
    with pytest.raises(FaimError, match=r"trained with model\.join=mean; expected the same"):
        on(joined(going_on, "replace"), half)


def test_a_training_stores_its_join_and_a_resumed_one_keeps_it(
    experiment: FaimExperiment,
    half: Path,
    tmp_path: Path,
    fit: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partial = replace(experiment, train_ann=str(half))
    first = load_checkpoint(fit(partial, tmp_path))
    assert first[0].join == "correction"
    last = tmp_path / "last.ckpt"
    settings = torch.load(last, weights_only=True)[SETTINGS]
    assert settings["model.join"] == "correction"
    usual = replace(partial, basic_lr_per_img=None)
    slower = usual.settled_as(settings)
    assert slower.learning_rate == pytest.approx(usual.learning_rate / 10)

    def again(*_: Any) -> None:
        raise AssertionError("chosen again")

    monkeypatch.setattr(starting_weights, "choose_join", again)
    for changes in ({}, {"labels": "exhaustive"}, {"ckpt": str(tmp_path / "weights.safetensors")}):
        resumed = load_checkpoint(fit(replace(partial, **changes), tmp_path, resume=last))
        assert resumed[0] == first[0]
        assert all(torch.equal(resumed[1][name], tensor) for name, tensor in first[1].items())
    assert "join" not in partial.model
    with pytest.raises(FaimError, match=r"made with model\.join='correction', not 'replace'"):
        fit(joined(partial, "replace"), tmp_path, resume=last)


@pytest.mark.parametrize(
    ("before", "join"),
    [({}, "replace"), ({"model.residual": True}, "correction"), ({"model.join": 3}, None)],
)
def test_a_checkpoint_from_before_there_was_a_choice(
    experiment: FaimExperiment, tmp_path: Path, before: dict[str, Any], join: str | None
) -> None:
    last = tmp_path / "last.ckpt"
    torch.save({SETTINGS: before}, last)
    kept = experiment.settled_as(stored_settings(last)).model
    assert kept.get("join") == join
    # All of a correction counted then.
    counted = None if join is None else 1
    assert (kept.get("correction_up"), kept.get("correction_down")) == (counted, counted)


@pytest.mark.parametrize("labels", ["none", True, None])
def test_wrong_labels(experiment: FaimExperiment, labels: Any) -> None:
    wrong = replace(experiment, labels=labels)
    sentence = f"labels is {labels!r}; expected one of auto, exhaustive, partial"
    with pytest.raises(FaimError, match=sentence):
        wrong.validate()
