"""The dimensions of a graph's inputs that may change, and how far."""

from __future__ import annotations

from dataclasses import dataclass

#: Images at once for which an open batch is prepared.
USUAL_IMAGES, MOST_IMAGES = 4, 16
#: Rows that a level has beyond its proposals, to fill up (`faim.families.yolox.patches.locate`).
MOST_SPARE = 16
#: Past frames for which a step is prepared, and frames that are refined together.
MOST_FRAMES = 512


@dataclass(frozen=True)
class Axis:
    """A dimension that may change: its name, and its smallest, usual and largest length.

    All three are multiples of `multiple`.
    """

    name: str
    smallest: int
    usual: int
    largest: int
    multiple: int = 1


def batch_axis() -> Axis:
    """Images at once."""
    return Axis("batch", 1, USUAL_IMAGES, MOST_IMAGES)


def side_axis(name: str, side: int, stride: int) -> Axis:
    """One side of the image in cells of `stride` pixels; images are multiples of 32."""
    return Axis(name, 64 // stride, side // stride, 2048 // stride, multiple=32 // stride)
