"""Mode frame: every frame by itself, and then perhaps post-processing of the whole video."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from faim.postprocess.post import ScoredStore
from faim.stream.frames import FrameSource
from faim.stream.global_mode import Seen, Watcher, link, results
from faim.stream.memory import MemoryBank
from faim.stream.steps import in_source, step
from faim.stream.work import Looked, TensorResult, Work
from faim.structures import ScoredBoxes, TensorRecord


def run_frames(
    work: Work, source: FrameSource, on_frame: Callable[[], None]
) -> Iterator[TensorResult]:
    """Every frame as it comes; `work.detector` leaves each to itself."""
    for item in work.look_all(source):
        detections = work.found(_scored(work, item), item.geometry)
        on_frame()
        yield TensorResult(item.frame, detections)


def run_frames_linked(
    work: Work, source: FrameSource, images: bool, on_frame: Callable[[], None]
) -> Iterator[TensorResult]:
    """The same with post-processing, which gives its first result after all frames."""
    seen: list[Seen] = []
    watcher = Watcher(work)
    scored = ScoredStore()
    for index, item in enumerate(work.look_all(source)):
        scored[index] = in_source(_scored(work, item), item.geometry)
        seen.append(watcher.see(item))
        on_frame()
    yield from results(source, seen, link(work, seen, scored), images)


def _scored(work: Work, item: Looked) -> ScoredBoxes:
    nothing: MemoryBank[TensorRecord] = MemoryBank(0)
    with torch.inference_mode():
        return step(work.detector, item.seen, nothing, work.kept)[0]
