"""A training from start to end: what `faim train` and `tools/train.py` do."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from loguru import logger

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.models.checkpoint import save_checkpoint
from faim.training.callbacks import (
    ProgressBar,
    ProgressLines,
    StopInOrder,
    TrainingStoppedError,
)
from faim.training.checkpoints import SaveProgress, WholeFiles, check_resumable, last_checkpoint
from faim.training.data_module import TrainingData, read_data
from faim.training.ema import MovingAverage
from faim.training.experiment import Experiment
from faim.training.module import make_module
from faim.training.options import TrainRequest, add_arguments, read_options
from faim.training.starting_weights import starting_model
from faim.training.validation import Validate

EXIT_INTERRUPTED = 130

#: Settings that a resumed training must share with its checkpoint to go on in the same way.
_SAME_ON_RESUME = (
    "variant",
    "model",
    "batch_size",
    "max_epochs",
    "frame_stride",
    "seed",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the command line says; the exit status."""
    parser = argparse.ArgumentParser(prog="train", description="Train a base detector or FAIM.")
    add_arguments(parser)
    try:
        return run_train(parser.parse_args(arguments))
    except FaimError as error:
        print(f"faim: {error}", file=sys.stderr)
        return 2


def run_train(parsed: argparse.Namespace) -> int:
    """Train as parsed options say.

    Returns:
        0, or 130 when Ctrl-C ended it (its checkpoint is written).

    Raises:
        FaimError: whatever is wrong with the options, the data or the weights, before the first
            step; or a loss that is not finite.
    """
    request = read_options(parsed)
    try:
        train(request)
    except TrainingStoppedError:
        logger.info(f"stopped; go on with --resume ({last_checkpoint(request.out)})")
        return EXIT_INTERRUPTED
    return 0


def train(request: TrainRequest) -> Path:
    """Run or resume a training.

    Returns:
        The weights to use: a faim checkpoint, `weights.safetensors` in the output folder.

    Raises:
        FaimError: see `run_train`.
        TrainingStoppedError: Ctrl-C.
    """
    experiment = request.experiment
    _quieten_libraries()
    data = _read_and_check(experiment)
    if request.resume is None and not request.overwrite and last_checkpoint(request.out).exists():
        raise FaimError(
            f"{request.out}: holds a training already; expected --resume to go on with it, "
            "--overwrite, or another folder with -o"
        )
    training_data = TrainingData(experiment.dataset(data), experiment)
    settings = _settings(experiment, training_data)
    if request.resume is not None:
        check_resumable(request.resume, settings)
    model = starting_model(experiment, data.classes)
    steps = -(-training_data.batches_per_epoch // experiment.accumulate)
    module = make_module(model, experiment, steps)
    _announce(experiment, data, steps, request.out)
    trainer = make_trainer(experiment, request.out, settings)
    resume = None if request.resume is None else str(request.resume)
    trainer.fit(module, training_data, ckpt_path=resume, weights_only=True)
    weights = request.out / "weights.safetensors"
    if trainer.is_global_zero:
        save_checkpoint(weights, model)
        logger.info(f"wrote {weights}")
    return weights


def make_trainer(experiment: Experiment, out: Path, settings: dict[str, Any]) -> lightning.Trainer:
    """Lightning's trainer for an experiment."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaimError(
            f"{out}: cannot be made ({error}); expected a folder to write to"
        ) from error
    saving = SaveProgress(
        out, settings, experiment.checkpoint_every, experiment.accumulate, experiment.save_history
    )
    callbacks: list[Callback] = []
    if experiment.ema:
        callbacks.append(MovingAverage(experiment.ema_decay, experiment.ema_ramp))
    if experiment.val_ann is not None:
        callbacks.append(Validate(experiment.val_ann, out, experiment.architecture))
    callbacks += [StopInOrder(saving), saving]
    terminal = sys.stderr.isatty()
    callbacks.append(ProgressBar(leave=True) if terminal else ProgressLines(experiment.log_every))
    return lightning.Trainer(
        accelerator=experiment.accelerator,
        devices=experiment.devices,
        num_nodes=experiment.num_nodes,
        strategy=experiment.strategy,
        precision=experiment.precision,
        max_epochs=experiment.max_epochs,
        accumulate_grad_batches=experiment.accumulate,
        gradient_clip_val=experiment.grad_clip or None,
        callbacks=callbacks,
        plugins=[WholeFiles()],
        logger=TensorBoardLogger(out, name="", version="tensorboard"),
        log_every_n_steps=experiment.log_every,
        default_root_dir=out,
        enable_model_summary=False,
        enable_progress_bar=terminal,
        # Our sampler shares the batches out itself, and starts where a resumed run has to.
        use_distributed_sampler=False,
    )


def _read_and_check(experiment: Experiment) -> CocoVid:
    data = read_data(experiment.train_ann, "training", "--data")
    data.check(num_classes=experiment.num_classes, masks_required=experiment.masks_required)
    if experiment.val_ann is not None:
        validation = read_data(experiment.val_ann, "validation", "--val")
        validation.check(num_classes=len(data.classes), masks_required=False)
    return data


def _settings(experiment: Experiment, data: TrainingData) -> dict[str, Any]:
    # Plain values: nothing in the checkpoint needs unpickling.
    values = asdict(experiment)
    settings = {name: values[name] for name in _SAME_ON_RESUME}
    return {**settings, "batches_per_epoch": data.batches_per_epoch}


@rank_zero_only
def _announce(experiment: Experiment, data: CocoVid, steps: int, out: Path) -> None:
    logger.info(
        f"{experiment.name}: {type(experiment).__name__} {experiment.variant}, "
        f"{len(data.videos)} videos, {len(data.frames)} frames, {len(data.classes)} classes; "
        f"{experiment.max_epochs} epochs of {steps} steps, learning rate "
        f"{experiment.learning_rate:.4g}; writes to {out}"
    )


def _quieten_libraries() -> None:
    """Leave out what a user cannot act on; and make tiny numbers fast on CPUs."""
    for pattern in (
        r".*does not have many workers.*",
        r".*module\(s\) in eval mode.*",
        r".*torch.cuda.amp.autocast.*",
        r".*dataloader is not resumable.*",
        r".*number of training batches.*smaller than the logging interval.*",
        r".*GPU available but not used.*",
        r".*isinstance\(treespec, LeafSpec\).*",
        r".*have overridden `transfer_batch_to_device`.*",
        r".*lr_scheduler.step\(\).*before.*",
    ):
        warnings.filterwarnings("ignore", pattern)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_flush_denormal(True)
