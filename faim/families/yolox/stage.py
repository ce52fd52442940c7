"""What the two stages of a detector's training share."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import torch
from loguru import logger
from torch.optim import SGD, AdamW, Optimizer

from faim.data.coco_vid import CocoVid
from faim.data.video_frames import every_nth_frame, thinned
from faim.errors import FaimError
from faim.experiments.data import data_identity, read_data
from faim.experiments.stage import AveragePrecision, Saving, Stage
from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.experiments import Experiment
from faim.families.yolox.levels import LevelWatch
from faim.families.yolox.ticam_detector import VideoModel
from faim.nn.schedule import WarmupCosine, parameter_groups
from faim.wording import counted

Own = TypeVar("Own", bound=Experiment)
Net = TypeVar("Net", bound=VideoModel)


class DetectorStage(Stage[Own, Net]):
    """A detector's data, optimiser, schedule and validation.

    A batch is images (B, 3, h, w) and a list of B targets.
    """

    #: How validation looks at the frames.
    validated_in: ClassVar[Literal["frame", "global"]]

    def read_data(self) -> CocoVid:
        """See `Stage`; the classes of validation are among those of training."""
        experiment = self.experiment
        data = read_data(experiment.train_ann, "training", "--data")
        # What the training uses: every frame of it is looked for.
        every_nth_frame(data, experiment.frame_stride).check(
            num_classes=experiment.num_classes, masks_required=experiment.masks_required
        )
        if experiment.val_ann is not None:
            validation = read_data(experiment.val_ann, "validation", "--val")
            validation.check(num_classes=None, masks_required=False)
            if unknown := [name for name in validation.classes if name not in data.classes]:
                raise FaimError(
                    f"{experiment.val_ann}: {len(unknown)} of its {len(validation.classes)} "
                    f"classes ({', '.join(unknown[:5])}) are not among those of "
                    f"{experiment.train_ann} ({', '.join(data.classes[:5])}); expected the "
                    "training data's class names"
                )
        return data

    def describe(self, data: CocoVid) -> str:
        """Stage, variant and data."""
        return (
            f"{type(self.experiment).__name__} {self.experiment.variant}, "
            f"{counted(len(data.videos), 'video')}, {counted(len(data.frames), 'frame')}, "
            f"{counted(len(data.classes), 'class')}"
        )

    def config_for(self, data: CocoVid) -> FaimConfig:
        """The model's config for these training data; FaimError for a wrong `model` field."""
        return self.experiment.config(data.classes)

    def identity(self, data: CocoVid) -> dict[str, Any]:
        """The model's config and the size of the data."""
        config = asdict(self.config_for(data))
        return {f"model.{name}": value for name, value in config.items()} | data_identity(data)

    def make_optimizer(self, model: Net) -> Optimizer:
        """SGD or AdamW over YOLOX's groups of parameters."""
        experiment = self.experiment
        groups = parameter_groups(model, experiment.weight_decay)
        if not groups:
            raise FaimError("model.train_parts leaves nothing to train; expected at least one part")
        if experiment.optimizer == "adamw":
            return AdamW(groups, lr=experiment.learning_rate)
        return SGD(
            groups,
            lr=experiment.learning_rate,
            momentum=experiment.momentum,
            nesterov=experiment.momentum > 0,
        )

    def schedule(self, steps_per_epoch: int) -> WarmupCosine:
        """Warm-up and cosine; of a short training they take a third and the flat end a half."""
        experiment = self.experiment
        total = experiment.max_epochs * steps_per_epoch
        warmup = experiment.warmup_iters or round(experiment.warmup_epochs * steps_per_epoch)
        if warmup > total // 3:
            logger.warning(
                f"a warm-up of {warmup} iterations is long for a training of {total}; takes "
                f"{total // 3}"
            )
            warmup = total // 3
        flat = min(experiment.no_aug_epochs * steps_per_epoch, total // 2)
        return WarmupCosine(total, warmup, flat, experiment.min_lr_ratio)

    def save_weights(self, path: Path, model: Net) -> None:
        """A faim checkpoint."""
        save_checkpoint(path, model)

    def evaluate(
        self,
        model: Net,
        device: torch.device | str,
        frames: int | None,
        average_precision: AveragePrecision,
    ) -> dict[str, float]:
        """Average precision; the best have most AP50."""
        assert self.experiment.val_ann is not None
        data = CocoVid(Path(self.experiment.val_ann))
        data = data if frames is None else thinned(data, frames)
        return average_precision(model, data, self.validated_in, device)

    def watches(self, saving: Saving) -> list[Any]:
        """The levels of a base detector that trains."""
        return [LevelWatch(saving, self.experiment)] if self.experiment.trains_base else []
