"""The clips that the network learns from (section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from faim.data.images import KeptImages
from faim.data.mask_encoding import tight_box
from faim.data.records import read_mask
from faim.data.sampling import derive_seed
from faim.errors import FaimError
from faim.families.boxvos.augment import ClipAugment, ClipDraw
from faim.families.boxvos.crop import Box, Crop, to_tensor
from faim.families.boxvos.tracks import Track
from faim.pictures.image import Image, Mask

#: Images (T, 3, h, w) in [0, 1] RGB, boxes (T, 4) in their pixels, and masks (T, h, w) bool.
Clip = tuple[Tensor, Tensor, Tensor]


class ClipDataset(Dataset[Clip]):
    """Clips of T frames of one object each, from one data set or several.

    An epoch takes from each data set its share of the clips, whatever its size; within it, objects
    are taken in random order, each once before any is taken again.
    """

    def __init__(
        self,
        tracks: Sequence[Sequence[Track]],
        weights: Sequence[float],
        length: int,
        augment: ClipAugment,
        size: tuple[int, int],
        *,
        frames: int = 3,
        window: int = 100,
        seed: int = 0,
        cache: bool = False,
    ) -> None:
        """Draw clips.

        Args:
            tracks: the objects of each data set; see `tracks_of`.
            weights: how often each data set is drawn from, relative to the others.
            length: clips an epoch.
            augment: what is drawn for a clip besides its frames.
            size: height and width of the network's input.
            frames: T.
            window: frames of the video, from the first of a clip to its last at most.
            seed: of everything random.
            cache: keep the decoded images in memory (height x width x 3 bytes each).

        Raises:
            FaimError: a data set without a track.
        """
        if not tracks or not all(tracks):
            raise FaimError("training data: no object with a mask; expected at least one")
        self.tracks = tracks
        self.weights = weights
        self.length = length
        self.augment = augment
        self.size = size
        self.frames = frames
        self.window = window
        self.seed = seed
        self._images = KeptImages(
            (f for each in tracks for track in each for f in track.frames), cache
        )
        # Shared, so that workers started before a change see it too.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()
        self._plan: tuple[int, list[Track]] | None = None

    def set_epoch(self, epoch: int) -> None:
        """Draw the clips of another epoch; seen by running workers too."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Clips an epoch."""
        return self.length

    def __getitem__(self, index: int) -> Clip:
        """The clip at `index`; derives from (seed, epoch, index) alone."""
        epoch = int(self._epoch)
        if self._plan is None or self._plan[0] != epoch:
            self._plan = epoch, self._objects(epoch)
        track = self._plan[1][index]
        rng = np.random.default_rng(derive_seed(self.seed, epoch, index))
        chosen = choose_frames([f.frame_id for f in track.frames], self.frames, self.window, rng)
        draw = self.augment.draw(rng)
        # Where there are fewer than T, some are seen twice.
        clip = [self._frame(track, i, draw) for i in (chosen * self.frames)[: self.frames]]
        images, boxes, masks = (torch.stack(part) for part in zip(*clip, strict=True))
        return images, boxes, masks

    def _objects(self, epoch: int) -> list[Track]:
        """The object of each clip of an epoch."""
        rng = np.random.default_rng(derive_seed(self.seed, epoch))
        counts = apportion(self.length, self.weights)
        chosen: list[Track] = []
        for tracks, count in zip(self.tracks, counts, strict=True):
            rounds = -(-count // len(tracks))
            order = [i for _ in range(rounds) for i in rng.permutation(len(tracks))]
            chosen += [tracks[i] for i in order[:count]]
        return chosen

    def _frame(self, track: Track, index: int, draw: ClipDraw) -> tuple[Tensor, Tensor, Tensor]:
        frame = track.frames[index]
        mask = read_mask(track.annotations[index], frame.height, frame.width)
        image, box = self._images.read(frame), draw.move(tight_box(mask), mask.shape)
        crop = Crop.around(box, (frame.height, frame.width), self.size, draw.factor)
        seen, truth, inside = draw.colour(crop.image(image)), crop.mask(mask), crop.box(box)
        if draw.flip:
            seen, truth, inside = _mirrored(seen, truth, inside)
        return to_tensor(seen), torch.tensor(inside), torch.from_numpy(truth)


def choose_frames(
    frame_ids: Sequence[int], count: int, window: int, rng: np.random.Generator
) -> list[int]:
    """Indices of `count` different frames within a stretch of the video, or all if fewer; sorted.

    A stretch of `window` frames around a random frame of the track is placed at random; then
    frames are drawn from it, that one included.

    Args:
        frame_ids: of the track's frames in the video, rising.
        count: frames to choose.
        window: length of the stretch, in frames of the video.
        rng: source of everything random.
    """
    ids = np.asarray(frame_ids)
    anchor = int(rng.integers(len(ids)))
    first = int(ids[anchor]) - int(rng.integers(window))
    # Within the track: at its ends there would be fewer frames to choose from.
    first = max(min(first, int(ids[-1]) - window + 1), int(ids[0]))
    inside = np.flatnonzero((ids >= first) & (ids < first + window))
    others = inside[inside != anchor]
    drawn = rng.permutation(others)[: count - 1].tolist()
    return sorted([anchor, *drawn])


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` split in proportion to the weights, into whole numbers of that sum."""
    ends = np.cumsum(np.asarray(weights, np.float64) / sum(weights)) * total
    return np.diff(np.rint(ends).astype(int), prepend=0).tolist()


def _mirrored(image: Image, mask: Mask, box: Box) -> tuple[Image, npt.NDArray[np.bool_], Box]:
    width = image.shape[1]
    flipped = (width - box[2], box[1], width - box[0], box[3])
    return image[:, ::-1], np.ascontiguousarray(mask[:, ::-1]), flipped
