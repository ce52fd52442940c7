"""What happens around the steps: progress, and stopping in good order."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, RichProgressBar
from loguru import logger

from faim.errors import Terminated
from faim.training.checkpoints import SaveProgress

#: What asks a training to stop: the exception that each stands for, and its name.
_REQUESTS: dict[int, tuple[type[KeyboardInterrupt], str]] = {
    signal.SIGINT: (KeyboardInterrupt, "Ctrl-C"),
    signal.SIGTERM: (Terminated, "SIGTERM"),
}


class TrainingStoppedError(Exception):
    """Ctrl-C or SIGTERM, after the checkpoint was written.

    Attributes:
        interrupt: which of the two.
    """

    def __init__(self, interrupt: KeyboardInterrupt) -> None:
        super().__init__()
        self.interrupt = interrupt


class StopInOrder(Callback):
    """Ctrl-C or SIGTERM finishes the running step, writes a checkpoint and ends the training.

    Either, where it is ignored when this is made, stays ignored.
    """

    def __init__(self, progress: SaveProgress) -> None:
        """`progress` writes the checkpoint."""
        self.progress = progress
        self.requested: int | None = None
        # Lightning takes over SIGTERM later.
        self._before = {number: signal.getsignal(number) for number in _REQUESTS}

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Take over both, from Lightning too, which ends a training at SIGTERM as if complete."""
        for number, before in self._before.items():
            _handle(number, before if before is signal.SIG_IGN else self._request)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if asked to, on all processes alike."""
        stop = self._agreed(trainer)
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if stop and not last and (batch_idx + 1) % self.progress.accumulate == 0:
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Stop if asked to during an epoch's last step."""
        if self._agreed(trainer):
            self._stop(trainer)

    def teardown(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        """Give both back."""
        for number, before in self._before.items():
            _handle(number, before)

    def _request(self, number: int, frame: FrameType | None) -> None:
        kind, name = _REQUESTS[number]
        # A second one does not wait, nor does one during an evaluation, which takes its time.
        if self.requested is not None or self.progress.at_rest:
            raise kind
        self.requested = number
        logger.info(f"{name}: finishes this step and writes a checkpoint")

    def _agreed(self, trainer: lightning.Trainer) -> bool:
        """Whether one of the processes is asked to stop."""
        asked = self.requested is not None
        return bool(trainer.strategy.reduce_boolean_decision(asked, all=False))

    def _stop(self, trainer: lightning.Trainer) -> None:
        self.progress.save(trainer)
        kind, _ = _REQUESTS[self.requested or signal.SIGINT]
        raise TrainingStoppedError(kind())


def _handle(number: int, handler: Any) -> None:
    """Set a signal's handler, which Python lets only the main thread do."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, handler)


class _TimeLeft:
    """Seconds left of a training, by the pace since it was started or resumed."""

    def __init__(self, trainer: lightning.Trainer) -> None:
        self.trainer = trainer
        self.total = int(trainer.max_epochs or 1) * int(trainer.num_training_batches)
        self.started = time.monotonic()
        self.first = self._done()

    def _done(self) -> int:
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed

    def pace(self) -> float:
        return (time.monotonic() - self.started) / max(self._done() - self.first, 1)

    def __str__(self) -> str:
        seconds = round(self.pace() * (self.total - self._done()))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


class ProgressBar(RichProgressBar):
    """Lightning's bar with the losses, and the time that the whole training still takes."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self._time_left = _TimeLeft(trainer)

    def get_metrics(self, trainer: lightning.Trainer, pl_module: Any) -> dict[str, Any]:
        """Losses by their short names, and the time left."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        short: dict[str, Any] = {name.removeprefix("train/"): v for name, v in metrics.items()}
        return {**short, "left": str(self._time_left)}


class ProgressLines(Callback):
    """The same as lines of a log, where there is no terminal."""

    def __init__(self, every: int) -> None:
        """A line every so many batches."""
        self.every = every

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Start the clock."""
        self._time_left = _TimeLeft(trainer)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a line."""
        if not trainer.is_global_zero:
            return
        batches = int(trainer.num_training_batches)
        if (batch_idx + 1) % self.every and batch_idx + 1 != batches:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        losses = " ".join(
            f"{name.removeprefix('train/')} {value:.3f}"
            for name, value in metrics.items()
            if name.startswith("train/") and name != "train/lr"
        )
        logger.info(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs} "
            f"{batch_idx + 1}/{batches}: {losses} lr {metrics['train/lr']:.2e}, "
            f"{self._time_left.pace():.2f} s each, {self._time_left} left"
        )
