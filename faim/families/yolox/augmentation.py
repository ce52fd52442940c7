"""YOLOX's augmentation, by its package's own functions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from torch import Tensor
from yolox.config import YoloxConfig
from yolox.data.data_augment import TrainTransform, augment_hsv
from yolox.data.datasets.mosaicdetection import MosaicDetection

from faim.data.datasets import LabelledImages
from faim.data.transforms import LetterboxGeometry, letterbox
from faim.errors import FaimError
from faim.structures import FrameTargets


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed `random` and `np.random` inside, restore them after: YOLOX draws from these two."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)


def jitter_hsv(image: np.ndarray, seed: int) -> np.ndarray:
    """A copy with YOLOX's random change of hue, saturation and value."""
    changed = image.copy()
    with seeded(seed):
        augment_hsv(changed)
    return changed


@dataclass
class BaseStageAugment:
    """YOLOX's strong augmentation, by the `yolox` package's own functions.

    Mosaic of four images, random affine, mixup, HSV jitter and flip. Switched off by `enabled`,
    as in the last two epochs, HSV jitter and flip stay. An object copied to worker processes shares
    `enabled` with them.

    Attributes:
        mosaic_prob: chance of a mosaic (and with it affine and mixup).
        mixup_prob: chance of mixup on a mosaic; 0 for nano and tiny.
        mosaic_scale: range of the affine's scale.
        mixup_scale: range of the second image's scale.
        degrees: largest rotation.
        translate: largest shift, relative to the input's side.
        shear: largest shear in degrees.
        hsv_prob: chance of the HSV jitter.
        flip_prob: chance of a horizontal flip.
        max_labels: objects kept in one result.
    """

    mosaic_prob: float = 1.0
    mixup_prob: float = 0.0
    mosaic_scale: tuple[float, float] = (0.5, 1.5)
    mixup_scale: tuple[float, float] = (0.5, 1.5)
    degrees: float = 10.0
    translate: float = 0.1
    shear: float = 2.0
    hsv_prob: float = 1.0
    flip_prob: float = 0.5
    max_labels: int = 120
    _enabled: Tensor = field(
        default_factory=lambda: torch.ones((), dtype=torch.bool).share_memory_(),
        repr=False,
        compare=False,
    )

    @classmethod
    def for_variant(cls, variant: str) -> Self:
        """The published settings of a YOLOX size (nano, tiny, s, m, l, x)."""
        config = YoloxConfig.get_named_config(f"yolox-{variant}")
        if config is None:
            raise FaimError(f"variant is {variant!r}; expected one of nano, tiny, s, m, l, x")
        return cls(
            mosaic_prob=config.mosaic_prob,
            mixup_prob=config.mixup_prob if config.enable_mixup else 0.0,
            mosaic_scale=config.mosaic_scale,
            mixup_scale=config.mixup_scale,
            degrees=config.degrees,
            translate=config.translate,
            shear=config.shear,
            hsv_prob=config.hsv_prob,
            flip_prob=config.flip_prob,
        )

    @property
    def enabled(self) -> bool:
        """Whether mosaic, affine and mixup are on."""
        return bool(self._enabled)

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled.fill_(value)

    def __call__(
        self, source: LabelledImages, index: int, size: tuple[int, int], seed: int
    ) -> tuple[Tensor, FrameTargets]:
        """One augmented training image.

        Args:
            source: where this image and its mosaic and mixup partners come from.
            index: the image.
            size: height and width of the network input.
            seed: decides everything that is random; 32 bits.

        Returns:
            (3, h, w) float32 BGR in [0, 255], and its targets without masks, instance ids -1.
            Objects of at most 1 pixel a side are dropped.
        """
        mosaic = MosaicDetection(
            _YoloxView(source, size),
            size,
            mosaic=self.enabled,
            preproc=TrainTransform(self.max_labels, self.flip_prob, self.hsv_prob),
            degrees=self.degrees,
            translate=self.translate,
            mosaic_scale=self.mosaic_scale,
            mixup_scale=self.mixup_scale,
            shear=self.shear,
            enable_mixup=self.mixup_prob > 0,
            mosaic_prob=self.mosaic_prob,
            mixup_prob=self.mixup_prob,
        )
        with seeded(seed):
            image, labels, _, _ = mosaic[index]
        # Rows are class, centre, size; TrainTransform pads with zeros.
        rows = torch.from_numpy(labels)
        rows = rows[rows[:, 3:].amin(dim=1) > 1]
        centre, half = rows[:, 1:3], rows[:, 3:] / 2
        targets = FrameTargets(
            boxes=torch.cat([centre - half, centre + half], dim=1),
            labels=rows[:, 0].long(),
            instance_ids=torch.full((len(rows),), -1, dtype=torch.long),
        )
        return torch.from_numpy(image), targets


class _YoloxView:
    """`LabelledImages` with the methods that YOLOX's mosaic calls."""

    def __init__(self, source: LabelledImages, size: tuple[int, int]) -> None:
        self.source = source
        self.input_dim = size

    def __len__(self) -> int:
        return len(self.source)

    def load_anno(self, index: int) -> np.ndarray:
        return self.source.labels(index)

    def pull_item(self, index: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int], int]:
        image, labels = self.source.image(index), self.source.labels(index)
        geometry = LetterboxGeometry.fit((image.shape[0], image.shape[1]), self.input_dim)
        if min(geometry.source_size) * geometry.scale < 1:
            # YOLOX would resize to nothing; our letterbox keeps one pixel.
            image, _ = letterbox(image, self.input_dim)
            labels[:, :4] *= geometry.scale
        # YOLOX writes to the image it is given.
        return image.copy(), labels, geometry.source_size, index
