"""The second stage of a detector's training: the video modules on a trained base detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from loguru import logger
from torch import Tensor

from faim.data.coco_vid import CocoVid
from faim.data.datasets import VideoDataset
from faim.data.video_frames import every_nth_frame, seen_classes
from faim.experiments.stage import Moment
from faim.families.yolox.augmentation import jitter_hsv
from faim.families.yolox.base_cache import LastCache, cache_base
from faim.families.yolox.config import JOINING, FaimConfig
from faim.families.yolox.experiments import FaimExperiment
from faim.families.yolox.join import Join
from faim.families.yolox.stage import DetectorStage
from faim.families.yolox.starting_weights import starting_model
from faim.families.yolox.ticam_detector import TicamDetector
from faim.nn.norms import keep_statistics
from faim.nn.unfolding import IMAGES, has_folded_norms
from faim.structures import FrameTargets, VideoSample


class SecondStage(DetectorStage[FaimExperiment, TicamDetector]):
    """FAIM or YOLOV on m frames of a video; validation looks at those of a video together.

    Attributes:
        caches: what the frozen base detector made of images, with `cache_base`.
    """

    validated_in: ClassVar[Literal["frame", "global"]] = "global"

    def __init__(self, experiment: FaimExperiment, caches: LastCache | None = None) -> None:
        """With the `caches` of another training on the same base detector, if there is one."""
        super().__init__(experiment)
        self.caches = caches or LastCache()

    def config_for(self, data: CocoVid) -> FaimConfig:
        """As in `DetectorStage`; with the classes that TICAM is to decide."""
        refined = self.experiment.refined_classes
        if refined is None:
            refined = seen_classes(every_nth_frame(data, self.experiment.frame_stride))
        return replace(self.experiment.config(data.classes), refined_classes=refined)

    def dataset(self, data: CocoVid) -> VideoDataset:
        """Samples of m frames; a video appears as often as its frames fill samples."""
        experiment = self.experiment
        frames = experiment.config(("object",)).train_frames
        dataset = VideoDataset(
            every_nth_frame(data, experiment.frame_stride),
            frames,
            experiment.sizes,
            sampling=experiment.sampling,
            with_masks=experiment.masks_required,
            seed=experiment.seed,
            flip=experiment.flip,
            hsv_prob=experiment.hsv_prob,
            stride=experiment.sampling_stride,
            cache=experiment.cache,
            jitter=jitter_hsv,
        )
        dataset.videos = [v for v in dataset.videos for _ in range(-(-len(v.frames) // frames))]
        return dataset

    @staticmethod
    def collate(items: Sequence[VideoSample]) -> tuple[Tensor, list[FrameTargets]]:
        """One video's images and targets."""
        # A plain pair: Lightning and the pinning of memory look into tuples, not into dataclasses.
        (sample,) = items
        return sample.images, sample.targets

    def start_epoch(self, dataset: VideoDataset, epoch: int) -> None:
        """Set the epoch."""
        dataset.set_epoch(epoch)

    def starting_model(self, data: CocoVid) -> TicamDetector:
        """See `starting_weights`; says what TICAM does not decide alone, and of folded norms."""
        experiment = self.experiment
        refined = self.config_for(data).refined_classes
        model = starting_model(experiment, data.classes, refined, data)
        assert isinstance(model, TicamDetector)
        if experiment.live_norms and has_folded_norms(model):
            logger.warning(
                f"live_norms=True: {experiment.ckpt} has folded batch norms; they are put back "
                f"with statistics of {IMAGES} training images, but those of each step's video "
                "change what the layers copied from it give; live_norms=False keeps it"
            )
        if refined := model.config.refined_classes:
            logger.info(
                f"{len(refined)} of {len(data.classes)} classes are refined "
                f"({', '.join(refined)}); the others keep the base detector's scores"
            )
        if text := Join.of(model.config).describe():
            logger.info(text)
        return model

    def settled(self, model: TicamDetector) -> dict[str, Any]:
        """The classes to refine, and how TICAM's scores join the base detector's.

        A checkpoint that is gone on with decides on both.
        """
        settled = ("refined_classes", *JOINING)
        return {f"model.{name}": getattr(model.config, name) for name in settled}

    def prepare(self, model: TicamDetector) -> None:
        """With `cache_base`, on a base detector that sees an image once."""
        if self.experiment.cache_base:
            cache_base(model, self.experiment.cache_base, self.caches)

    def hold(self, model: TicamDetector) -> None:
        """The statistics of batch norms, unless they are `live_norms`."""
        if not self.experiment.live_norms:
            keep_statistics(model)

    def losses(
        self, model: TicamDetector, batch: tuple[Any, ...], moment: Moment
    ) -> dict[str, Tensor]:
        """See `TicamDetector.training_losses`."""
        images, targets = batch
        losses = model.training_losses(VideoSample(images, targets))
        names = ["total", "detection", "refined"]
        if model.config.learns_masks:
            names += ["mask", "mask_reach"]
        if model.config.retention_weight:
            names.append("retention")
        if model.config.identity_weight:
            names += ["identity", "same_object"]
        return {name: losses[name] for name in names}
