"""A training from start to end: what `faim train` and `tools/train.py` do."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from loguru import logger

from faim.errors import EXIT_WRONG_INPUT, FaimError, interrupted_status
from faim.experiments.common import CommonExperiment
from faim.experiments.stage import Stage, stage_of
from faim.nn.unfolding import IMAGES, unfold_norms
from faim.outputs import claimed, read
from faim.training.callbacks import (
    ProgressBar,
    ProgressLines,
    StopInOrder,
    TrainingStoppedError,
)
from faim.training.checkpoints import (
    SaveProgress,
    WholeFiles,
    averaged_model,
    check_resumable,
    last_checkpoint,
    progress_of,
    stored_settings,
    unusable,
)
from faim.training.data_module import TrainingData
from faim.training.ema import MovingAverage
from faim.training.errors import OtherProcessError, end_other_processes
from faim.training.module import TrainingModule, make_module
from faim.training.request import TrainRequest
from faim.training.validation import Validate
from faim.wording import counted


def run_train(request: TrainRequest, parsed: argparse.Namespace) -> int:
    """Train as asked.

    Args:
        request: what to train.
        parsed: the options that it is from, with what they read.

    Returns:
        0, 130 or 143 when Ctrl-C or SIGTERM ended it (its checkpoint is written), or 2 where
        another process failed and tells why.

    Raises:
        FaimError: whatever is wrong with the data or the weights, before the first step; or see
            `train`.
        KeyboardInterrupt: Ctrl-C or SIGTERM before there was anything to write.
    """
    try:
        with _claimed(request, parsed):
            train(request)
    except TrainingStoppedError as stopped:
        logger.info(f"stopped; go on with --resume ({last_checkpoint(request.out)})")
        return interrupted_status(stopped.interrupt)
    except OtherProcessError:
        return EXIT_WRONG_INPUT
    return 0


def _claimed(request: TrainRequest, parsed: argparse.Namespace) -> AbstractContextManager[None]:
    """Where the output folder is this training's alone, in all of its processes."""
    if rank_zero_only.rank != 0:
        return nullcontext()
    experiment, out = request.experiment, request.out
    names = ("train_ann", "val_ann", "ckpt")
    named = argparse.Namespace(**{name: getattr(experiment, name) for name in names})
    weights = out / "weights.safetensors", *out.glob("epoch_*.safetensors")
    return claimed([out, last_checkpoint(out), *weights], [*read(parsed), *read(named)])


