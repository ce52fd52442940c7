"""The experiments of a detector's two stages: every number of a training in one typed place.

An experiment file (`exps/*.py`) defines `exp`, an instance of one of these, or a class `Exp`. Any
field can be overridden on the command line as `key=value`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from faim.data.datasets import MULTI_SCALE_SIZES
from faim.errors import FaimError
from faim.experiments.common import (
    CommonExperiment,
    DetectorExperiment,
    at_least,
    share,
    sides,
)
from faim.families.yolox.augmentation import BaseStageAugment
from faim.families.yolox.config import JOINING, PARTS, Architecture, FaimConfig, Variant

#: Whether all objects of the classes have a label; see `FaimExperiment`.
Labels = Literal["auto", "exhaustive", "partial"]


@dataclass(kw_only=True)
class Experiment(DetectorExperiment):
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

    @property
    @abstractmethod
    def trains_base(self) -> bool:
        """Whether the base detector is among what trains."""

    @property
    @abstractmethod
    def masks_required(self) -> bool:
        """Whether the training data must have masks."""

    @property
    def test_size(self) -> tuple[int, int] | None:
        """Of `model`, where that names it."""
        return self.model.get("test_size")

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
            small to have statistics, at about a tenth of the learning rate.
    """

    input_size: tuple[int, int] = (512, 512)
    multiscale_range: int = 5
    augment: dict[str, Any] = field(default_factory=dict)
    freeze_norm: bool = False

    stage: ClassVar[str] = "faim.families.yolox.first_stage:FirstStage"
    architecture: ClassVar[Architecture] = "yolox"
    sizes_field: ClassVar[str] = "multiscale_range"

    def validate(self) -> None:
        """See `Experiment`; the sizes of the network's input must be possible ones too."""
        super().validate()
        sides("input_size", self.input_size)
        at_least("multiscale_range", self.multiscale_range, 0)
        largest = max(self.input_size) + 32 * self.multiscale_range
        if self.multiscale_range:
            sides("input_size and multiscale_range: the largest side", (largest,))

    @property
    def learning_rate(self) -> float:
        """At the end of the warm-up; rates are the public YOLOV implementation's from COCO."""
        per_image = self.basic_lr_per_img
        if per_image is None:
            per_image = (0.005 if self.variant in ("l", "x") else 0.02) / 64
        return per_image * self.batch_size

    @property
    def trains_base(self) -> bool:
        """Yes: nothing else is there."""
        return True

    @property
    def masks_required(self) -> bool:
        """No: boxes alone are learnt from."""
        return False


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
        live_norms: whether batch norms of the parts that train take the statistics of each step's
            video, as in the public YOLOV implementation, which starts them at random and trains for
            far longer. Else they keep those that they start with: the video object branch's are
            the base detector's, of many images. Weights with folded norms have lost theirs: with
            `live_norms` a warning says so.
        cache_base: gigabytes for what the frozen base detector makes of the images, each seen by
            it once; 0 for none. With one size and without colour jitter, as otherwise no image
            comes twice.
        refined_classes: names of the classes that TICAM learns to decide, () for all; None takes
            those that the training data have objects of. The others keep the base detector's
            scores.
        labels: whether all objects of the classes have a label in the training data. By that
            `model.join` is chosen where `model` does not name it: "replace" if they have, else
            "correction". "auto" takes what the data file says, and where it does not say looks
            whether the base detector's detections have one, see `label_coverage` beside the model.
            A training that is resumed, or goes on from FAIM weights, keeps its own.
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
    live_norms: bool = False
    cache_base: float = 0.0
    refined_classes: tuple[str, ...] | None = None
    labels: Labels = "auto"

    stage: ClassVar[str] = "faim.families.yolox.second_stage:SecondStage"
    architecture: ClassVar[Architecture] = "faim"
    sizes_field: ClassVar[str] = "sizes"
    free_on_resume: ClassVar[frozenset[str]] = Experiment.free_on_resume | {"cache_base", "labels"}

    def validate(self) -> None:
        """See `Experiment`; some part must be left to train too."""
        super().validate()
        sides("sizes", self.sizes)
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

    @property
    def learning_rate(self) -> float:
        """At the end of the warm-up; the rate is the public YOLOV implementation's.

        A correction starts at the base detector's scores, which a tenth of it does not forget.
        """
        config = self.config(("object",))
        per_image = self.basic_lr_per_img
        if per_image is None:
            per_image = (0.0002 if config.join == "correction" else 0.002) / 64
        return per_image * self.batch_size * config.train_frames

    @property
    def trains_base(self) -> bool:
        """Whether `model.train_parts` has it."""
        return "base" in self.config(("object",)).train_parts

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

    def settled_as(self, stored: Mapping[str, Any]) -> Self:
        """With a settled way to join the scores, where `model` does not name one."""
        kept = copy(self)
        kept.model = {name: stored[f"model.{name}"] for name in JOINING} | self.model
        try:
            kept.config(("object",))
        except FaimError:  # a damaged checkpoint: its settings will not do
            return self
        return kept

    @property
    def process_batch(self) -> int:
        """One video."""
        return 1

    @property
    def accumulate(self) -> int:
        """Videos of one process to a step."""
        return self.batch_size // (self.devices * self.num_nodes)


@dataclass(kw_only=True)
class YolovExperiment(FaimExperiment):
    """The second stage of YOLOV, the baseline: without masks, all else as FAIM's."""

    architecture: ClassVar[Architecture] = "yolov"


@dataclass(kw_only=True)
class YolovIfemExperiment(FaimExperiment):
    """The second stage of YOLOV with instance masks learnt beside it (FAIM, Table 2)."""

    architecture: ClassVar[Architecture] = "yolov_ifem"
