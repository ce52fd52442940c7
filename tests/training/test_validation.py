"""What is measured before the first step and after every epoch, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from faim.data.coco_vid import CocoVid
from faim.data.video_frames import thinned
from faim.errors import FaimError
from faim.evaluation import in_hand
from faim.families.yolox.checkpoint import load_checkpoint
from faim.training.experiment import BaseExperiment, Experiment

Fit = Callable[..., Path]
Script = Callable[..., list[int]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Script:
    """AP50 that evaluations are to give, in their order; a list of how many frames each saw."""
    evaluate_model = in_hand.evaluate_model

    def script(*ap50: float) -> list[int]:
        frames: list[int] = []
        values: Iterator[float] = iter(ap50)

        def evaluate(model: Any, data: CocoVid, mode: Any, device: Any) -> dict[str, float]:
            frames.append(len(data.frames))
            return {**evaluate_model(model, data, mode, device), "ap50": next(values)}

        monkeypatch.setattr(in_hand, "evaluate_model", evaluate)
        return frames

    return script


@pytest.mark.parametrize("stage", ["base_experiment", "faim_experiment"])
def test_the_best_weights_are_kept_and_the_training_is_left_alone(
    stage: str,
    annotations: Path,
    request: pytest.FixtureRequest,
    fit: Fit,
    tmp_path: Path,
    scripted: Script,
    logged: list[str],
) -> None:
    experiment: Experiment = request.getfixturevalue(stage)
    plain = load_checkpoint(fit(replace(experiment, save_history=True), tmp_path / "plain"))[1]
    frames = scripted(55.0, 12.0, 7.0)
    validated = replace(experiment, val_ann=str(annotations), val_start=8)
    after = load_checkpoint(fit(validated, tmp_path / "validated"))[1]
    assert all(torch.equal(after[name], plain[name]) for name in plain)
    first = load_checkpoint(tmp_path / "plain/epoch_001.safetensors")[1]
    best = load_checkpoint(tmp_path / "validated/best.safetensors")[1]
    assert all(torch.equal(best[name], first[name]) for name in first)
    assert frames == [8, 16, 16]
    told = [line.split(",")[0] for line in logged if "AP50 " in line]
    assert told == ["before the first step: AP50 55.0", "epoch 1: AP50 12.0", "epoch 2: AP50 7.0"]


def test_a_collapse_stops_after_the_warm_up(
    base_experiment: BaseExperiment,
    annotations: Path,
    fit: Fit,
    tmp_path: Path,
    scripted: Script,
) -> None:
    experiment = replace(base_experiment, val_ann=str(annotations), max_epochs=4)
    scripted(90.0, 8.9)  # the warm-up of one epoch is over after the first
    with pytest.raises(FaimError) as caught:
        fit(experiment, tmp_path)
    assert f"{annotations}: AP50 is 8.9 after epoch 1, and was 90.0 before" in str(caught.value)
    assert str(caught.value).endswith(f"; the last checkpoint is {tmp_path}/last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4
    scripted(8.0)
    with pytest.raises(FaimError, match=r"AP50 is 8.0 after epoch 2, and was 90.0 before"):
        fit(experiment, tmp_path, resume=tmp_path / "last.ckpt")
    scripted(0.0, 0.0)
    fit(replace(experiment, stop_below=0.0), tmp_path, resume=tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("changes", "ap50"),
    [
        ({}, (90.0, 9.1, 9.1)),  # not that far
        ({}, (9.0, 0.0, 0.0)),  # from next to nothing
        ({"warmup_iters": 8, "max_epochs": 6}, (90.0, 0.0, 80.0, 80.0, 80.0, 80.0, 80.0)),
        ({"val_start": 0}, (0.0, 0.0)),  # nobody looked
    ],
)
def test_what_is_no_collapse(
    changes: dict[str, Any],
    ap50: tuple[float, ...],
    base_experiment: BaseExperiment,
    annotations: Path,
    fit: Fit,
    tmp_path: Path,
    scripted: Script,
) -> None:
    frames = scripted(*ap50)
    fit(replace(base_experiment, val_ann=str(annotations), **changes), tmp_path)
    assert len(frames) == len(ap50)


def test_thinned_data(annotations: Path, tmp_path: Path) -> None:
    """Frames of each video, then videos; all where no object would be left."""
    data = CocoVid(annotations)  # 4 videos of 4
    assert [len(video.frames) for video in thinned(data, 8).videos] == [2] * 4
    assert [len(video.frames) for video in thinned(data, 2).videos] == [1, 1]
    assert len(thinned(data, 500).frames) == 16
    content = json.loads(annotations.read_text())
    last = content["images"][-1]["id"]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == last]
    (tmp_path / "few.json").write_text(json.dumps(content))
    assert len(thinned(CocoVid(tmp_path / "few.json"), 2).frames) == 16
