"""Evaluation before the first step and after every epoch, and the best weights so far."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback
from loguru import logger
from rich.console import Console

from faim.data.coco_vid import CocoVid
from faim.data.video_frames import thinned
from faim.errors import FaimError
from faim.families.yolox.config import Architecture
from faim.files import write_whole
from faim.training.checkpoints import SaveProgress, averaged_model
from faim.training.common import CommonExperiment
from faim.training.errors import agree

#: Of 100: from weights that start with less, falling says nothing.
KNOWS_SOMETHING = 10.0


class EpochEvaluation(Callback, ABC):
    """Evaluates the weights that are kept, and copies the best to `best.safetensors`.

    Attributes:
        best: highest score of an epoch so far, of 100; -1 before the first.
        start: score before the first step; None where nobody looked.
    """

    def __init__(
        self, annotation_file: str, progress: SaveProgress, experiment: CommonExperiment
    ) -> None:
        """Evaluate on a CocoVID file; write beside what `progress` does."""
        self.annotation_file = Path(annotation_file)
        self.progress = progress
        self.out = progress.out
        self.experiment = experiment
        self.best = -1.0
        self.start: float | None = None

    @abstractmethod
    def evaluate(
        self, model: Any, weights: Path, device: str, frames: int | None = None
    ) -> tuple[float, dict[str, float]]:
        """What the best have most of, and all figures by name, of a model and its weights' file.

        Args:
            model: the network.
            weights: a file of its weights.
            device: where it runs.
            frames: about how many of the validation data are looked at; None for all.
        """

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Say what the weights know before the first step."""
        if self.experiment.val_start and not trainer.global_step:
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
        model, frames = averaged_model(trainer), self.experiment.val_start
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder) / "start.safetensors"
            self.progress.save_weights(weights, model)
            device = str(trainer.strategy.root_device)
            self.start, figures = self.evaluate(model, weights, device, frames)
        self._tell(trainer, "before the first step", figures)

    def _evaluate_epoch(self, trainer: lightning.Trainer) -> None:
        weights, model = self.out / "weights.safetensors", averaged_model(trainer)
        self.progress.save_weights(weights, model)
        score, figures = self.evaluate(model, weights, str(trainer.strategy.root_device))
        epoch = f"epoch {trainer.current_epoch + 1}"
        self._tell(trainer, epoch, figures)
        if score > self.best:
            self.best = score
            write_whole(self.out / "best.safetensors", lambda part: shutil.copyfile(weights, part))
        if _is_warm(trainer):
            self._check_collapse(score, epoch, next(iter(figures)).upper())

    def _tell(self, trainer: lightning.Trainer, when: str, figures: dict[str, float]) -> None:
        listed = ", ".join(f"{n.upper().replace('_', ':')} {v:.1f}" for n, v in figures.items())
        logger.info(f"{when}: {listed}")
        for log in trainer.loggers:
            log.log_metrics({f"val/{n}": v for n, v in figures.items()}, trainer.global_step)

    def _check_collapse(self, score: float, epoch: str, figure: str) -> None:
        share = self.experiment.stop_below
        if self.start is None or self.start < KNOWS_SOMETHING or score >= share * self.start:
            return
        raise FaimError(
            f"{self.annotation_file}: {figure} is {score:.1f} after {epoch}, and was "
            f"{self.start:.1f} before the first step: training destroys what the weights know; "
            f"expected more than {share:g} of it (try a lower {self.experiment.rate_field}; "
            "stop_below=0 goes on all the same)"
        )


def _is_warm(trainer: lightning.Trainer) -> bool:
    """Whether the learning rate has come to its full height."""
    scheduler: Any = trainer.lr_scheduler_configs[0].scheduler
    return all(trainer.global_step >= schedule.warmup for schedule in scheduler.lr_lambdas)


class Validate(EpochEvaluation):
    """Average precision; the best have most AP50.

    A base detector is evaluated frame by frame, FAIM and YOLOV in global mode.
    """

    def __init__(
        self,
        annotation_file: str,
        progress: SaveProgress,
        experiment: CommonExperiment,
        architecture: Architecture,
    ) -> None:
        """See `EpochEvaluation`."""
        super().__init__(annotation_file, progress, experiment)
        self.mode: Literal["frame", "global"] = "frame" if architecture == "yolox" else "global"

    def evaluate(
        self, model: Any, weights: Path, device: str, frames: int | None = None
    ) -> tuple[float, dict[str, float]]:
        """See `EpochEvaluation`; from 0 to 100."""
        # Here, because a training without validation does not need it.
        from faim.evaluation.run import EvalOptions, run_eval

        options = EvalOptions(
            weights=weights, data=self.annotation_file, mode=self.mode, device=device
        )
        data = CocoVid(self.annotation_file)
        data = data if frames is None else thinned(data, frames)
        figures = run_eval(options, Console(quiet=True), data)["modes"][self.mode]
        ap = {name: figures[name] or 0.0 for name in ("ap50", "ap75", "ap50_95")}
        return ap["ap50"], ap
