"""The second stage's experiments: the video modules on a trained base detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from loguru import logger

from faim.data.coco_vid import CocoVid
from faim.data.datasets import MULTI_SCALE_SIZES, VideoDataset
from faim.data.video_frames import every_nth_frame, seen_classes
from faim.errors import FaimError
from faim.families.yolox.augmentation import jitter_hsv
from faim.families.yolox.config import JOINING, PARTS, Architecture, FaimConfig
from faim.families.yolox.label_coverage import Labels
from faim.nn.join import Join
from faim.structures import VideoSample
from faim.training.common import at_least, share, sides
from faim.training.detector_experiment import Experiment

if TYPE_CHECKING:
    from faim.families.yolox.ticam_detector import VideoModel
    from faim.training.steps import TrainingModule


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

    def make_module(self, model: Any, steps_per_epoch: int) -> TrainingModule:
        """As in `Experiment`; with `cache_base`, on a base detector that sees an image once."""
        if self.cache_base:
            from faim.families.yolox.base_cache import cache_base

            cache_base(model, self.cache_base)
        return super().make_module(model, steps_per_epoch)

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

    def config_for(self, data: CocoVid) -> FaimConfig:
        """As in `Experiment`; with the classes that TICAM is to decide."""
        refined = self.refined_classes
        if refined is None:
            refined = seen_classes(every_nth_frame(data, self.frame_stride))
        return replace(self.config(data.classes), refined_classes=refined)

    def starting_model(self, data: CocoVid) -> VideoModel:
        """As in `Experiment`; says what TICAM does not decide alone, and of folded norms."""
        from faim.nn.unfolding import IMAGES, has_folded_norms

        model = super().starting_model(data)
        if self.live_norms and has_folded_norms(model):
            logger.warning(
                f"live_norms=True: {self.ckpt} has folded batch norms; they are put back with "
                f"statistics of {IMAGES} training images, but those of each step's video change "
                "what the layers copied from it give; live_norms=False keeps it"
            )
        if refined := model.config.refined_classes:
            logger.info(
                f"{len(refined)} of {len(data.classes)} classes are refined "
                f"({', '.join(refined)}); the others keep the base detector's scores"
            )
        if text := Join.of(model.config).describe():
            logger.info(text)
        return model

    def settled(self, model: VideoModel) -> dict[str, Any]:
        """The classes to refine, and how TICAM's scores join the base detector's.

        A checkpoint that is gone on with decides on both.
        """
        settled = ("refined_classes", *JOINING)
        return {f"model.{name}": getattr(model.config, name) for name in settled}

    def settled_as(self, stored: dict[str, Any]) -> Self:
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
            jitter=jitter_hsv,
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


def _one_video(items: Sequence[VideoSample]) -> tuple[Any, Any]:
    # A plain pair: Lightning and the pinning of memory look into tuples, not into dataclasses.
    (sample,) = items
    return sample.images, sample.targets
