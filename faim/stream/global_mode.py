"""Mode global: one pass over a file that stores what is seen, then what needs all frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from faim.data.transforms import LetterboxGeometry
from faim.errors import FaimError
from faim.postprocess.post import ScoredStore, WholeVideoPost
from faim.postprocess.whole_video import ShotwisePost
from faim.runtime.results import Proposed, TensorResult
from faim.stream.frames import Frame, FrameSource, Image
from faim.stream.scene_cut import is_scene_cut, thumbnail
from faim.stream.steps import detections_of, frame_groups
from faim.stream.store import DetectionStore, ProposalStore
from faim.structures import Proposals

if TYPE_CHECKING:
    from faim.runtime.pipeline import Detector


@dataclass(frozen=True)
class Seen:
    """A frame without its pixels, how it was letterboxed, and whether a shot begins with it."""

    frame: Frame
    geometry: LetterboxGeometry
    cut: bool = False


class Watcher:
    """Makes `Seen` of the frames of one video as they pass."""

    def __init__(self, detector: Detector) -> None:
        """Looks for cuts where the detector's post-processing asks for them."""
        self._looks = detector.scene_cuts and isinstance(detector.whole_post, ShotwisePost)
        self._last: Image | None = None

    def see(self, item: Proposed) -> Seen:
        """The next frame."""
        before, self._last = self._last, thumbnail(item.frame.image) if self._looks else None
        cut = before is not None and self._last is not None and is_scene_cut(before, self._last)
        return Seen(item.frame.without_pixels(), item.geometry, cut)


def run_global(
    detector: Detector, source: FrameSource, images: bool, on_frame: Callable[[], None]
) -> Iterator[TensorResult]:
    """See `Detector.run`. No frame goes through the base detector twice.

    What is kept of a frame is its proposals, in memory up to a limit and in a temporary file beyond
    it, and later its detections.
    """
    seen: list[Seen] = []
    watcher = Watcher(detector)
    with ProposalStore() as store:
        for item in detector.propose_all(source):
            store.append(item.proposals)
            if len(store) == 1:
                store.check_space(source.frame_count)
            seen.append(watcher.see(item))
            on_frame()
        refined = _refine_groups(detector, seen, store)
        if detector.whole_post is not None:
            scored = ScoredStore()
            for index, proposals, probabilities in refined:
                scored[index] = detector.score(proposals, probabilities, seen[index].geometry)
            found = link(detector, detector.whole_post, seen, scored)
        else:
            found = DetectionStore(len(seen))
            for index, proposals, probabilities in refined:
                found[index] = detector.finish(proposals, probabilities, seen[index].geometry)
    yield from results(source, seen, found, images)


def link(
    detector: Detector, post: WholeVideoPost, seen: list[Seen], scored: ScoredStore
) -> DetectionStore:
    """The detections of all frames after post-processing."""
    found = DetectionStore(len(seen))
    sizes = [item.geometry.source_size for item in seen]
    least = detector.score_threshold
    if isinstance(post, ShotwisePost):
        linked_frames = post.run_shots(scored, sizes, [item.cut for item in seen], least)
    else:
        linked_frames = post.run(scored, sizes, least)
    for index, linked in enumerate(linked_frames):
        found[index] = detections_of(linked, least)
    return found


def results(
    source: FrameSource, seen: list[Seen], found: DetectionStore, images: bool
) -> Iterator[TensorResult]:
    """The frames, with their pixels where `images`, and their detections."""
    frames = _read_again(source, seen) if images else (item.frame for item in seen)
    for index, frame in enumerate(frames):
        yield TensorResult(frame, found[index])


def _refine_groups(
    detector: Detector, seen: list[Seen], store: ProposalStore
) -> Iterator[tuple[int, Proposals, Tensor]]:
    """Every frame's number, proposals and refined probabilities, on the CPU."""
    frames = detector.config.test_frames
    for group in frame_groups(len(seen), frames, detector.sampling, detector.seed):
        together = store.group(group)
        with torch.inference_mode():
            refined = detector.joined.refine(together.to(detector.device)).cpu()
        for place, index in enumerate(group):
            yield index, together[place], refined[place]


def _read_again(source: FrameSource, seen: list[Seen]) -> Iterator[Frame]:
    """The frames once more, with their pixels.

    Raises:
        FaimError: there are fewer or more of them now, or one of another size.
    """
    frames = iter(source)
    for index, item in enumerate(seen):
        frame = next(frames, None)
        if frame is None or frame.image.shape != item.frame.image.shape:
            raise _changed(source, "ends earlier" if frame is None else "has another size", index)
        yield frame
    if next(frames, None) is not None:
        raise _changed(source, "goes on", len(seen))


def _changed(source: FrameSource, what: str, index: int) -> FaimError:
    return FaimError(
        f"{source.name}: {what} at frame {index} when read the second time; expected a source "
        "that does not change while mode global works on it"
    )
