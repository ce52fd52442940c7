from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from loguru import logger

from faim.data.synth import generate
from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.faim import build_model
from faim.training.experiment import BaseExperiment, Experiment, FaimExperiment
from faim.training.request import TrainRequest
from faim.training.run import train

SIZE = 64


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums in the same order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of four frames with masks, two classes."""
    return generate(
        tmp_path_factory.mktemp("synth"),
        videos=4,
        frames=4,
        size=SIZE,
        classes=2,
        severity="easy",
        seed=1,
        progress=False,
    )


@pytest.fixture
def base_experiment(annotations: Path) -> BaseExperiment:
    """Two epochs of four steps."""
    return BaseExperiment(
        variant="nano",
        name="base",
        train_ann=str(annotations),
        model={"test_size": (SIZE, SIZE)},
        input_size=(SIZE, SIZE),
        multiscale_range=1,
        frame_stride=1,
        max_epochs=2,
        no_aug_epochs=1,
        batch_size=4,
        basic_lr_per_img=0.001,
        workers=0,
        accelerator="cpu",
    )


@pytest.fixture(scope="session")
def base_weights(tmp_path_factory: pytest.TempPathFactory, annotations: Path) -> Path:
    """A base detector with random weights, for the fixture's classes."""
    from faim.data.coco_vid import CocoVid

    torch.manual_seed(3)
    experiment = BaseExperiment(variant="nano", model={"test_size": (SIZE, SIZE)})
    model = build_model(experiment.config(CocoVid(annotations).classes))
    # Random weights find nothing: objects everywhere, so that there are proposals to learn from.
    for layer in model.detector.head.obj_preds:
        torch.nn.init.constant_(layer.bias, 1.0)
    path = tmp_path_factory.mktemp("weights") / "base.safetensors"
    save_checkpoint(path, model)
    return path


@pytest.fixture
def faim_experiment(annotations: Path, base_weights: Path) -> FaimExperiment:
    """Two epochs of four steps of four frames."""
    return FaimExperiment(
        variant="nano",
        name="faim",
        train_ann=str(annotations),
        ckpt=str(base_weights),
        model={"test_size": (SIZE, SIZE), "train_frames": 4},
        sizes=(64, 96),
        frame_stride=1,
        max_epochs=2,
        basic_lr_per_img=0.001,
        warmup_iters=1,
        workers=0,
        accelerator="cpu",
    )


@pytest.fixture
def fit() -> Callable[..., Path]:
    """Train an experiment into a folder; the path of the weights."""

    def run(
        experiment: Experiment, out: Path, *, resume: Path | None = None, overwrite: bool = False
    ) -> Path:
        experiment.validate()
        return train(TrainRequest(experiment, out, resume, overwrite))

    return run


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The sentences of the log, as they come."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message).strip()), format="{message}")
    yield lines
    logger.remove(sink)
