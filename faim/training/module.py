"""The losses of the detector's two stages, for Lightning's loop."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from faim.data.sampling import derive_seed
from faim.errors import FaimError
from faim.families.yolox.faim import YoloxVideo
from faim.families.yolox.ticam_detector import TicamDetector, VideoModel
from faim.nn.norms import keep_statistics
from faim.structures import FrameTargets, VideoSample
from faim.training.experiment import BaseExperiment, Experiment, FaimExperiment
from faim.training.steps import TrainingModule

Batch = tuple[Tensor, list[FrameTargets]]

#: Iterations that a size of the base stage's multi-scale training stays, as in YOLOX.
ITERATIONS_PER_SIZE = 10


class DetectorTraining(TrainingModule):
    """A detector's batches: images (B, 3, h, w) and B targets."""

    def transfer_batch_to_device(
        self, batch: Batch | FaimError, device: torch.device, dataloader_idx: int
    ) -> Batch | FaimError:
        """The batch on the device, in the memory format of the experiment."""
        if isinstance(batch, FaimError):
            return batch
        images, targets = batch
        last = self.experiment.channels_last
        form = torch.channels_last if last else torch.preserve_format
        images = images.to(device, non_blocking=True, memory_format=form)
        return images, [target.to(device) for target in targets]


class BaseTraining(DetectorTraining):
    """The first stage: YOLOX on frames."""

    model: YoloxVideo
    experiment: BaseExperiment

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, but with `freeze_norm` batch norms stay in eval mode."""
        super().train(mode)
        if self.experiment.freeze_norm:
            keep_statistics(self)
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


class FaimTraining(DetectorTraining):
    """The second stage: the video modules of FAIM or YOLOV on m frames of a video."""

    model: TicamDetector
    experiment: FaimExperiment

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`, but batch norms stay in eval mode, unless they are `live_norms`."""
        super().train(mode)
        if not self.experiment.live_norms:
            keep_statistics(self)
        return self

    def losses(self, images: Tensor, targets: list[FrameTargets]) -> dict[str, Tensor]:
        """See `TicamDetector.training_losses`."""
        losses = self.model.training_losses(VideoSample(images, targets))
        names = ["total", "detection", "refined"]
        if self.model.config.learns_masks:
            names += ["mask", "mask_reach"]
        if self.model.config.retention_weight:
            names.append("retention")
        if self.model.config.identity_weight:
            names += ["identity", "same_object"]
        return {name: losses[name] for name in names}


def make_module(model: VideoModel, experiment: Experiment, steps_per_epoch: int) -> TrainingModule:
    """The training module of the experiment's stage."""
    kind = FaimTraining if isinstance(experiment, FaimExperiment) else BaseTraining
    module = kind(model, experiment, steps_per_epoch)
    if experiment.channels_last:
        module.to(memory_format=torch.channels_last)
    # Lightning leaves every part in the mode in which it finds it.
    return module.train()
