"""What a training starts from."""

from __future__ import annotations

import torch
from loguru import logger

from faim.errors import FaimError
from faim.models.checkpoint import load_base_weights, load_checkpoint, load_weights
from faim.models.faim import FAIM, YoloxVideo, build_model
from faim.training.experiment import Experiment, FaimExperiment


def starting_model(experiment: Experiment, class_names: tuple[str, ...]) -> FAIM | YoloxVideo:
    """The model with the weights that training starts from.

    Raises:
        FaimError: a wrong checkpoint (see `load_base_weights`); the second stage has none, or one
            whose classes are not the data's.
    """
    torch.manual_seed(experiment.seed)
    model = build_model(experiment.config(class_names))
    if not experiment.ckpt:
        if isinstance(experiment, FaimExperiment):
            raise FaimError(
                "-c: the second stage starts from a trained base detector; expected its weights, "
                "such as runs/yolox_s_vid/weights.safetensors"
            )
        logger.info("no -c: starts from random weights")
        return model
    if isinstance(model, FAIM):
        _load_second_stage(model, experiment)
    else:
        load_base_weights(model, experiment.ckpt)
    return model


def _load_second_stage(model: FAIM, experiment: Experiment) -> None:
    config, state = load_checkpoint(experiment.ckpt)
    names = model.config.class_names
    if config.num_classes != len(names) and "base" not in model.config.train_parts:
        raise FaimError(
            f"{experiment.ckpt}: {config.num_classes} classes, the data have {len(names)}; "
            "expected the same, because the base detector is frozen in this stage"
        )
    if config.class_names != names:
        logger.warning(f"{experiment.ckpt}: its class names are not those of the data")
    if config.architecture == "faim" and config.num_classes == len(names):
        load_weights(model, state, experiment.ckpt)
        return
    load_base_weights(model, experiment.ckpt)
    if isinstance(experiment, FaimExperiment) and experiment.init_branch_from_base:
        for own, base in zip(model.video_branch.convs, model.detector.head.cls_convs, strict=True):
            own.load_state_dict(base.state_dict())
