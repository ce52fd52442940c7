"""A detector's two halves by themselves: what it sees of an image, and which boxes come of that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from faim.detector import Kept
from faim.runtime.pipeline import Detector
from faim.runtime.sources import ArraySource
from faim.stream.frames import Image
from faim.stream.work import Looked, Work


def looked(detector: Detector, images: Sequence[Image], batch_size: int = 1) -> Iterator[Looked]:
    """Frames after the part that looks at each alone, so many at once."""
    least, iou = detector.score_threshold, detector.selection.iou
    work = Work(detector.model, detector.size, least, iou, batch_size=batch_size)
    return work.look_all(ArraySource(images))


def for_links(detector: Detector) -> Kept:
    """The boxes that post-processing sees: also those that it may still lift above the threshold.

    The last NMS is the detector's.
    """
    least = min(detector.traits.least_score, detector.score_threshold)
    return Kept(least, detector.selection.iou)
