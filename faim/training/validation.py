"""Evaluation before the first step and after every epoch, and the best weights so far."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from loguru import logger

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.experiments.stage import Stage
from faim.files import write_whole
from faim.training.checkpoints import SaveProgress, averaged_model
from faim.training.errors import agree

#: Of 100: from weights that start with less, falling says nothing.
KNOWS_SOMETHING = 10.0


class Validate(Callback):
    """Evaluates the weights that are kept, and copies the best to `best.safetensors`.

    What is measured is the stage's affair; the best have most of its first figure.

    Attributes:
        best: highest score of an epoch so far, of 100; -1 before the first.
        start: score before the first step; None where nobody looked.
    """

    def __init__(self, stage: Stage[Any, Any], progress: SaveProgress) -> None:
        """Evaluate what `progress` writes, and write beside it."""
        self.stage = stage
        self.progress = progress
        self.out = progress.out
        self.best = -1.0
        self.start: float | None = None

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Say what the weights know before the first step."""
        if self.stage.experiment.val_start and not trainer.global_step:
            self._in_first_process(trainer, self._evaluate_start)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Evaluate in the first process; the others wait, and stop if it fails."""
        # So that a failure here costs nothing; once more after it, with the best so far.
        self.progress.save(trainer)
        self.progress.at_rest = True
        self._in_first_process(trainer, self._evaluate_epoch)
        self.progress.at_rest = False

    def state_dict(self) -> dict[str, float | None]:
        """The best so far, and the start."""
        return {"best": self.best, "start": self.start}

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Take what was kept under the name of an evaluation of masks for its own."""
        states = checkpoint["callbacks"]
        if "ValidateMasks" in states:
            states[self.state_key] = states.pop("ValidateMasks")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best = float(state_dict["best"])
        start = state_dict.get("start")
        self.start = None if start is None else float(start)

    @staticmethod
    def _in_first_process(
        trainer: lightning.Trainer, evaluate: Callable[[lightning.Trainer], None]
    ) -> None:
        failure: Exception | None = None
        if trainer.is_global_zero:
            try:
                evaluate(trainer)
            except Exception as error:
                failure = error
        agree(trainer, failure)

    def _evaluate_start(self, trainer: lightning.Trainer) -> None:
        figures = self._figures(trainer, self.stage.experiment.val_start)
        self.start = next(iter(figures.values()))
        self._tell(trainer, "before the first step", figures)

    def _evaluate_epoch(self, trainer: lightning.Trainer) -> None:
        weights = self.out / "weights.safetensors"
        self.stage.save_weights(weights, averaged_model(trainer))
        figures = self._figures(trainer)
        name, score = next(iter(figures.items()))
        epoch = f"epoch {trainer.current_epoch + 1}"
        self._tell(trainer, epoch, figures)
        if score > self.best:
            self.best = score
            write_whole(self.out / "best.safetensors", lambda part: shutil.copyfile(weights, part))
        if _is_warm(trainer):
            self._check_collapse(score, epoch, name.upper())

    def _figures(self, trainer: lightning.Trainer, frames: int | None = None) -> dict[str, float]:
        """See `Stage.evaluate`."""
        device = trainer.strategy.root_device
        return self.stage.evaluate(averaged_model(trainer), device, frames, average_precision)

    def _tell(self, trainer: lightning.Trainer, when: str, figures: dict[str, float]) -> None:
        listed = ", ".join(f"{n.upper().replace('_', ':')} {v:.1f}" for n, v in figures.items())
        logger.info(f"{when}: {listed}")
        for log in trainer.loggers:
            log.log_metrics({f"val/{n}": v for n, v in figures.items()}, trainer.global_step)

    def _check_collapse(self, score: float, epoch: str, figure: str) -> None:
        experiment = self.stage.experiment
        share = experiment.stop_below
        if self.start is None or self.start < KNOWS_SOMETHING or score >= share * self.start:
            return
        raise FaimError(
            f"{experiment.val_ann}: {figure} is {score:.1f} after {epoch}, and was "
            f"{self.start:.1f} before the first step: training destroys what the weights know; "
            f"expected more than {share:g} of it (try a lower {experiment.rate_field}; "
            "stop_below=0 goes on all the same)"
        )


def _is_warm(trainer: lightning.Trainer) -> bool:
    """Whether the learning rate has come to its full height."""
    scheduler: Any = trainer.lr_scheduler_configs[0].scheduler
    return all(trainer.global_step >= schedule.warmup for schedule in scheduler.lr_lambdas)


def average_precision(
    model: Any, data: CocoVid, mode: Literal["frame", "global"], device: torch.device | str
) -> dict[str, float]:
    """See `AveragePrecision`."""
    # Here, because a training without such a validation does not need it.
    from faim.evaluation.in_hand import evaluate_model

    return evaluate_model(model, data, mode, device)
