"""What a training writes: the state to resume from, and the weights to use."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, NoReturn

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from faim.errors import FaimError
from faim.files import write_whole
from faim.training.ema import MovingAverage
from faim.training.errors import OtherProcessError, agree

#: Key of the settings in a resumable checkpoint.
SETTINGS = "faim_settings"
#: Settings that a checkpoint may lack, and what they were before there was a choice.
BEFORE: dict[str, Any] = {
    "model.refined_classes": (),
    "model.join": "replace",
    "model.base_share": 0.5,
    "model.correction_up": 1.0,
    "model.correction_down": 1.0,
    "model.retention_weight": 0.0,
    "model.identity_weight": 0.0,
    "live_norms": True,
    "model.guide_ins": False,
    "model.mask_upsampling": "bilinear",
}


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and then renames it, so a kill leaves the last one."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write, or raise FaimError where that is not possible."""

        def write(part: Path) -> None:
            part.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.save(checkpoint, part)
            except RuntimeError as error:
                raise OSError(str(error)) from error

        write_whole(Path(path), write)


class SaveProgress(Checkpoint):
    """Writes `last.ckpt` while training, and `weights.safetensors` after every epoch."""

    def __init__(
        self,
        out: Path,
        settings: dict[str, Any],
        every: int,
        accumulate: int,
        history: bool,
        save_weights: Callable[[Path, Any], None],
    ) -> None:
        """Save into `out`.

        Args:
            out: the training's folder.
            settings: stored in the checkpoint, to be compared when it is resumed.
            every: iterations between two checkpoints within an epoch.
            accumulate: batches to an iteration.
            history: keep the weights of each epoch too.
            save_weights: writes a model's weights to a file.
        """
        self.out = out
        self.settings = settings
        self.every = every
        self.accumulate = accumulate
        self.history = history
        self.save_weights = save_weights
        #: Whether this training has done a step, and has written `last.ckpt`.
        self.began, self.saved = False, False
        #: Whether nothing has happened since, so that it can end at any moment.
        self.at_rest = False

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Add the settings."""
        checkpoint[SETTINGS] = self.settings

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save every so often, between two steps of the optimiser."""
        self.began = True
        # The end of an epoch saves by itself, in a state that is simpler to resume from.
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        stepped = (batch_idx + 1) % self.accumulate == 0
        if stepped and not last and trainer.global_step % self.every == 0:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """See `save_epoch`."""
        self.save_epoch(trainer)

    def save_epoch(self, trainer: lightning.Trainer) -> None:
        """Write the state, and the weights for use; on all processes."""
        self.save(trainer)
        if trainer.is_global_zero:
            model = averaged_model(trainer)
            self.save_weights(self.out / "weights.safetensors", model)
            if self.history:
                name = f"epoch_{trainer.current_epoch + 1:03d}.safetensors"
                self.save_weights(self.out / name, model)

    def stop(self, trainer: lightning.Trainer, error: FaimError) -> NoReturn:
        """Write what the end of an epoch does, and end with an error; on all processes.

        Raises:
            FaimError: `error`, in the first process.
            OtherProcessError: in the others.
        """
        self.save_epoch(trainer)
        agree(trainer, error if trainer.is_global_zero else None)
        raise OtherProcessError

    def save(self, trainer: lightning.Trainer) -> None:
        """Write `last.ckpt`; on all processes."""
        trainer.save_checkpoint(last_checkpoint(self.out))
        self.saved = True


def last_checkpoint(out: Path) -> Path:
    """Where a training in `out` keeps its newest state."""
    return out / "last.ckpt"


def averaged_model(trainer: lightning.Trainer) -> Any:
    """The moving average where there is one, else the model itself."""
    for callback in trainer.callbacks:
        if isinstance(callback, MovingAverage):
            return callback.model
    module: Any = trainer.lightning_module
    model: nn.Module = module.model
    return model


def progress_of(trainer: lightning.Trainer) -> SaveProgress:
    """What saves this training."""
    (saving,) = (each for each in trainer.callbacks if isinstance(each, SaveProgress))
    return saving


def unusable(path: Path) -> FaimError:
    """For a checkpoint that is damaged, or none of ours; says what there is beside it."""
    weights = path.parent / "weights.safetensors"
    instead = (
        f"a new training that starts from its weights (-c {weights}, -o another folder)"
        if weights.is_file()
        else "a new training (--overwrite)"
    )
    return FaimError(
        f"{path}: damaged, or not a checkpoint of `faim train`; expected last.ckpt of a training, "
        f"whole, or {instead}"
    )


def stored_settings(path: Path) -> dict[str, Any]:
    """The settings that a checkpoint was made with, under today's names.

    Raises:
        FaimError: no such file, not one of our checkpoints, or a damaged one.
    """
    return _of_today(_read(path)[SETTINGS])


def check_resumable(path: Path, settings: dict[str, Any], model: nn.Module) -> None:
    """See that a checkpoint belongs to a training of this model with these settings.

    Raises:
        FaimError: no such file, not one of our checkpoints, a damaged one, or other settings.
    """
    content = _read(path)
    try:
        _check_settings(path, _of_today(content[SETTINGS]), settings)
    except (RuntimeError, TypeError, ValueError) as error:  # of comparisons with strange values
        raise unusable(path) from error
    if not _is_whole(content, model):
        raise unusable(path)


def _read(path: Path) -> dict[str, Any]:
    """A checkpoint's content, with settings; see `check_resumable` for what is raised."""
    if not os.path.isfile(path):  # noqa: PTH113 - is_file raises for names too long
        raise FaimError(f"{path}: no checkpoint to resume from; expected last.ckpt of a training")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange pickles: they are refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # damaged files raise errors of every kind
        raise unusable(path) from error
    if not isinstance(content, dict) or not isinstance(content.get(SETTINGS), dict):
        raise unusable(path)
    return content


def _of_today(stored: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's settings with those that there was no choice of, under today's names."""
    settings = BEFORE | stored
    if settings.pop("model.residual", False) is True:  # the name of a rule when there were two
        settings["model.join"] = "correction"
    return settings


def _is_whole(content: dict[str, Any], model: nn.Module) -> bool:
    """Whether a checkpoint has what Lightning reads, with weights of the model's shapes."""
    kinds = {
        **{"state_dict": dict, "loops": dict, "callbacks": dict, "epoch": int, "global_step": int},
        **{"optimizer_states": list, "lr_schedulers": list},
    }
    if not all(isinstance(content.get(name), kind) for name, kind in kinds.items()):
        return False
    state = content["state_dict"]
    own = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if state.keys() != own.keys():
        return False
    return all(_is_sound(state[name], tensor) for name, tensor in own.items())


def _is_sound(value: Any, like: Tensor) -> bool:
    """Whether it is a tensor of this shape, of finite numbers."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type != "meta"
        and value.shape == like.shape
        and bool(value.isfinite().all())
    )


def _check_settings(path: Path, stored: dict[str, Any], settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        # A setting that did not exist yet when the checkpoint was made cannot differ.
        if name in stored and stored[name] != value:
            raise FaimError(
                f"{path}: was made with {name}={shortened(stored[name])}, not "
                f"{shortened(value)}; expected the "
                "same settings to resume"
            )
