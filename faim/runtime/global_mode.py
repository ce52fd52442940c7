"""Whole videos: one pass over a file that stores what is seen, then what needs all frames.

That is the aggregation of global mode, and post-processing that looks ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from faim.data.transforms import LetterboxGeometry
from faim.errors import FaimError
from faim.models.aggregation import NoAggregation
from faim.runtime.frames import Frame, FrameSource
from faim.runtime.post import ScoredStore
from faim.runtime.results import FrameResult
from faim.runtime.steps import detections_of, frame_groups
from faim.runtime.store import DetectionStore, ProposalStore
from faim.structures import Detections, Proposals

if TYPE_CHECKING:
    from faim.runtime.pipeline import Detector


@dataclass(frozen=True)
class _Seen:
    """A frame without its pixels, and how it was letterboxed."""

    frame: Frame
    geometry: LetterboxGeometry


def run_global(
    detector: Detector, source: FrameSource, images: bool, on_frame: Callable[[], None]
) -> Iterator[FrameResult[Detections]]:
    """See `Detector.run`. No frame goes through the base detector twice.

    What is kept of a frame is its proposals, in memory up to a limit and in a temporary file beyond
    it, and later its detections.
    """
    seen: list[_Seen] = []
    with ProposalStore() as store:
        for item in detector.propose_all(source):
            store.append(item.proposals)
            seen.append(_Seen(item.frame.without_pixels(), item.geometry))
            on_frame()
        refined = _refine_groups(detector, seen, store)
        if detector.post.name == "repp":
            scored = ScoredStore()
            for index, proposals, probabilities in refined:
                scored[index] = detector.score(proposals, probabilities, seen[index].geometry)
            found = _link(detector, seen, scored)
        else:
            found = DetectionStore(len(seen))
            for index, proposals, probabilities in refined:
                found[index] = detector.finish(proposals, probabilities, seen[index].geometry)
    yield from _results(source, seen, found, images)


def run_frames_linked(
    detector: Detector, source: FrameSource, images: bool, on_frame: Callable[[], None]
) -> Iterator[FrameResult[Detections]]:
    """Mode frame with post-processing that needs the whole video; see `Detector.run`."""
    seen: list[_Seen] = []
    scored = ScoredStore()
    for index, item in enumerate(detector.propose_all(source)):
        probabilities = NoAggregation().refine(item.proposals)
        scored[index] = detector.score(item.proposals, probabilities, item.geometry)
        seen.append(_Seen(item.frame.without_pixels(), item.geometry))
        on_frame()
    yield from _results(source, seen, _link(detector, seen, scored), images)


def _link(detector: Detector, seen: list[_Seen], scored: ScoredStore) -> DetectionStore:
    found = DetectionStore(len(seen))
    sizes = [item.geometry.source_size for item in seen]
    for index, linked in enumerate(detector.post.whole(scored, sizes)):
        found[index] = detections_of(linked, detector.score_threshold)
    return found


def _results(
    source: FrameSource, seen: list[_Seen], found: DetectionStore, images: bool
) -> Iterator[FrameResult[Detections]]:
    frames = _read_again(source, seen) if images else (item.frame for item in seen)
    for index, frame in enumerate(frames):
        yield FrameResult(frame, found[index])


def _refine_groups(
    detector: Detector, seen: list[_Seen], store: ProposalStore
) -> Iterator[tuple[int, Proposals, Tensor]]:
    """Every frame's number, proposals and refined probabilities, on the CPU."""
    frames = detector.config.test_frames
    for group in frame_groups(len(seen), frames, detector.sampling, detector.seed):
        together = store.group(group)
        with torch.inference_mode():
            refined = detector.model.aggregator.refine(together.to(detector.device)).cpu()
        for place, index in enumerate(group):
            yield index, together[place], refined[place]


def _read_again(source: FrameSource, seen: list[_Seen]) -> Iterator[Frame]:
    """The frames once more, with their pixels.

    Raises:
        FaimError: there are fewer or more of them now, or one of another size.
    """
    frames = iter(source)
    for index, item in enumerate(seen):
        frame = next(frames, None)
        if frame is None or frame.image.shape != item.frame.image.shape:
            raise _changed(source, "ends earlier" if frame is None else "has another size", index)
        yield replace(frame, index=index)
    if next(frames, None) is not None:
        raise _changed(source, "goes on", len(seen))


def _changed(source: FrameSource, what: str, index: int) -> FaimError:
    return FaimError(
        f"{source.name}: {what} at frame {index} when read the second time; expected a source "
        "that does not change while mode global works on it"
    )
