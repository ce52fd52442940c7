"""What a training starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from loguru import logger
from torch import Tensor

from faim.data.coco_vid import CocoVid
from faim.data.video_frames import every_nth_frame
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_base_weights, load_checkpoint
from faim.families.yolox.config import JOINING, FaimConfig
from faim.families.yolox.experiments import Experiment, FaimExperiment
from faim.families.yolox.faim import build_model
from faim.families.yolox.label_coverage import choose_join
from faim.families.yolox.ticam_detector import TicamDetector, VideoModel
from faim.state_dicts import load_weights

#: The base detector's keys, and those whose leading dimension is the class, in a checkpoint.
_BASE = "detector."
_CLASS_ROWS = "detector.head.cls_preds."


def starting_model(
    experiment: Experiment,
    class_names: tuple[str, ...],
    refined_classes: tuple[str, ...] = (),
    data: CocoVid | None = None,
) -> VideoModel:
    """The model with the weights that training starts from.

    A checkpoint of the same architecture and classes is gone on with as a whole; of any other the
    base detector is taken. One that knows all the data's classes by name (COCO's, for example)
    keeps their predictors, in the data's order.

    Args:
        experiment: names the checkpoint.
        class_names: of the data.
        refined_classes: see `FaimConfig`. What a checkpoint that is gone on with refines stays
            refined too, unless the experiment names the classes.
        data: choose how TICAM's scores join the base detector's (see `choose_join`), which is
            logged; not where the experiment names it, or a checkpoint is gone on with, which keeps
            its own. None leaves the config's default.

    Raises:
        FaimError: a wrong checkpoint (see `load_base_weights`); the second stage has none, or one
            that does not know the data's classes; one to go on with has another `model.join` than
            the experiment names; an image of the data cannot be read.
    """
    wanted = replace(experiment.config(class_names), refined_classes=refined_classes)
    if not experiment.ckpt:
        if isinstance(experiment, FaimExperiment):
            raise FaimError(
                "-c: the second stage starts from a trained base detector; expected its weights, "
                "such as runs/yolox_s_vid/weights.safetensors"
            )
        logger.info("no -c: starts from random weights")
        return _fresh(wanted, experiment)
    config, state = load_checkpoint(experiment.ckpt)
    same = config.architecture == wanted.architecture and config.class_names == class_names
    if same and isinstance(experiment, FaimExperiment):
        model = _fresh(_going_on(wanted, config, experiment), experiment)
        load_weights(model, state, experiment.ckpt)
        return model
    model = _fresh(wanted, experiment)
    known = _load_base(model, config, state, experiment)
    if isinstance(experiment, FaimExperiment):
        if data is not None and "join" not in experiment.model:
            model = _joined(model, known, experiment, data)
        if experiment.init_branch_from_base:
            _copy_classification_branch(model)
    return model


def _fresh(config: FaimConfig, experiment: Experiment) -> VideoModel:
    torch.manual_seed(experiment.seed)
    return build_model(config)


def _going_on(wanted: FaimConfig, config: FaimConfig, experiment: FaimExperiment) -> FaimConfig:
    """`wanted`, with what a checkpoint of this `config` keeps where the experiment is silent."""
    if "join" in experiment.model and config.join != wanted.join:
        raise FaimError(
            f"{experiment.ckpt}: was trained with model.join={config.join}; expected the same to "
            "go on with it"
        )
    kept: dict[str, Any] = {n: getattr(config, n) for n in JOINING if n not in experiment.model}
    if "join" in kept:
        rank_zero_only(logger.info)(
            f"TICAM's scores join the base detector's as in {experiment.ckpt} "
            f"(model.join={config.join})"
        )
    if experiment.refined_classes is None:
        kept["refined_classes"] = _either(config, wanted)
    return replace(wanted, **kept)


def _joined(
    model: VideoModel, known: bool, experiment: FaimExperiment, data: CocoVid
) -> VideoModel:
    """The model with the join that the data choose.

    Args:
        model: with the base detector that it starts from.
        known: whether that knows the data's classes.
        experiment: decides on the frames, and perhaps on the choice.
        data: the training data.
    """
    frames = every_nth_frame(data, experiment.frame_stride)
    choice = choose_join(experiment.labels, frames, model if known else None)
    rank_zero_only(logger.info)(choice.sentence)
    if choice.join == model.config.join:
        return model
    # TICAM starts from other weights, so anew; the same as if the experiment had named the join.
    joined = _fresh(replace(model.config, join=choice.join), experiment)
    joined.detector.load_state_dict(model.detector.state_dict())
    return joined


def _either(first: FaimConfig, second: FaimConfig) -> tuple[str, ...]:
    """The classes that one of two configs of the same classes refines."""
    if first.refined is None or second.refined is None:
        return ()
    both = zip(first.class_names, first.refined, second.refined, strict=True)
    return tuple(name for name, one, other in both if one or other)


def _load_base(
    model: VideoModel, config: FaimConfig, state: dict[str, Tensor], experiment: Experiment
) -> bool:
    """Returns whether the class predictors are the checkpoint's, of the same classes by name."""
    names = model.config.class_names
    if config.scales == model.config.scales and set(names) <= set(config.class_names):
        rows = [config.class_names.index(name) for name in names]
        picked = {n: t[rows] for n, t in state.items() if n.startswith(_CLASS_ROWS)}
        load_weights(model.detector, _base_part(state | picked), experiment.ckpt)
        return True
    frozen = isinstance(model, TicamDetector) and "base" not in model.config.train_parts
    if frozen and config.num_classes != len(names):
        raise FaimError(
            f"{experiment.ckpt}: {config.num_classes} classes, the data have {len(names)}; "
            "expected the same, because the base detector is frozen in this stage"
        )
    if frozen:
        logger.warning(f"{experiment.ckpt}: its class names are not those of the data")
    load_base_weights(model, experiment.ckpt)
    return False


def _base_part(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(_BASE): t for n, t in state.items() if n.startswith(_BASE)}


def _copy_classification_branch(model: VideoModel) -> None:
    """Start the video object branch, which has the same shape, from the base's own features."""
    assert isinstance(model, TicamDetector)
    base = model.detector.head.cls_convs
    for own, trained in zip(model.video_branch.convs, base, strict=True):
        own.load_state_dict(trained.state_dict())
