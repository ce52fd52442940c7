"""Evaluation after every epoch, and the best weights so far."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback
from loguru import logger
from rich.console import Console

from faim.config import Architecture
from faim.models.checkpoint import save_checkpoint
from faim.training.checkpoints import SaveProgress, averaged_model
from faim.training.errors import agree


class Validate(Callback):
    """Evaluates the weights that are kept, and copies the best by AP50 to `best.safetensors`.

    A base detector is evaluated frame by frame, FAIM and YOLOV in global mode.
    """

    def __init__(
        self, annotation_file: str, progress: SaveProgress, architecture: Architecture
    ) -> None:
        """Evaluate on a CocoVID file; write beside what `progress` does."""
        self.annotation_file = Path(annotation_file)
        self.progress = progress
        self.out = progress.out
        self.mode: Literal["frame", "global"] = "frame" if architecture == "yolox" else "global"
        self.best = -1.0

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Evaluate in the first process; the others wait, and stop if it fails."""
        # So that a failure here costs nothing; once more after it, with the best AP50.
        self.progress.save(trainer)
        failure: Exception | None = None
        if trainer.is_global_zero:
            try:
                self._evaluate(trainer)
            except Exception as error:
                failure = error
        agree(trainer, failure)

    def state_dict(self) -> dict[str, float]:
        """The best AP50 so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from there."""
        self.best = state_dict["best"]

    def _evaluate(self, trainer: lightning.Trainer) -> None:
        # Here, because a training without validation does not need it.
        from faim.evaluation.run import EvalOptions, run_eval

        weights = self.out / "weights.safetensors"
        save_checkpoint(weights, averaged_model(trainer))
        options = EvalOptions(
            weights=weights,
            data=self.annotation_file,
            mode=self.mode,
            device=str(trainer.strategy.root_device),
        )
        figures = run_eval(options, Console(quiet=True))["modes"][self.mode]
        ap = {name: figures[name] or 0.0 for name in ("ap50", "ap75", "ap50_95")}
        logger.info(
            f"epoch {trainer.current_epoch + 1}: AP50 {ap['ap50']:.1f}, AP75 {ap['ap75']:.1f}, "
            f"AP50:95 {ap['ap50_95']:.1f} ({self.mode} mode)"
        )
        for log in trainer.loggers:
            log.log_metrics(
                {f"val/{name}": value for name, value in ap.items()}, trainer.global_step
            )
        if ap["ap50"] > self.best:
            self.best = ap["ap50"]
            shutil.copyfile(weights, self.out / "best.safetensors")
