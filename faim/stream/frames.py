"""A frame, and the protocol of what gives frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from faim.pictures.image import Image

#: What a decoder or device hands out: its own time stamp in seconds, if it has one, and a picture.
Reading: TypeAlias = tuple[float | None, Image]


@dataclass(frozen=True)
class Look:
    """How a video says that its pixels are to be shown; colours by the numbers of ITU-T H.273.

    Attributes:
        pixel_aspect: width of a pixel over its height.
        color_range: 0 unknown, 1 limited, 2 full.
        primaries, transfer, matrix: 2 is unknown.
    """

    pixel_aspect: Fraction = Fraction(1)
    color_range: int = 0
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2


@dataclass(frozen=True)
class Frame:
    """One picture of a source.

    Attributes:
        index: place in the source, from 0; a file that cannot be read leaves a gap.
        time: seconds since the first place.
        image: (h, w, 3) uint8, BGR. Sizes may differ within a source.
        look: how the source has it shown.
        file: name of its image file, from the folder that all of the source's share; None where a
            frame has no file of its own, as in a video.
    """

    index: int
    time: float
    image: Image
    look: Look = Look()
    file: str | None = None

    @property
    def has_pixels(self) -> bool:
        """Whether `image` is the picture, and not what `without_pixels` leaves of it."""
        return any(self.image.strides)

    def without_pixels(self) -> Frame:
        """The same frame holding no memory: `image` keeps its shape, every pixel reads 0."""
        blank = np.broadcast_to(np.zeros((), np.uint8), self.image.shape)
        return replace(self, image=blank)


@runtime_checkable
class FrameSource(Protocol):
    """An iterable of `Frame` and a context manager.

    Attributes:
        name: what a person calls it: the path, URL or camera.
        fps: nominal frames a second, above 0.
        frame_count: frames to expect, for a progress bar only (headers lie); None if unknown.
        live: True where it can be read once only; otherwise every iteration starts anew.
        realtime: True where frames come at their own pace and a late reader loses them (a camera,
            an endless stream); implies `live`. Elsewhere every frame counts.
    """

    name: str
    fps: float
    frame_count: int | None
    live: bool
    realtime: bool

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order."""
        ...

    def close(self) -> None:
        """Free devices and files; a second call does nothing. Another thread may be reading."""
        ...

    def __enter__(self) -> Self:
        """The source itself."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Close."""
        ...


class SourceBase:
    """Context management for sources that own nothing between iterations."""

    live = False
    realtime = False

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        """The source itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()


def to_bgr(array: NDArray[Any]) -> Image:
    """A uint8 grey (h, w) or (h, w, 1), BGRA or BGR array as BGR; alpha is dropped."""
    if array.ndim == 2 or array.shape[2] == 1:
        return cv2.cvtColor(array, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(array, cv2.COLOR_BGRA2BGR) if array.shape[2] == 4 else array
