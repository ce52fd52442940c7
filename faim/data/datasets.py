"""Torch datasets of the two stages: frames for the base detector, videos for FAIM.

Everything random in an item derives from (seed, epoch, index), so that an interrupted run repeats
it, whichever worker computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from faim.checks import is_side
from faim.data import sampling
from faim.data.coco_vid import CocoVid
from faim.data.images import KeptImages
from faim.data.records import FrameRecord
from faim.data.transforms import frame_targets, letterbox, to_tensor
from faim.errors import FaimError
from faim.structures import FrameTargets, VideoSample

#: Sides of the square inputs that the second stage draws from.
MULTI_SCALE_SIZES: tuple[int, ...] = tuple(range(352, 673, 32))
#: A side of a square, or height and width.
Size = int | tuple[int, int]
#: From an image (H, W, 3) uint8 BGR and a seed, a copy with other colours.
Jitter = Callable[[np.ndarray, int], np.ndarray]


class LabelledImages(Protocol):
    """What an augmentation draws from."""

    def __len__(self) -> int:
        """Number of images."""

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8 BGR, not to be written to."""

    def labels(self, index: int) -> np.ndarray:
        """(g, 5) float: x1, y1, x2, y2 in image pixels, and the class."""


class FrameAugment(Protocol):
    """Makes a training image of one, or of several, of a dataset."""

    def __call__(
        self, source: LabelledImages, index: int, size: tuple[int, int], seed: int
    ) -> tuple[Tensor, FrameTargets]:
        """One augmented training image.

        Args:
            source: where this image and its partners come from.
            index: the image.
            size: height and width of the network input.
            seed: decides everything that is random; 32 bits.

        Returns:
            (3, h, w) float32 BGR in [0, 255], and its targets.
        """
        ...


