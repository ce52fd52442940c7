"""One training step of any family, for Lightning's loop."""

from __future__ import annotations

from typing import Any, Self

import lightning
import torch
from torch import Tensor, nn

from faim.errors import FaimError
from faim.experiments.stage import Moment, Stage
from faim.training.errors import agree


class TrainingModule(lightning.LightningModule):
    """A model, and the losses and optimiser that its stage has for it."""

    def __init__(self, model: nn.Module, stage: Stage[Any, Any], steps_per_epoch: int) -> None:
        """`steps_per_epoch` counts steps of the optimiser."""
        super().__init__()
        self.model = model
        self.stage = stage
        self.steps_per_epoch = steps_per_epoch

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, but for what the stage holds."""
        super().train(mode)
        self.stage.hold(self.model)
        return self

    def losses(self, *batch: Any) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        return self.stage.losses(self.model, batch, Moment(self.current_epoch, self.global_step))

    def training_step(self, batch: tuple[Any, ...] | FaimError, batch_index: int) -> Tensor:
        """The total loss of a batch, each part logged.

        Raises:
            FaimError: the batch is an error of its own (see `Guarded`), or the loss is not finite.
        """
        if isinstance(batch, FaimError):
            agree(self.trainer, batch)
        assert isinstance(batch, tuple)
        failure, losses = None, {"total": torch.full((), float("nan"), device=self.device)}
        try:
            losses = self.losses(*batch)
        except FaimError as error:
            failure = error
        total = losses["total"]
        if failure is None and not total.isfinite():
            failure = FaimError(
                f"training: the loss is {float(total.detach()):g} at iteration "
                f"{self.global_step}; expected a finite one (try a lower "
                f"{self.stage.experiment.rate_field}, or grad_clip=35)"
            )
        # All processes stop, or none: one alone would leave the others waiting.
        agree(self.trainer, failure)
        size = len(batch[0])
        for name, value in losses.items():
            self.log(f"train/{name}", value.detach().float(), prog_bar=True, batch_size=size)
        self.log("train/lr", self.optimizers().param_groups[0]["lr"], batch_size=size)
        return total

    def configure_optimizers(self) -> dict[str, Any]:
        """The stage's optimiser, and its schedule by iteration."""
        optimizer = self.stage.make_optimizer(self.model)
        schedule = self.stage.schedule(self.steps_per_epoch)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def transfer_batch_to_device(
        self, batch: tuple[Any, ...] | FaimError, device: torch.device, dataloader_idx: int
    ) -> tuple[Any, ...] | FaimError:
        """The batch on the device, images in the experiment's memory format; an error as it is."""
        if isinstance(batch, FaimError):
            return batch
        images, *rest = super().transfer_batch_to_device(batch, device, dataloader_idx)
        if self.stage.experiment.channels_last and images.ndim == 4:
            images = images.to(memory_format=torch.channels_last)
        return (images, *rest)


def make_module(model: nn.Module, stage: Stage[Any, Any], steps_per_epoch: int) -> TrainingModule:
    """The training module of a stage's model, in training mode."""
    stage.prepare(model)
    module = TrainingModule(model, stage, steps_per_epoch)
    if stage.experiment.channels_last:
        module.to(memory_format=torch.channels_last)
    # Lightning leaves every part in the mode in which it finds it.
    return module.train()
