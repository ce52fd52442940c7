"""Mode frame: every frame by itself, and then perhaps post-processing of the whole video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from faim.families.yolox.aggregation import NoAggregation
from faim.postprocess.post import ScoredStore, WholeVideoPost
from faim.runtime.results import TensorResult
from faim.stream.frames import FrameSource
from faim.stream.global_mode import Seen, Watcher, link, results

if TYPE_CHECKING:
    from faim.runtime.pipeline import Detector


def run_frames(
    detector: Detector, source: FrameSource, on_frame: Callable[[], None]
) -> Iterator[TensorResult]:
    """See `Detector.run`."""
    single = NoAggregation()
    for item in detector.propose_all(source):
        probabilities = single.refine(item.proposals)
        detections = detector.finish(item.proposals, probabilities, item.geometry)
        on_frame()
        yield TensorResult(item.frame, detections)


def run_frames_linked(
    detector: Detector,
    post: WholeVideoPost,
    source: FrameSource,
    images: bool,
    on_frame: Callable[[], None],
) -> Iterator[TensorResult]:
    """The same with post-processing, which gives its first result after all frames."""
    seen: list[Seen] = []
    watcher = Watcher(detector)
    scored = ScoredStore()
    for index, item in enumerate(detector.propose_all(source)):
        probabilities = NoAggregation().refine(item.proposals)
        scored[index] = detector.score(item.proposals, probabilities, item.geometry)
        seen.append(watcher.see(item))
        on_frame()
    yield from results(source, seen, link(detector, post, seen, scored), images)
