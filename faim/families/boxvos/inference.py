"""From a track's boxes to its masks: windows of frames shifted over the track (section 3.5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from faim.families.boxvos.crop import Box, Crop, to_tensor
from faim.families.boxvos.network import BoxVos, FrameEncoding
from faim.pictures.image import Image, Mask

#: Gives the image (H, W, 3) uint8 BGR of a position in the track.
ReadImage = Callable[[int], Image]


@dataclass(frozen=True)
class Window:
    """Frames that the network sees together.

    Attributes:
        frames: positions in the track, rising.
        new: those whose masks come from this window.
    """

    frames: tuple[int, ...]
    new: tuple[int, ...]


@dataclass(frozen=True)
class TrackOptions:
    """How a track is run.

    Attributes:
        frames: T, frames to a window.
        interval: Δ, frames of the track from one of a window to the next.
        crop: side of the crop over that of the box.
        iterations: steps of the descent.
        batch: frames that are encoded at once.
    """

    frames: int
    interval: int
    crop: float
    iterations: int
    batch: int = 4


def plan_windows(length: int, frames: int, interval: int) -> list[Window]:
    """The windows of a track.

    A window is T frames at distance Δ, and the sub-sequence is shifted a frame at a time, so that
    the mask of every frame comes from exactly one window. One that would run out of the track takes
    earlier frames at the same distance, whose masks are known already. In a track too short for
    that, Δ shrinks until T different frames fit; in one shorter than T, a window is all of it.

    Args:
        length: frames of the track.
        frames: T.
        interval: Δ.

    Returns:
        The windows, those of frames at a multiple of Δ from each other together.
    """
    frames = min(frames, length)
    if not frames:
        return []
    interval = min(interval, length // frames)
    windows = []
    for offset in range(interval):
        chain = range(offset, length, interval)
        for first in range(0, len(chain), frames):
            start = min(first, len(chain) - frames)
            seen, new = chain[start : start + frames], chain[first : first + frames]
            windows.append(Window(tuple(seen), tuple(new)))
    return windows


@torch.inference_mode()
def segment_track(
    model: BoxVos,
    read: ReadImage,
    boxes: Sequence[Box],
    options: TrackOptions,
    windows: Sequence[Window] | None = None,
) -> Iterator[tuple[int, Mask]]:
    """The masks of one object.

    Each frame is encoded once, and its encoding dropped when no later window needs it: at most 2T
    are held at a time.

    Args:
        model: in evaluation mode.
        read: the track's images.
        boxes: x1, y1, x2, y2 in pixels of the image, one a frame of the track.
        options: see `TrackOptions`.
        windows: None takes `plan_windows`.

    Yields:
        Position in the track and mask (H, W) of the whole image, in the windows' order.
    """
    if windows is None:
        windows = plan_windows(len(boxes), options.frames, options.interval)
    uses = Counter(position for window in windows for position in window.frames)
    encoder = _Encoder(model, read, boxes, options)
    known: dict[int, tuple[FrameEncoding, Crop]] = {}
    for window in windows:
        missing = [position for position in window.frames if position not in known]
        known.update(encoder.encode(missing))
        sequence = FrameEncoding.stack([known[position][0] for position in window.frames])
        sequence = sequence.map(lambda value: value.unsqueeze(0))
        logits = model.decode(sequence, options.iterations)[-1][0].cpu()
        for position, frame_logits in zip(window.frames, logits, strict=True):
            if position in window.new:
                yield position, known[position][1].full_mask(frame_logits.numpy())
            uses[position] -= 1
            if not uses[position]:
                del known[position]


class _Encoder:
    """Frames of a track, cropped and encoded."""

    def __init__(
        self, model: BoxVos, read: ReadImage, boxes: Sequence[Box], options: TrackOptions
    ) -> None:
        self.model = model
        self.read = read
        self.boxes = boxes
        self.options = options
        self.device = next(model.parameters()).device

    def encode(self, positions: Sequence[int]) -> Iterator[tuple[int, tuple[FrameEncoding, Crop]]]:
        """Each frame's encoding, (1, …), and its crop."""
        batch = self.options.batch
        for first in range(0, len(positions), batch):
            chosen = positions[first : first + batch]
            images, boxes, crops = zip(*(self._crop(position) for position in chosen), strict=True)
            encoding = self.model.encode(
                torch.stack(images).to(self.device), torch.tensor(boxes, device=self.device)
            )
            for index, position in enumerate(chosen):
                yield position, (_one_of(encoding, index), crops[index])

    def _crop(self, position: int) -> tuple[Tensor, Box, Crop]:
        image, box = self.read(position), self.boxes[position]
        crop = Crop.around(box, image.shape[:2], self.model.config.size, self.options.crop)
        return to_tensor(crop.image(image)), crop.box(box), crop


def _one_of(encoding: FrameEncoding, index: int) -> FrameEncoding:
    """(1, …); a copy, because a view would hold the whole batch."""
    return encoding.map(lambda value: value[index : index + 1].clone())
