"""Experiments: every number of a training in one typed place.

An experiment file (`exps/*.py`) defines `exp`, an instance of one of the two stages here, or a
class `Exp`. Any field can be overridden on the command line as `key=value`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from torch.utils.data import Dataset

from faim.config import PARTS, Architecture, FaimConfig, Variant
from faim.data.coco_vid import CocoVid
from faim.data.datasets import MULTI_SCALE_SIZES, FrameDataset, VideoDataset, collate_frames
from faim.data.transforms import BaseStageAugment
from faim.errors import FaimError
from faim.structures import VideoSample
from faim.training.typed import check_values, field_hints

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
#: Fields that are dictionaries of another dataclass's fields.
NESTED: dict[str, type] = {"model": FaimConfig, "augment": BaseStageAugment}


@dataclass(kw_only=True)
class Experiment(ABC):
    """What both stages share. Defaults are the paper's (FAIM, Appendix A.1).

    Attributes:
        variant: size of the YOLOX base detector.
        name: of the output folder; empty takes the experiment file's name.
        model: `FaimConfig` fields that differ from its defaults.
        num_classes: classes the data must have; None takes what there is.
        train_ann: CocoVID annotation file of the training data.
        val_ann: the same of validation data, evaluated after every epoch; None for none.
        frame_stride: every how many frames of a video are used (the paper takes one tenth).
        cache: keep all decoded images in memory.
        ckpt: weights to start from; empty for none.
        max_epochs: length of the training.
        batch_size: items a step over all devices; see the stages.
        basic_lr_per_img: learning rate an image of the batch; None takes the variant's.
        optimizer: SGD with Nesterov momentum as in the paper, or AdamW, which learns quicker from
            random weights.
        momentum: of SGD.
        weight_decay: of weights; biases and norms have none.
        warmup_epochs: quadratic warm-up of the learning rate, in epochs.
        warmup_iters: the same in iterations; 0 leaves it to `warmup_epochs`.
        min_lr_ratio: the cosine ends at this share of the learning rate.
        no_aug_epochs: last epochs at the smallest learning rate, without strong augmentation.
        ema: whether the weights that are kept are an exponential moving average.
        ema_decay: its decay.
        ema_ramp: iterations over which the decay grows towards `ema_decay`.
        grad_clip: largest gradient norm; 0 does not clip.
        precision: of the computation, in Lightning's words.
        channels_last: memory format of the network; faster on GPUs with mixed precision.
        seed: of everything random.
        workers: processes that load data; 0 loads in the training process.
        accelerator: auto, cpu, gpu …, as Lightning's.
        devices: number of devices.
        num_nodes: number of machines.
        strategy: auto, ddp …, as Lightning's.
        checkpoint_every: iterations between two checkpoints, besides those at an epoch's end.
        log_every: iterations between two log entries.
        save_history: keep the weights of every epoch.
    """

    variant: Variant = "s"
    name: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    num_classes: int | None = None
    train_ann: str = "data/imagenet_vid/train.json"
    val_ann: str | None = None
    frame_stride: int = 10
    cache: bool = False
    ckpt: str = ""
    max_epochs: int = 7
    batch_size: int = 16
    basic_lr_per_img: float | None = None
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    warmup_iters: int = 0
    min_lr_ratio: float = 0.05
    no_aug_epochs: int = 2
    ema: bool = True
    ema_decay: float = 0.9998
    ema_ramp: int = 2000
    grad_clip: float = 0.0
    precision: Precision = "32-true"
    channels_last: bool = False
    seed: int = 0
    workers: int = 4
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    checkpoint_every: int = 500
    log_every: int = 10
    save_history: bool = False

    architecture: ClassVar[Architecture]

    def validate(self) -> None:
        """Find wrong values before anything else is done.

        Raises:
            FaimError: a value of the wrong type or out of range; names the field and what is
                allowed.
        """
        self._check_types()
        for name in ("max_epochs", "batch_size", "devices", "num_nodes", "checkpoint_every"):
            _at_least(name, getattr(self, name), 1)
        for name in ("frame_stride", "log_every", "ema_ramp"):
            _at_least(name, getattr(self, name), 1)
        for name in ("workers", "warmup_iters", "warmup_epochs", "no_aug_epochs", "seed"):
            _at_least(name, getattr(self, name), 0)
        for name in ("weight_decay", "grad_clip"):
            _at_least(name, getattr(self, name), 0)
        for name in ("momentum", "min_lr_ratio", "ema_decay"):
            _share(name, getattr(self, name))
        if self.learning_rate <= 0:
            raise FaimError(
                f"basic_lr_per_img is {self.basic_lr_per_img!r}; expected a number above 0"
            )
        if self.no_aug_epochs > self.max_epochs:
            raise FaimError(
                f"no_aug_epochs is {self.no_aug_epochs}; expected at most max_epochs "
                f"({self.max_epochs})"
            )
        processes = self.devices * self.num_nodes
        if self.batch_size % processes:
            raise FaimError(
                f"batch_size is {self.batch_size}; expected a multiple of the {processes} devices"
            )
        self.config(("object",))

    def _check_types(self) -> None:
        values = {name: getattr(self, name) for name in field_hints(type(self))}
        values = check_values(values, type(self))
        for name in NESTED.keys() & values.keys():
            values[name] = check_values(values[name], NESTED[name], f"{name}.")
        for name, value in values.items():
            setattr(self, name, value)

    def config(self, class_names: tuple[str, ...]) -> FaimConfig:
        """The model's config for these classes; raises FaimError for a wrong `model` field."""
        known = {"variant", "class_names", "architecture"}
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

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """At the end of the warm-up, for the whole batch."""

    @property
    @abstractmethod
    def masks_required(self) -> bool:
        """Whether the training data must have masks."""

    @property
    def process_batch(self) -> int:
        """Items a process loads at once."""
        return self.batch_size // (self.devices * self.num_nodes)

    @property
    def accumulate(self) -> int:
        """Batches of the loader to one step of the optimiser."""
        return 1

    @abstractmethod
    def dataset(self, data: CocoVid) -> Dataset[Any]:
        """The training items."""

    @property
    @abstractmethod
    def collate(self) -> Callable[[Sequence[Any]], Any]:
        """How items become a batch."""

    @abstractmethod
    def start_epoch(self, dataset: Any, epoch: int) -> None:
        """Prepare the dataset for an epoch, before its first item is read."""

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

    architecture: ClassVar[Architecture] = "faim"

    def validate(self) -> None:
        """See `Experiment`; some part must be left to train too."""
        super().validate()
        _share("hsv_prob", self.hsv_prob)
        _at_least("sampling_stride", self.sampling_stride, 1)
        if not self.config(("object",)).train_parts:
            raise FaimError(
                f"model.train_parts is {self.model['train_parts']!r} and leaves nothing to train; "
                f"expected some of {', '.join(PARTS[self.architecture])} (mask_head counts only "
                "with model.mask_weight above 0)"
            )

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


def _one_video(items: Sequence[VideoSample]) -> tuple[Any, Any]:
    # A plain pair: Lightning and the pinning of memory look into tuples, not into dataclasses.
    (sample,) = items
    return sample.images, sample.targets


def _at_least(name: str, value: float, low: float) -> None:
    if value < low:
        raise FaimError(f"{name} is {value!r}; expected at least {low}")


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise FaimError(f"{name} is {value!r}; expected a number from 0 to 1")