class FrameDataset(Dataset[tuple[Tensor, FrameTargets]]):
    """Single frames for the base stage, in the dataset's order.

    Items are (3, h, w) float32 images, BGR in [0, 255], and their `FrameTargets` without masks.
    """

    def __init__(
        self,
        data: CocoVid,
        size: Size,
        augment: FrameAugment | None = None,
        *,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        """Serve the frames of `data`.

        Args:
            data: the annotated frames.
            size: the network input's side, or height and width.
            augment: None letterboxes only.
            seed: of the augmentation.
            cache: decode every image now and keep it in memory (height x width x 3 bytes each).

        Raises:
            FaimError: a size that is no multiple of 32; with `cache`, an unreadable image.
        """
        self.frames = data.frames
        self.size = _height_width(size)
        self.augment = augment
        self.seed = seed
        self._images = KeptImages(self.frames, cache)
        self._epoch = _shared_zero()

    def set_epoch(self, epoch: int) -> None:
        """Draw the augmentation of another epoch; seen by running workers too."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def image(self, index: int) -> np.ndarray:
        """The decoded frame, (H, W, 3) uint8 BGR; not to be written to."""
        return self._images.read(self.frames[index])

    def labels(self, index: int) -> np.ndarray:
        """(g, 5) float: x1, y1, x2, y2 in image pixels, and the class."""
        rows = [(*a.box, a.category_id) for a in self.frames[index].annotations]
        return np.array(rows, dtype=np.float64).reshape(-1, 5)

    def __getitem__(self, index: int) -> tuple[Tensor, FrameTargets]:
        """The frame at `index`."""
        if self.augment is not None:
            item_seed = sampling.derive_seed(self.seed, int(self._epoch), index)
            return self.augment(self, index, self.size, item_seed)
        image, geometry = letterbox(self.image(index), self.size)
        return to_tensor(image), frame_targets(self.frames[index], geometry, with_masks=False)


class VideoDataset(Dataset[VideoSample]):
    """One `VideoSample` of m frames from each video, for the second stage."""

    def __init__(
        self,
        data: CocoVid,
        m: int,
        sizes: Sequence[Size] = MULTI_SCALE_SIZES,
        *,
        sampling: Literal["global", "local"] = "global",
        with_masks: bool = True,
        seed: int = 0,
        flip: bool = True,
        hsv_prob: float = 0.0,
        stride: int = 1,
        cache: bool = False,
        jitter: Jitter | None = None,
    ) -> None:
        """Serve the videos of `data`.

        Args:
            data: the annotated videos.
            m: frames a sample.
            sizes: network inputs to draw one from for each sample.
            sampling: over the whole video, or around a random frame.
            with_masks: put the masks into the targets.
            seed: of the frames, the size, the flip and the jitter.
            flip: mirror a sample as a whole with a chance of one half.
            hsv_prob: chance of `jitter`, the same on all frames of the sample.
            stride: distance of frames in local sampling.
            cache: as in `FrameDataset`.
            jitter: changes the colours of a frame; None leaves them.

        Raises:
            FaimError: m or stride below 1, no sizes or one that is no multiple of 32, an unknown
                sampling; with `cache`, an unreadable image.
        """
        if sampling not in ("global", "local"):
            raise FaimError(f"sampling is {sampling!r}; expected global or local")
        if m < 1 or stride < 1:
            raise FaimError(f"m is {m} and stride {stride}; expected at least 1")
        if not sizes:
            raise FaimError("sizes is empty; expected at least one network input size")
        self.videos = data.videos
        self.m = m
        self.sizes = [_height_width(size) for size in sizes]
        self.sampling = sampling
        self.with_masks = with_masks
        self.seed = seed
        self.flip = flip
        self.hsv_prob, self.jitter = hsv_prob, jitter
        self.stride = stride
        self._images = KeptImages(data.frames, cache)
        self._epoch = _shared_zero()

    def set_epoch(self, epoch: int) -> None:
        """Draw the samples of another epoch; seen by running workers too."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.videos)

    def __getitem__(self, index: int) -> VideoSample:
        """m frames of the video at `index`, all of one size."""
        frames = self.videos[index].frames
        item_seed = sampling.derive_seed(self.seed, int(self._epoch), index)
        generator = torch.Generator().manual_seed(item_seed)
        # Always all three draws, so that switching one option leaves the others' results.
        size = self.sizes[int(torch.randint(len(self.sizes), (1,), generator=generator))]
        flip_draw, jitter_draw = torch.rand(2, generator=generator).tolist()
        flip = self.flip and flip_draw < 0.5
        jitter_seed = item_seed if jitter_draw < self.hsv_prob else None
        if self.sampling == "global":
            chosen = sampling.global_train(len(frames), self.m, generator)
        else:
            chosen = sampling.local_train(len(frames), self.m, generator, stride=self.stride)
        # A short video repeats frames: read each once.
        loaded = {i: self._load(frames[i], size, flip, jitter_seed) for i in sorted(set(chosen))}
        return VideoSample(
            images=torch.stack([loaded[i][0] for i in chosen]),
            targets=[loaded[i][1] for i in chosen],
        )

    def _load(
        self, frame: FrameRecord, size: tuple[int, int], flip: bool, jitter_seed: int | None
    ) -> tuple[Tensor, FrameTargets]:
        image = self._images.read(frame)
        if jitter_seed is not None and self.jitter is not None:
            image = self.jitter(image, jitter_seed)
        if flip:
            image = cv2.flip(image, 1)
        image, geometry = letterbox(image, size)
        targets = frame_targets(frame, geometry, with_masks=self.with_masks, flip=flip)
        return to_tensor(image), targets


def collate_frames(
    items: Sequence[tuple[Tensor, FrameTargets]],
) -> tuple[Tensor, list[FrameTargets]]:
    """A batch of frames of one size: images (B, 3, h, w), and B targets."""
    return torch.stack([image for image, _ in items]), [targets for _, targets in items]


def _shared_zero() -> Tensor:
    """A counter that workers started before a change see as well."""
    return torch.zeros((), dtype=torch.long).share_memory_()


def _height_width(size: Size) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if not (is_side(height, None) and is_side(width, None)):
        raise FaimError(f"size is {size}; expected multiples of 32 pixels")
    return height, width
