"""From a frame and its annotations to what the network reads; YOLOX's augmentation."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, Self

import cv2
import numpy as np
import torch
from torch import Tensor
from yolox.config import YoloxConfig
from yolox.data.data_augment import TrainTransform, augment_hsv
from yolox.data.datasets.mosaicdetection import MosaicDetection

from faim.data.records import FrameRecord, read_mask
from faim.errors import FaimError
from faim.structures import FrameTargets

#: Grey of the padding.
PAD_VALUE = 114


@dataclass(frozen=True)
class LetterboxGeometry:
    """How a frame lies in the network input: scaled by `scale`, at the top left.

    Attributes:
        scale: network-input pixels to a source pixel.
        source_size: height and width of the frame.
        input_size: height and width of the network input.
    """

    scale: float
    source_size: tuple[int, int]
    input_size: tuple[int, int]

    @classmethod
    def fit(cls, source_size: tuple[int, int], input_size: tuple[int, int]) -> Self:
        """The largest scale at which the frame fits."""
        scale = min(input_size[0] / source_size[0], input_size[1] / source_size[1])
        return cls(scale, source_size, input_size)

    @property
    def content_size(self) -> tuple[int, int]:
        """Height and width the frame takes in the network input; at least 1 pixel each."""
        height, width = self.source_size
        # int, not round: YOLOX's rule. The guard is for frames like 7681x3.
        return max(1, int(height * self.scale)), max(1, int(width * self.scale))

    def to_input(self, boxes: Tensor) -> Tensor:
        """Boxes (…, 4) x1 y1 x2 y2 from source pixels to network-input pixels."""
        return boxes * self.scale

    def to_source(self, boxes: Tensor) -> Tensor:
        """Boxes (…, 4) from network-input pixels to source pixels, clipped to the frame."""
        height, width = self.source_size
        limit = boxes.new_tensor([width, height, width, height])
        return torch.minimum((boxes / self.scale).clamp(min=0), limit)


def letterbox(image: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, LetterboxGeometry]:
    """Fit a frame into the network input exactly as YOLOX's `preproc` does.

    Args:
        image: (H, W, 3) uint8 BGR.
        size: height and width of the network input.

    Returns:
        (h, w, 3) uint8 with the frame at the top left and 114 elsewhere, and the geometry. A frame
        of exactly this size is returned itself, not a copy.

    Raises:
        FaimError: the image is not (H, W, 3) uint8 with at least one pixel.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise FaimError(
            f"a frame has shape {image.shape} and type {image.dtype}; expected height x width x 3 "
            "of uint8"
        )
    height, width = image.shape[:2]
    geometry = LetterboxGeometry.fit((height, width), (size[0], size[1]))
    if geometry.source_size == geometry.input_size:
        return image, geometry
    content_height, content_width = geometry.content_size
    padded = np.full((size[0], size[1], 3), PAD_VALUE, dtype=np.uint8)
    padded[:content_height, :content_width] = cv2.resize(
        image, (content_width, content_height), interpolation=cv2.INTER_LINEAR
    )
    return padded, geometry


def to_tensor(image: np.ndarray) -> Tensor:
    """(h, w, 3) uint8 BGR as (3, h, w) float32 in [0, 255]; YOLOX does not normalise."""
    return torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32, order="C"))


def to_batch(images: Sequence[np.ndarray]) -> Tensor:
    """B images (h, w, 3) uint8 BGR as (B, 3, h, w) uint8; one image is not copied."""
    stacked = images[0][None] if len(images) == 1 else np.stack(images)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)


def frame_targets(
    frame: FrameRecord, geometry: LetterboxGeometry, *, with_masks: bool, flip: bool = False
) -> FrameTargets:
    """A frame's annotations in the network input.

    Args:
        frame: the annotated frame.
        geometry: of its letterbox.
        with_masks: add the masks (g, h, w) at network-input resolution; False in the padding.
        flip: mirror left and right within the frame (which is to be mirrored before its letterbox).

    Raises:
        FaimError: masks are asked for and an annotation has none, or a damaged one.
    """
    objects = frame.annotations
    boxes = torch.tensor([a.box for a in objects], dtype=torch.float32).reshape(-1, 4)
    if flip:
        x1, y1, x2, y2 = boxes.unbind(1)
        boxes = torch.stack([frame.width - x2, y1, frame.width - x1, y2], dim=1)
    masks = None
    if with_masks:
        masks = torch.zeros((len(objects), *geometry.input_size), dtype=torch.bool)
        height, width = geometry.content_size
        for index, annotation in enumerate(objects):
            mask = read_mask(annotation, frame.height, frame.width).view(np.uint8)
            if flip:
                mask = mask[:, ::-1]
            # EXACT takes the pixel under the centre, as the image's linear filter does; plain
            # INTER_NEAREST shifts the mask by up to a pixel.
            mask = cv2.resize(
                np.ascontiguousarray(mask), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
            )
            masks[index, :height, :width] = torch.from_numpy(mask).bool()
    return FrameTargets(
        boxes=geometry.to_input(boxes),
        labels=torch.tensor([a.category_id for a in objects], dtype=torch.long),
        instance_ids=torch.tensor([a.instance_id for a in objects], dtype=torch.long),
        masks=masks,
    )


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


class LabelledImages(Protocol):
    """What the base-stage augmentation draws from."""

    def __len__(self) -> int:
        """Number of images."""

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 BGR, not to be written to."""

    def labels(self, index: int) -> np.ndarray:
        """(g, 5) float: x1, y1, x2, y2 in image pixels, and the class."""


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
