"""One training step of each stage, for Lightning's loop."""

from __future__ import annotations

from typing import Any, Self

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faim.data.sampling import derive_seed
from faim.errors import FaimError
from faim.models.faim import YoloxVideo
from faim.models.ticam_detector import TicamDetector, VideoModel
from faim.structures import FrameTargets, VideoSample
from faim.training.errors import agree
from faim.training.experiment import BaseExperiment, Experiment, FaimExperiment
from faim.training.schedule import make_schedule, parameter_groups

Batch = tuple[Tensor, list[FrameTargets]]

#: Iterations that a size of the base stage's multi-scale training stays, as in YOLOX.
ITERATIONS_PER_SIZE = 10


class TrainingModule(lightning.LightningModule):
    """A model, its losses and its optimiser."""

    def __init__(self, model: nn.Module, experiment: Experiment, steps_per_epoch: int) -> None:
        """`steps_per_epoch` counts steps of the optimiser."""
        super().__init__()
        self.model = model
        self.experiment = experiment
        self.steps_per_epoch = steps_per_epoch

    def losses(self, images: Tensor, targets: list[FrameTargets]) -> dict[str, Tensor]:
        """The stage's losses; `total` carries the gradient."""
        raise NotImplementedError

    def training_step(self, batch: Batch | FaimError, batch_index: int) -> Tensor:
        """The total loss of a batch, each part logged.

        Raises:
            FaimError: the batch is an error of its own (see `Guarded`), or the loss is not finite.
        """
        if isinstance(batch, FaimError):
            agree(self.trainer, batch)
        assert isinstance(batch, tuple)
        images, targets = batch
        if self.experiment.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        failure, losses = None, {"total": images.new_tensor(float("nan"))}
        try:
            losses = self.losses(images, targets)
        except FaimError as error:
            failure = error
        total = losses["total"]
        if failure is None and not total.isfinite():
            failure = FaimError(
                f"training: the loss is {float(total.detach()):g} at iteration "
                f"{self.global_step}; expected a finite one (try a lower basic_lr_per_img, or "
                "grad_clip=35); the last checkpoint is kept"
            )
        # All processes stop, or none: one alone would leave the others waiting.
        agree(self.trainer, failure)
        size = len(images)
        for name, value in losses.items():
            self.log(f"train/{name}", value.detach().float(), prog_bar=True, batch_size=size)
        self.log("train/lr", self.optimizers().param_groups[0]["lr"], batch_size=size)
        return total

    def configure_optimizers(self) -> dict[str, Any]:
        """The experiment's optimiser, and the schedule by iteration."""
        schedule = make_schedule(self.experiment, self.steps_per_epoch)
        optimizer = self._optimizer()
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _optimizer(self) -> torch.optim.Optimizer:
        experiment = self.experiment
        groups = parameter_groups(self.model, experiment.weight_decay)
        if not groups:
            raise FaimError("model.train_parts leaves nothing to train; expected at least one part")
        if experiment.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=experiment.learning_rate)
        return torch.optim.SGD(
            groups,
            lr=experiment.learning_rate,
            momentum=experiment.momentum,
            nesterov=experiment.momentum > 0,
        )

    def transfer_batch_to_device(
        self, batch: Batch | FaimError, device: torch.device, dataloader_idx: int
    ) -> Batch | FaimError:
        """The batch on the device."""
        if isinstance(batch, FaimError):
            return batch
        images, targets = batch
        return images.to(device, non_blocking=True), [target.to(device) for target in targets]


class BaseTraining(TrainingModule):
    """The first stage: YOLOX on frames."""

    model: YoloxVideo
    experiment: BaseExperiment

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, but with `freeze_norm` batch norms stay in eval mode."""
        super().train(mode)
        if self.experiment.freeze_norm:
            for part in self.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        return self

    def losses(self, images: Tensor, targets: list[FrameTargets]) -> dict[str, Tensor]:
        """See `BaseDetector.losses`; L1 joins in the epochs without strong augmentation."""
        detector = self.model.detector
        detector.use_l1 = not self.experiment.strong_augmentation(self.current_epoch)
        return detector.losses(*self._resize(images, targets))

    def _resize(self, images: Tensor, targets: list[FrameTargets]) -> Batch:
        """The batch at the size of these iterations."""
        reach = self.experiment.multiscale_range
        if not reach:
            return images, targets
        # From the seed and the iteration alone: the same on every process and after a resume.
        height, width = images.shape[-2:]
        block = self.global_step // ITERATIONS_PER_SIZE
        draw = derive_seed(self.experiment.seed, block) % (2 * reach + 1)
        new_height = max(height + 32 * (draw - reach), 32)
        new_width = max(round(new_height * width / height / 32) * 32, 32)
        if (new_height, new_width) == (height, width):
            return images, targets
        images = F.interpolate(
            images, (new_height, new_width), mode="bilinear", align_corners=False
        )
        x, y = new_width / width, new_height / height
        factor = torch.tensor([x, y, x, y], device=images.device)
        resized = [
            FrameTargets(target.boxes * factor, target.labels, target.instance_ids)
            for target in targets
        ]
        return images, resized


class FaimTraining(TrainingModule):
    """The second stage: the video modules of FAIM or YOLOV on m frames of a video."""

    model: TicamDetector
    experiment: FaimExperiment

    def losses(self, images: Tensor, targets: list[FrameTargets]) -> dict[str, Tensor]:
        """See `TicamDetector.training_losses`."""
        losses = self.model.training_losses(VideoSample(images, targets))
        names = ["total", "detection", "refined"]
        if self.model.config.learns_masks:
            names.append("mask")
        return {name: losses[name] for name in names}


def make_module(model: VideoModel, experiment: Experiment, steps_per_epoch: int) -> TrainingModule:
    """The training module of the experiment's stage."""
    kind = FaimTraining if isinstance(experiment, FaimExperiment) else BaseTraining
    module = kind(model, experiment, steps_per_epoch)
    if experiment.channels_last:
        module.to(memory_format=torch.channels_last)
    # Lightning leaves every part in the mode in which it finds it.
    return module.train()
