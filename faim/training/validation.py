"""Evaluation after every epoch, and the best weights so far."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback
from loguru import logger
from rich.console import Console

from faim.config import Architecture
from faim.training.checkpoints import SaveProgress, averaged_model
from faim.training.errors import agree


class EpochEvaluation(Callback, ABC):
    """Evaluates the weights that are kept, and copies the best to `best.safetensors`."""

    def __init__(self, progress: SaveProgress) -> None:
        """Write beside what `progress` does."""
        self.progress = progress
        self.out = progress.out
        self.best = -1.0

    @abstractmethod
    def evaluate(self, model: Any, weights: Path, device: str) -> tuple[float, dict[str, float]]:
        """What the best have most of, and all figures by name, of a model and its weights' file."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Evaluate in the first process; the others wait, and stop if it fails."""
        # So that a failure here costs nothing; once more after it, with the best so far.
        self.progress.save(trainer)
        failure: Exception | None = None
        if trainer.is_global_zero:
            try:
                self._evaluate(trainer)
            except Exception as error:
                failure = error
        agree(trainer, failure)

    def state_dict(self) -> dict[str, float]:
        """The best so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from there."""
        self.best = state_dict["best"]

    def _evaluate(self, trainer: lightning.Trainer) -> None:
        weights, model = self.out / "weights.safetensors", averaged_model(trainer)
        self.progress.save_weights(weights, model)
        score, figures = self.evaluate(model, weights, str(trainer.strategy.root_device))
        listed = ", ".join(f"{n.upper().replace('_', ':')} {v:.1f}" for n, v in figures.items())
        logger.info(f"epoch {trainer.current_epoch + 1}: {listed}")
        for log in trainer.loggers:
            log.log_metrics({f"val/{n}": v for n, v in figures.items()}, trainer.global_step)
        if score > self.best:
            self.best = score
            shutil.copyfile(weights, self.out / "best.safetensors")


class Validate(EpochEvaluation):
    """Average precision; the best have most AP50.

    A base detector is evaluated frame by frame, FAIM and YOLOV in global mode.
    """

    def __init__(
        self, annotation_file: str, progress: SaveProgress, architecture: Architecture
    ) -> None:
        """Evaluate on a CocoVID file; write beside what `progress` does."""
        super().__init__(progress)
        self.annotation_file = Path(annotation_file)
        self.mode: Literal["frame", "global"] = "frame" if architecture == "yolox" else "global"

    def evaluate(self, model: Any, weights: Path, device: str) -> tuple[float, dict[str, float]]:
        """See `EpochEvaluation`; from 0 to 100."""
        # Here, because a training without validation does not need it.
        from faim.evaluation.run import EvalOptions, run_eval

        options = EvalOptions(
            weights=weights, data=self.annotation_file, mode=self.mode, device=device
        )
        figures = run_eval(options, Console(quiet=True))["modes"][self.mode]
        ap = {name: figures[name] or 0.0 for name in ("ap50", "ap75", "ap50_95")}
        return ap["ap50"], ap
