"""What a mask generator is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from faim.pictures.image import Image, Mask

Boxes = npt.NDArray[np.float64]
TrackIds = npt.NDArray[np.int64]


class Frames(Protocol):
    """The frames of one video, decoded when they are asked for.

    Attributes:
        image_ids: of the annotation file, one a frame.
        sizes: height and width in pixels, one a frame.
    """

    image_ids: Sequence[int]
    sizes: Sequence[tuple[int, int]]

    def __len__(self) -> int:
        """Number of frames."""

    def __getitem__(self, index: int, /) -> Image:
        """A frame, (H, W, 3) uint8 BGR; not to be written to."""


@dataclass(frozen=True)
class ArrayFrames:
    """Frames in memory, all of them (H, W, 3) uint8 BGR; `image_ids` count from 0."""

    images: Sequence[Image]

    @property
    def image_ids(self) -> Sequence[int]:
        """See `Frames`."""
        return range(len(self.images))

    @property
    def sizes(self) -> Sequence[tuple[int, int]]:
        """See `Frames`."""
        return [(image.shape[0], image.shape[1]) for image in self.images]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.images)

    def __getitem__(self, index: int, /) -> Image:
        """See `Frames`."""
        return self.images[index]


@dataclass(frozen=True)
class ObjectMask:
    """The mask of one box.

    Attributes:
        frame: index of the frame.
        index: which of the frame's boxes.
        mask: (H, W) of the whole frame; None or without a pixel where the method found nothing.
    """

    frame: int
    index: int
    mask: Mask | None


class MaskMethod(Protocol):
    """A way to make masks from boxes: a dataclass of plain values, which can be pickled.

    Whatever is heavy, a network say, is loaded at the first `generate`.

    Attributes:
        name: as on the command line.
        version: raised when the same input gives other masks.
        needs_frames: whether it looks at pixels at all.
        exact: whether its masks are right as they are: no hole in them is filled, and only one
            without a pixel has failed.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs_frames: ClassVar[bool]
    exact: ClassVar[bool]

    @property
    def parallel(self) -> bool:
        """Whether several processes may run it at once.

        Not where it runs a network, or where each process would read a large file.
        """

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that decides the result, as JSON values: for the file's provenance."""

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """One mask for each box of a video, in any order.

        Args:
            frames: n frames; all can be decoded.
            boxes: n arrays (k, 4), x1 y1 x2 y2 in pixels, inside the image and with an area.
            track_ids: n arrays (k,); the same number for the same object in other frames, -1
                unknown.

        Raises:
            FaimError: the method cannot work: no checkpoint, a library that is not installed.
        """
