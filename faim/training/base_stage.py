"""The first stage's experiments: YOLOX on single frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from faim.data.coco_vid import CocoVid
from faim.data.datasets import FrameDataset, collate_frames
from faim.data.video_frames import every_nth_frame
from faim.errors import FaimError
from faim.families.yolox.augmentation import BaseStageAugment
from faim.families.yolox.config import Architecture
from faim.training.common import at_least, sides
from faim.training.detector_experiment import Experiment


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
        if isinstance(dataset.augment, BaseStageAugment):
            dataset.augment.enabled = self.strong_augmentation(epoch)
