"""One training step of any family, for Lightning's loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from faim.errors import FaimError
from faim.training.common import CommonExperiment
from faim.training.errors import agree


class TrainingModule(lightning.LightningModule, ABC):
    """A model, its losses and its optimiser."""

    def __init__(
        self, model: nn.Module, experiment: CommonExperiment, steps_per_epoch: int
    ) -> None:
        """`steps_per_epoch` counts steps of the optimiser."""
        super().__init__()
        self.model = model
        self.experiment = experiment
        self.steps_per_epoch = steps_per_epoch

    @abstractmethod
    def losses(self, *batch: Any) -> dict[str, Tensor]:
        """The family's losses; `total` carries the gradient."""

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
                f"{self.experiment.rate_field}, or grad_clip=35)"
            )
        # All processes stop, or none: one alone would leave the others waiting.
        agree(self.trainer, failure)
        size = len(batch[0])
        for name, value in losses.items():
            self.log(f"train/{name}", value.detach().float(), prog_bar=True, batch_size=size)
        self.log("train/lr", self.optimizers().param_groups[0]["lr"], batch_size=size)
        return total

    def configure_optimizers(self) -> dict[str, Any]:
        """The experiment's optimiser, and its schedule by iteration."""
        optimizer = self.experiment.make_optimizer(self.model)
        schedule = self.experiment.schedule(self.steps_per_epoch)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """The batch on the device; an error as it is."""
        if isinstance(batch, FaimError):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)
