"""A detector at work on a source, in the modes that are no streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from faim.backends.sharing import check_not_forked
from faim.data.transforms import LetterboxGeometry, letterbox, to_batch
from faim.detector import Kept, VideoDetector
from faim.nn.nms import detections_of
from faim.postprocess.post import WholeVideoPost
from faim.stream.frames import Frame, FrameSource
from faim.stream.steps import Sampling, in_source
from faim.structures import Detections, ScoredBoxes, TensorRecord


@dataclass(frozen=True)
class Looked:
    """A frame after the part that looks at it alone; `seen` without leading dimension."""

    frame: Frame
    geometry: LetterboxGeometry
    seen: TensorRecord


@dataclass(frozen=True)
class TensorResult:
    """A frame and its detections as tensors: what the parts of a detector pass on.

    Attributes:
        frame: the source's frame.
        detections: boxes in pixels of `frame.image`, best score first.
    """

    frame: Frame
    detections: Detections


@dataclass(frozen=True)
class Work:
    """A detector with all that decides what comes of a source.

    Attributes:
        detector: as it joins frames in this mode.
        size: height and width of the network input.
        least: score from which detections are given out, in [0, 1].
        iou: of the last NMS, in [0, 1].
        batch_size: frames that are looked at at once.
        frames: those that are decided together.
        sampling: which ones.
        seed: of it.
        scene_cuts: whether hard cuts are looked for.
        post: links whole videos; None for nothing.
    """

    detector: VideoDetector
    size: tuple[int, int]
    least: float
    iou: float
    batch_size: int = 8
    frames: int = 1
    sampling: Sampling = "uniform"
    seed: int = 0
    scene_cuts: bool = True
    post: WholeVideoPost | None = None

    @property
    def kept(self) -> Kept:
        """What is asked of the detector: what post-processing may still lift counts too."""
        least = self.least
        if self.post is not None:
            least = min(self.detector.traits.least_score, least)
        return Kept(least, self.iou)

    def look_all(self, source: FrameSource) -> Iterator[Looked]:
        """Every frame of an open source after the part that looks at it alone."""
        batch_size = 1 if source.live else self.batch_size
        frames = iter(source)
        while batch := list(islice(frames, batch_size)):
            yield from look(self.detector, batch, self.size)

    def found(self, scored: ScoredBoxes, geometry: LetterboxGeometry) -> Detections:
        """What is given out of a frame's boxes, which are in pixels of the network input."""
        return detections_of(in_source(scored, geometry), self.least)


def look(detector: VideoDetector, frames: list[Frame], size: tuple[int, int]) -> list[Looked]:
    """Frames, letterboxed into a network input, after the part that looks at each alone."""
    check_not_forked()
    boxed = [letterbox(frame.image, size) for frame in frames]
    with torch.inference_mode():
        images = to_batch([image for image, _ in boxed]).to(detector.device)
        seen = detector.look(images)
        return [
            Looked(frame, geometry, seen[place])
            for place, (frame, (_, geometry)) in enumerate(zip(frames, boxed, strict=True))
        ]
