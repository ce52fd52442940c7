"""Experiments: every number of a training in one typed place.

An experiment file (`exps/*.py`) defines `exp`, an instance of one of the two stages here, or a
class `Exp`. Any field can be overridden on the command line as `key=value`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from faim.config import PARTS, Architecture, FaimConfig, Variant
from faim.data.coco_vid import CocoVid
from faim.data.datasets import MULTI_SCALE_SIZES, FrameDataset, VideoDataset, collate_frames
from faim.data.transforms import BaseStageAugment
from faim.errors import FaimError
from faim.models.checkpoint import save_checkpoint
from faim.structures import VideoSample
from faim.training.common import CommonExperiment, Precision, at_least, share
from faim.training.data_module import data_identity, read_data
from faim.training.schedule import WarmupCosine, make_schedule, parameter_groups

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

    from faim.models.ticam_detector import VideoModel
    from faim.training.checkpoints import SaveProgress
    from faim.training.steps import TrainingModule

__all__ = [
    "BaseExperiment",
    "Experiment",
    "FaimExperiment",
    "Precision",
    "YolovExperiment",
    "YolovIfemExperiment",
    "every_nth_frame",
]


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
        no_aug_epochs: last epochs at the smallest learning rate, without strong augmentation.
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

    rate_field: ClassVar[str] = "basic_lr_per_img"
    nested: ClassVar[dict[str, type]] = {"model": FaimConfig, "augment": BaseStageAugment}
    free_on_resume: ClassVar[frozenset[str]] = CommonExperiment.free_on_resume | {"num_classes"}
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
        if self.no_aug_epochs > self.max_epochs:
            raise FaimError(
                f"no_aug_epochs is {self.no_aug_epochs}; expected at most max_epochs "
                f"({self.max_epochs})"
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
        """Warm-up and cosine."""
        return make_schedule(self, steps_per_epoch)

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
        """See `faim.training.starting_weights`."""
        from faim.training.starting_weights import starting_model

        return starting_model(self, data.classes, self.config_for(data).refined_classes)

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

        return Validate(annotation_file, progress, self.architecture)

    def identity(self, data: CocoVid) -> dict[str, Any]:
        """The model's config and the size of the data."""
        config = asdict(self.config_for(data))
        return {f"model.{name}": value for name, value in config.items()} | data_identity(data)

    def describe(self, data: CocoVid) -> str:
        """Stage, variant and data."""
        return (
            f"{type(self).__name__} {self.variant}, {len(data.videos)} videos, "
            f"{len(data.frames)} frames, {len(data.classes)} classes"
        )

    def strong_augmentation(self, epoch: int) -> bool:
        """Whether an epoch, from 0, is before the last `no_aug_epochs`."""
        return epoch < self.max_epochs - self.no_aug_epochs


@dataclass(kw_only=True)
class BaseExperiment(Experiment):
    """The first stage: YOLOX on single frames. `batch_size` counts frames.

    Attributes:
        input_size: height and width in training.
        multiscale_range: every ten iterations the size changes by up to so many times 32 pixels;
            0 for one size.
        augment: `BaseStageAugment` fields that differ from the YOLOX variant's.
        freeze_norm: whether batch norms keep the statistics that they start with; for batches too
            small to have statistics, and weights whose norms were folded into the convolutions.
    """

    input_size: tuple[int, int] = (512, 512)
    multiscale_range: int = 5
    augment: dict[str, Any] = field(default_factory=dict)
    freeze_norm: bool = False

    architecture: ClassVar[Architecture] = "yolox"

    @property
    def learning_rate(self) -> float:
        """At the end of the warm-up; rates are the public YOLOV implementation's from COCO."""
        per_image = self.basic_lr_per_img
        if per_image is None:
            per_image = (0.005 if self.variant in ("l", "x") else 0.02) / 64
        return per_image * self.batch_size

    @property
    def masks_required(self) -> bool:
        """No: boxes alone are learnt from."""
        return False

    def dataset(self, data: CocoVid) -> FrameDataset:
        """Augmented frames."""
        try:
            augment = replace(BaseStageAugment.for_variant(self.variant), **self.augment)
        except TypeError as error:
            raise FaimError(f"augment: {error}; expected fields of BaseStageAugment") from error
        thinned = every_nth_frame(data, self.frame_stride)
        return FrameDataset(thinned, self.input_size, augment, seed=self.seed, cache=self.cache)

    @property
    def collate(self) -> Callable[[Sequence[Any]], Any]:
        """Images stacked, targets listed."""
        return collate_frames

    def start_epoch(self, dataset: FrameDataset, epoch: int) -> None:
        """Set the epoch, and strong augmentation on or off."""
        dataset.set_epoch(epoch)
        if dataset.augment is not None:
            dataset.augment.enabled = self.strong_augmentation(epoch)


