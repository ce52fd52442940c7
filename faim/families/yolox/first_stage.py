"""The first stage of a detector's training: YOLOX on single frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from faim.data.coco_vid import CocoVid
from faim.data.datasets import FrameDataset, collate_frames
from faim.data.sampling import derive_seed
from faim.data.video_frames import every_nth_frame
from faim.errors import FaimError
from faim.experiments.stage import Moment
from faim.families.yolox.augmentation import BaseStageAugment
from faim.families.yolox.experiments import BaseExperiment
from faim.families.yolox.faim import YoloxVideo
from faim.families.yolox.stage import DetectorStage
from faim.families.yolox.starting_weights import starting_model
from faim.nn.norms import keep_statistics
from faim.structures import FrameTargets

#: Iterations that a size of the multi-scale training stays, as in YOLOX.
ITERATIONS_PER_SIZE = 10


class FirstStage(DetectorStage[BaseExperiment, YoloxVideo]):
    """The base detector on frames; validation looks at each alone."""

    validated_in: ClassVar[Literal["frame", "global"]] = "frame"

    def dataset(self, data: CocoVid) -> FrameDataset:
        """Augmented frames."""
        experiment = self.experiment
        usual = BaseStageAugment.for_variant(experiment.variant)
        try:
            augment = replace(usual, **experiment.augment)
        except TypeError as error:
            raise FaimError(f"augment: {error}; expected fields of BaseStageAugment") from error
        return FrameDataset(
            every_nth_frame(data, experiment.frame_stride),
            experiment.input_size,
            augment,
            seed=experiment.seed,
            cache=experiment.cache,
        )

    @staticmethod
    def collate(items: Sequence[Any]) -> tuple[Tensor, list[FrameTargets]]:
        """Images stacked, targets listed."""
        return collate_frames(items)

    def start_epoch(self, dataset: FrameDataset, epoch: int) -> None:
        """Set the epoch, and strong augmentation on or off."""
        dataset.set_epoch(epoch)
        if isinstance(dataset.augment, BaseStageAugment):
            dataset.augment.enabled = self.experiment.strong_augmentation(epoch)

    def starting_model(self, data: CocoVid) -> YoloxVideo:
        """See `faim.families.yolox.starting_weights`."""
        model = starting_model(self.experiment, data.classes)
        assert isinstance(model, YoloxVideo)
        return model

    def hold(self, model: YoloxVideo) -> None:
        """The statistics of batch norms, with `freeze_norm`."""
        if self.experiment.freeze_norm:
            keep_statistics(model)

    def losses(
        self, model: YoloxVideo, batch: tuple[Any, ...], moment: Moment
    ) -> dict[str, Tensor]:
        """See `BaseDetector.losses`; L1 joins in the epochs without strong augmentation."""
        images, targets = batch
        model.detector.use_l1 = not self.experiment.strong_augmentation(moment.epoch)
        return model.detector.losses(*self._resized(images, targets, moment.step))

    def _resized(
        self, images: Tensor, targets: list[FrameTargets], step: int
    ) -> tuple[Tensor, list[FrameTargets]]:
        """The batch at the size of these iterations."""
        reach = self.experiment.multiscale_range
        if not reach:
            return images, targets
        # From the seed and the iteration alone: the same on every process and after a resume.
        height, width = images.shape[-2:]
        draw = derive_seed(self.experiment.seed, step // ITERATIONS_PER_SIZE) % (2 * reach + 1)
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
