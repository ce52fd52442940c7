"""From a frame and its annotations to what the network reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor

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
