"""Mode global: one pass over a file that stores what is seen, then what needs all frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from faim.data.transforms import LetterboxGeometry
from faim.errors import FaimError
from faim.postprocess.post import ScoredStore
from faim.postprocess.whole_video import ShotwisePost
from faim.stream.frames import Frame, FrameSource, Image
from faim.stream.scene_cut import is_scene_cut, thumbnail
from faim.stream.steps import detections_of, frame_groups, in_source
from faim.stream.store import DetectionStore, SeenStore
from faim.stream.work import Looked, TensorResult, Work
from faim.structures import ScoredBoxes


@dataclass(frozen=True)
class Seen:
    """A frame without its pixels, how it was letterboxed, and whether a shot begins with it."""

    frame: Frame
    geometry: LetterboxGeometry
    cut: bool = False


class Watcher:
    """Makes `Seen` of the frames of one video as they pass."""

    def __init__(self, work: Work) -> None:
        """Looks for cuts where post-processing asks for them."""
        self._looks = work.scene_cuts and isinstance(work.post, ShotwisePost)
        self._last: Image | None = None

    def see(self, item: Looked) -> Seen:
        """The next frame."""
        before, self._last = self._last, thumbnail(item.frame.image) if self._looks else None
        cut = before is not None and self._last is not None and is_scene_cut(before, self._last)
        return Seen(item.frame.without_pixels(), item.geometry, cut)


def run_global(
    work: Work, source: FrameSource, images: bool, on_frame: Callable[[], None]
) -> Iterator[TensorResult]:
    """All frames of a video in groups. None is looked at twice.

    What is kept of a frame is what was seen of it, in memory up to a limit and in a temporary file
    beyond it, and later its detections.
    """
    seen: list[Seen] = []
    watcher = Watcher(work)
    with SeenStore() as store:
        for item in work.look_all(source):
            store.append(item.seen)
            if len(store) == 1:
                store.check_space(source.frame_count)
            seen.append(watcher.see(item))
            on_frame()
        decided = _decide_groups(work, seen, store)
        if work.post is not None:
            scored = ScoredStore()
            for index, boxes in decided:
                scored[index] = in_source(boxes, seen[index].geometry)
            found = link(work, seen, scored)
        else:
            found = DetectionStore(len(seen))
            for index, boxes in decided:
                found[index] = work.found(boxes, seen[index].geometry)
    yield from results(source, seen, found, images)


def link(work: Work, seen: list[Seen], scored: ScoredStore) -> DetectionStore:
    """The detections of all frames after post-processing."""
    post, least = work.post, work.least
    assert post is not None
    found = DetectionStore(len(seen))
    sizes = [item.geometry.source_size for item in seen]
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


def _decide_groups(
    work: Work, seen: list[Seen], store: SeenStore
) -> Iterator[tuple[int, ScoredBoxes]]:
    """Every frame's number, and its boxes, on the CPU."""
    for group in frame_groups(len(seen), work.frames, work.sampling, work.seed):
        together = store.group(group).to(work.detector.device)
        with torch.inference_mode():
            decided = work.detector.decide(together, work.kept)
        for index, boxes in zip(group, decided, strict=True):
            yield index, boxes.to("cpu")


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
