"""What the two stages of a detector's training have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from loguru import logger
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from faim.data.coco_vid import CocoVid
from faim.data.video_frames import every_nth_frame
from faim.errors import FaimError
from faim.families.yolox.augmentation import BaseStageAugment
from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import Architecture, FaimConfig, Variant
from faim.nn.schedule import WarmupCosine, parameter_groups
from faim.training.common import CommonExperiment, at_least, share
from faim.training.data_module import data_identity, read_data
from faim.wording import counted

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

    from faim.families.yolox.ticam_detector import VideoModel
    from faim.training.checkpoints import SaveProgress
    from faim.training.steps import TrainingModule


@dataclass(kw_only=True)
class Experiment(CommonExperiment):
    """What both stages share. Defaults are the paper's (FAIM, Appendix A.1).

    Attributes:
        variant: size of the YOLOX base detector.
        model: `FaimConfig` fields that differ from its defaults.
        num_classes: classes the data must have; None takes what there is.
        train_ann: CocoVID annotation file of the training data.
        frame_stride: every how many frames of a video are used (the paper takes one tenth).
        basic_lr_per_img: learning rate an image of the batch; None takes the variant's.
        optimizer: SGD with Nesterov momentum as in the paper, or AdamW, which learns quicker from
            random weights.
        momentum: of SGD.
        weight_decay: of weights; biases and norms have none.
        warmup_epochs: quadratic warm-up of the learning rate, in epochs.
        warmup_iters: the same in iterations; 0 leaves it to `warmup_epochs`.
        min_lr_ratio: the cosine ends at this share of the learning rate.
        no_aug_epochs: last epochs without strong augmentation, all of a shorter training; at the
            smallest learning rate, but for the first half of the training.
        check_levels: whether a training of the base detector stops where one of its levels never
            fires (see `faim.families.yolox.levels`); else it says so and goes on.
    """

    variant: Variant = "s"
    model: dict[str, Any] = field(default_factory=dict)
    num_classes: int | None = None
    train_ann: str = "data/imagenet_vid/train.json"
    frame_stride: int = 10
    basic_lr_per_img: float | None = None
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    warmup_iters: int = 0
    min_lr_ratio: float = 0.05
    no_aug_epochs: int = 2
    check_levels: bool = True

    rate_field: ClassVar[str] = "basic_lr_per_img"
    #: The field that varies the size of the network's input.
    sizes_field: ClassVar[str]
    nested: ClassVar[dict[str, type]] = {"model": FaimConfig, "augment": BaseStageAugment}
    free_on_resume: ClassVar[frozenset[str]] = CommonExperiment.free_on_resume | {
        *("num_classes", "check_levels"),
    }
    architecture: ClassVar[Architecture]

    def validate(self) -> None:
        """Find wrong values before anything else is done.

        Raises:
            FaimError: a value of the wrong type or out of range; names the field and what is
                allowed.
        """
        super().validate()
        for name in ("warmup_iters", "warmup_epochs", "no_aug_epochs", "weight_decay"):
            at_least(name, getattr(self, name), 0)
        at_least("frame_stride", self.frame_stride, 1)
        for name in ("momentum", "min_lr_ratio"):
            share(name, getattr(self, name))
        if self.learning_rate <= 0:
            raise FaimError(
                f"basic_lr_per_img is {self.basic_lr_per_img!r}; expected a number above 0"
            )
        self.config(("object",))

    def config(self, class_names: tuple[str, ...]) -> FaimConfig:
        """The model's config for these classes; raises FaimError for a wrong `model` field."""
        known = {"variant", "class_names", "architecture", "refined_classes"}
        if wrong := known & self.model.keys():
            raise FaimError(f"model.{min(wrong)} is set by the experiment and its data")
        try:
            return FaimConfig(
                variant=self.variant,
                class_names=class_names,
                architecture=self.architecture,
                **self.model,
            )
        except TypeError as error:
            raise FaimError(f"model: {error}; expected fields of FaimConfig") from error

    def config_for(self, data: CocoVid) -> FaimConfig:
        """The model's config for these training data; raises FaimError as `config`."""
        return self.config(data.classes)

    @property
    @abstractmethod
    def trains_base(self) -> bool:
        """Whether the base detector is among what trains."""

    @property
    @abstractmethod
    def masks_required(self) -> bool:
        """Whether the training data must have masks."""

    def read_data(self) -> CocoVid:
        """See `CommonExperiment`; the classes of validation are among those of training."""
        data = read_data(self.train_ann, "training", "--data")
        # What the training uses: every frame of it is looked for.
        every_nth_frame(data, self.frame_stride).check(
            num_classes=self.num_classes, masks_required=self.masks_required
        )
        if self.val_ann is not None:
            validation = read_data(self.val_ann, "validation", "--val")
            validation.check(num_classes=None, masks_required=False)
            if unknown := [name for name in validation.classes if name not in data.classes]:
                raise FaimError(
                    f"{self.val_ann}: {len(unknown)} of its {len(validation.classes)} classes "
                    f"({', '.join(unknown[:5])}) are not among those of {self.train_ann} "
                    f"({', '.join(data.classes[:5])}); expected the training data's class names"
                )
        return data

    def schedule(self, steps_per_epoch: int) -> WarmupCosine:
        """Warm-up and cosine; of a short training they take a third and the flat end a half."""
        total = self.max_epochs * steps_per_epoch
        warmup = self.warmup_iters or round(self.warmup_epochs * steps_per_epoch)
        if warmup > total // 3:
            logger.warning(
                f"a warm-up of {warmup} iterations is long for a training of {total}; takes "
                f"{total // 3}"
            )
            warmup = total // 3
        flat = min(self.no_aug_epochs * steps_per_epoch, total // 2)
        return WarmupCosine(total, warmup, flat, self.min_lr_ratio)

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """SGD or AdamW over YOLOX's groups of parameters."""
        groups = parameter_groups(model, self.weight_decay)
        if not groups:
            raise FaimError("model.train_parts leaves nothing to train; expected at least one part")
        if self.optimizer == "adamw":
            return AdamW(groups, lr=self.learning_rate)
        nesterov = self.momentum > 0
        return SGD(groups, lr=self.learning_rate, momentum=self.momentum, nesterov=nesterov)

    def starting_model(self, data: CocoVid) -> VideoModel:
        """See `faim.families.yolox.starting_weights`."""
        from faim.families.yolox.starting_weights import starting_model

        return starting_model(self, data.classes, self.config_for(data).refined_classes, data)

    def make_module(self, model: Any, steps_per_epoch: int) -> TrainingModule:
        """See `faim.training.module`."""
        from faim.training.module import make_module

        return make_module(model, self, steps_per_epoch)

    def save_weights(self, path: Path, model: VideoModel) -> None:
        """A faim checkpoint."""
        save_checkpoint(path, model)

    def validation(self, annotation_file: str, progress: SaveProgress) -> Callback:
        """Average precision."""
        from faim.training.validation import Validate

        return Validate(annotation_file, progress, self, self.architecture)

    def watches(self, progress: SaveProgress) -> list[Callback]:
        """The levels of a base detector that trains."""
        if not self.trains_base:
            return []
        from faim.families.yolox.levels import LevelWatch

        return [LevelWatch(progress, self)]

    def identity(self, data: CocoVid) -> dict[str, Any]:
        """The model's config and the size of the data."""
        config = asdict(self.config_for(data))
        return {f"model.{name}": value for name, value in config.items()} | data_identity(data)

    def describe(self, data: CocoVid) -> str:
        """Stage, variant and data."""
        return (
            f"{type(self).__name__} {self.variant}, {counted(len(data.videos), 'video')}, "
            f"{counted(len(data.frames), 'frame')}, {counted(len(data.classes), 'class')}"
        )

    def strong_augmentation(self, epoch: int) -> bool:
        """Whether an epoch, from 0, is before the last `no_aug_epochs`."""
        return epoch < self.max_epochs - self.no_aug_epochs