def train(request: TrainRequest) -> Path:
    """Run or resume a training.

    Returns:
        The weights to use: a faim checkpoint, `weights.safetensors` in the output folder.

    Raises:
        FaimError: see `run_train`; or a loss that is not finite, a score that collapses, a
            level of the detector that never fires, an image that cannot be read, no space for a
            checkpoint. Says which checkpoint there is.
        TrainingStoppedError: Ctrl-C or SIGTERM, after a checkpoint was written.
        KeyboardInterrupt: either, at once: before the first step, or a second time.
    """
    stage = stage_of(request.experiment)
    _quieten_libraries()
    data = stage.read_data()
    taken = os.path.exists(last_checkpoint(request.out))  # noqa: PTH110 - see read_options
    if request.resume is None and not request.overwrite and taken:
        raise FaimError(
            f"{request.out}: holds a training already; expected --resume to go on with it, "
            "--overwrite, or another folder with -o"
        )
    training_data = TrainingData(stage.dataset(data), stage)
    if request.resume is not None:
        stage.settle(stored_settings(request.resume))
    settings = stage.experiment.settings(stage.identity(data))
    settings["batches_per_epoch"] = training_data.batches_per_epoch
    model = stage.starting_model(data)
    settings |= stage.settled(model)
    stage.settle(settings)
    if request.resume is not None:
        check_resumable(request.resume, settings, model)
    steps = -(-training_data.batches_per_epoch // stage.experiment.accumulate)
    module = make_module(model, stage, steps)
    if request.resume is None:
        _unfold(module, training_data.dataset)
    _announce(stage, data, steps, request.out)
    trainer = make_trainer(stage, request.out, settings)
    make_folder(request.out)
    weights = request.out / "weights.safetensors"
    _fit(trainer, module, training_data, request)
    if trainer.is_global_zero:
        stage.save_weights(weights, averaged_model(trainer))
        logger.info(f"wrote {weights}")
    return weights


def _fit(
    trainer: lightning.Trainer, module: TrainingModule, data: TrainingData, request: TrainRequest
) -> None:
    """Lightning's loop; what goes wrong in it in our own words."""
    resume = None if request.resume is None else str(request.resume)
    try:
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
    except (OtherProcessError, TrainingStoppedError):
        raise  # the other processes end by themselves
    except BaseException as error:
        end_other_processes(trainer)
        explained = _explained(error, trainer, request)
        if explained is error:
            raise
        raise explained from error


def _explained(
    error: BaseException, trainer: lightning.Trainer, request: TrainRequest
) -> BaseException:
    """What ended a training, with the checkpoint that there is."""
    saving = progress_of(trainer)
    kept = last_checkpoint(request.out) if saving.saved else request.resume
    if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
        # Lightning's way to end at Ctrl-C.
        how = " before the first checkpoint" if kept is None else f"; go on with --resume ({kept})"
        logger.info(f"stopped{how}")
        return error.__context__
    told = "" if kept is None else f"; the last checkpoint is {kept}"
    if isinstance(error, FaimError):
        return FaimError(f"{error}{told}")
    if isinstance(error, RuntimeError) and "DataLoader worker" in str(error):
        return FaimError(
            f"--workers {request.experiment.workers}: a process that loads data has died; expected "
            f"more memory, shared memory (/dev/shm) too, or fewer of them (--workers 0){told}"
        )
    if isinstance(error, torch.OutOfMemoryError) or not isinstance(error, Exception):
        return error
    return error if request.resume is None or saving.began else unusable(request.resume)


def make_trainer(stage: Stage[Any, Any], out: Path, settings: dict[str, Any]) -> lightning.Trainer:
    """Lightning's trainer for a stage.

    Raises:
        FaimError: there is no such accelerator or strategy, or not here.
    """
    experiment = stage.experiment
    saving = SaveProgress(
        out,
        settings,
        experiment.checkpoint_every,
        experiment.accumulate,
        experiment.save_history,
        stage.save_weights,
    )
    callbacks: list[Callback] = []
    if experiment.ema:
        callbacks.append(MovingAverage(experiment.ema_decay, experiment.ema_ramp))
    if experiment.val_ann is not None:
        callbacks.append(Validate(stage, saving))
    callbacks += [*stage.watches(saving), StopInOrder(saving), saving]
    terminal = sys.stderr.isatty()
    callbacks.append(ProgressBar(leave=True) if terminal else ProgressLines(experiment.log_every))
    with _naming_the_options(experiment):
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


@contextmanager
def _naming_the_options(experiment: CommonExperiment) -> Iterator[None]:
    """What Lightning finds wrong with its options, as one sentence that names them."""
    try:
        yield
    except Exception as error:
        # It raises errors of several kinds, some over many lines.
        reason = " ".join(str(error).split()).rstrip(".")
        raise FaimError(
            f"accelerator={experiment.accelerator} devices={experiment.devices} "
            f"num_nodes={experiment.num_nodes} strategy={experiment.strategy} "
            f"precision={experiment.precision}: cannot be used here ({reason})"
        ) from error


def make_folder(out: Path) -> None:
    """Make the output folder and try to write to it.

    Raises:
        FaimError: one of the two is impossible.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaimError(
            f"{out}: cannot be made ({error.strerror}); expected a folder to write to"
        ) from error
    try:
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise FaimError(
            f"{out}: cannot be written to ({error.strerror}); expected a folder to write to"
        ) from error


def _unfold(module: TrainingModule, dataset: Any) -> None:
    """See `unfold_norms`; the same in every process."""
    stage = module.stage
    stage.start_epoch(dataset, 0)
    spread = torch.linspace(0, len(dataset) - 1, min(len(dataset), IMAGES)).long().tolist()
    count = unfold_norms(module, (stage.collate([dataset[index]]) for index in spread))
    if count:
        rank_zero_only(logger.info)(
            f"the weights have their batch norms folded into the convolutions; puts {count} of "
            "them back, with statistics of the training images and without a change of what the "
            "network gives"
        )


@rank_zero_only
def _announce(stage: Stage[Any, Any], data: Any, steps: int, out: Path) -> None:
    experiment = stage.experiment
    logger.info(
        f"{experiment.name}: {stage.describe(data)}; "
        f"{counted(experiment.max_epochs, 'epoch')} of {counted(steps, 'step')}, learning rate "
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
        r".*This DataLoader will create.*",
    ):
        warnings.filterwarnings("ignore", pattern)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_flush_denormal(True)
