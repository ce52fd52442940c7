"""Global mode: one pass over a file that stores proposals, a second that aggregates them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from faim.data.transforms import LetterboxGeometry
from faim.errors import FaimError
from faim.runtime.frames import Frame, FrameSource
from faim.runtime.results import FrameResult
from faim.runtime.steps import frame_groups
from faim.runtime.store import DetectionStore, ProposalStore
from faim.structures import Detections

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
        found = _refine_groups(detector, seen, store)
    frames = _read_again(source, seen) if images else (item.frame for item in seen)
    for index, frame in enumerate(frames):
        yield FrameResult(frame, found[index])


def _refine_groups(detector: Detector, seen: list[_Seen], store: ProposalStore) -> DetectionStore:
    found = DetectionStore(len(seen))
    frames = detector.config.test_frames
    for group in frame_groups(len(seen), frames, detector.sampling, detector.seed):
        together = store.group(group)
        with torch.inference_mode():
            refined = detector.model.aggregator.refine(together.to(detector.device)).cpu()
            for place, index in enumerate(group):
                found[index] = detector.finish(
                    together[place], refined[place], seen[index].geometry
                )
    return found


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