@dataclass(kw_only=True)
class FaimExperiment(Experiment):
    """The second stage: the video modules on a trained base detector.

    `batch_size` counts videos; each gives `model.train_frames` frames and is a forward pass of its
    own, so that a step over several accumulates their gradients. An epoch takes as many samples of
    a video as its frames fill.

    Attributes:
        sizes: sides of the square inputs that each video draws from.
        sampling: frames of the whole video, or of one stretch.
        sampling_stride: distance of frames in local sampling.
        flip: mirror half of the videos.
        hsv_prob: chance of a colour jitter, the same for all frames of a video.
        init_branch_from_base: the video object branch starts as a copy of the base detector's
            classification branch, whose features tell the classes apart already; else at random.
        cache_base: gigabytes for what the frozen base detector makes of the images, each seen by
            it once; 0 for none. With one size and without colour jitter, as otherwise no image
            comes twice.
        refined_classes: names of the classes that TICAM learns to decide, () for all; None takes
            those that the training data have objects of. The others keep the base detector's
            scores.
    """

    batch_size: int = 1
    warmup_iters: int = 15_000
    no_aug_epochs: int = 0
    sizes: tuple[int, ...] = MULTI_SCALE_SIZES
    sampling: Literal["global", "local"] = "global"
    sampling_stride: int = 1
    flip: bool = True
    hsv_prob: float = 0.0
    init_branch_from_base: bool = True
    cache_base: float = 0.0
    refined_classes: tuple[str, ...] | None = None

    architecture: ClassVar[Architecture] = "faim"

    def validate(self) -> None:
        """See `Experiment`; some part must be left to train too."""
        super().validate()
        share("hsv_prob", self.hsv_prob)
        at_least("sampling_stride", self.sampling_stride, 1)
        at_least("cache_base", self.cache_base, 0)
        if not self.config(("object",)).train_parts:
            raise FaimError(
                f"model.train_parts is {self.model['train_parts']!r} and leaves nothing to train; "
                f"expected some of {', '.join(PARTS[self.architecture])} (mask_head counts only "
                "with model.mask_weight above 0)"
            )

        if self.cache_base:
            self._check_cache()

    def _check_cache(self) -> None:
        parts = self.config(("object",)).train_parts
        for name, value, sound in (
            ("sizes", self.sizes, len(self.sizes) == 1),
            ("hsv_prob", self.hsv_prob, not self.hsv_prob),
            ("model.train_parts", parts, "base" not in parts),
        ):
            if not sound:
                raise FaimError(
                    f"cache_base is {self.cache_base:g} and {name} {value!r}; expected one size, "
                    "no colour jitter and a frozen base detector, or cache_base=0"
                )

    def make_module(self, model: Any, steps_per_epoch: int) -> TrainingModule:
        """As in `Experiment`; with `cache_base`, on a base detector that sees an image once."""
        if self.cache_base:
            from faim.training.base_cache import cache_base

            cache_base(model, self.cache_base)
        return super().make_module(model, steps_per_epoch)

    @property
    def learning_rate(self) -> float:
        """At the end of the warm-up; the rate is the public YOLOV implementation's."""
        per_image = 0.002 / 64 if self.basic_lr_per_img is None else self.basic_lr_per_img
        return per_image * self.batch_size * self.config(("object",)).train_frames

    @property
    def masks_required(self) -> bool:
        """Whether the mask loss counts."""
        return self.config(("object",)).learns_masks

    def config(self, class_names: tuple[str, ...]) -> FaimConfig:
        """As in `Experiment`; a mask head whose loss does not count is not trained."""
        config = super().config(class_names)
        if config.mask_weight == 0 and "mask_head" in config.train_parts:
            parts = tuple(part for part in config.train_parts if part != "mask_head")
            config = replace(config, train_parts=parts)
        return config

    def config_for(self, data: CocoVid) -> FaimConfig:
        """As in `Experiment`; with the classes that TICAM is to decide."""
        refined = self.refined_classes
        if refined is None:
            refined = seen_classes(every_nth_frame(data, self.frame_stride))
        return replace(self.config(data.classes), refined_classes=refined)

    def describe(self, data: CocoVid) -> str:
        """As in `Experiment`; says it where TICAM does not decide all classes."""
        text, refined = super().describe(data), self.config_for(data).refined_classes
        if not refined:
            return text
        return f"{text}, of which {len(refined)} are refined ({', '.join(refined)})"

    @property
    def process_batch(self) -> int:
        """One video."""
        return 1

    @property
    def accumulate(self) -> int:
        """Videos of one process to a step."""
        return self.batch_size // (self.devices * self.num_nodes)

    def dataset(self, data: CocoVid) -> VideoDataset:
        """Samples of m frames; a video appears as often as its frames fill samples."""
        frames = self.config(("object",)).train_frames
        dataset = VideoDataset(
            every_nth_frame(data, self.frame_stride),
            frames,
            self.sizes,
            sampling=self.sampling,
            with_masks=self.masks_required,
            seed=self.seed,
            flip=self.flip,
            hsv_prob=self.hsv_prob,
            stride=self.sampling_stride,
            cache=self.cache,
        )
        dataset.videos = [v for v in dataset.videos for _ in range(-(-len(v.frames) // frames))]
        return dataset

    @property
    def collate(self) -> Callable[[Sequence[Any]], Any]:
        """One video's images and targets."""
        return _one_video

    def start_epoch(self, dataset: VideoDataset, epoch: int) -> None:
        """Set the epoch."""
        dataset.set_epoch(epoch)


@dataclass(kw_only=True)
class YolovExperiment(FaimExperiment):
    """The second stage of YOLOV, the baseline: without masks, all else as FAIM's."""

    architecture: ClassVar[Architecture] = "yolov"


@dataclass(kw_only=True)
class YolovIfemExperiment(FaimExperiment):
    """The second stage of YOLOV with instance masks learnt beside it (FAIM, Table 2)."""

    architecture: ClassVar[Architecture] = "yolov_ifem"


def every_nth_frame(data: CocoVid, stride: int) -> CocoVid:
    """The dataset with frames 0, stride, 2 stride … of each video."""
    thinned = copy(data)
    thinned.videos = [replace(v, frames=v.frames[::stride]) for v in data.videos]
    return thinned


def seen_classes(data: CocoVid) -> tuple[str, ...]:
    """Names of the classes that there are objects of; () where that is all of them."""
    seen = {a.category_id for frame in data.frames for a in frame.annotations}
    if len(seen) == len(data.classes):
        return ()
    return tuple(name for index, name in enumerate(data.classes) if index in seen)


def _one_video(items: Sequence[VideoSample]) -> tuple[Any, Any]:
    # A plain pair: Lightning and the pinning of memory look into tuples, not into dataclasses.
    (sample,) = items
    return sample.images, sample.targets
