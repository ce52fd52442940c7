"""Several sources at once, through one detector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace

from loguru import logger

from faim.errors import FaimError
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.found import tracks_apart
from faim.runtime.pipeline import Detector
from faim.runtime.results import FrameResult, to_result
from faim.runtime.sources import check_limit
from faim.stream.frames import Frame, FrameSource
from faim.stream.work import TensorResult


def stream_many(
    detector: Detector,
    sources: Sequence[FrameSource],
    *,
    limit: int | None = None,
    on_frame: Callable[[int], None] = lambda number: None,
) -> Iterator[tuple[int, FrameResult]]:
    """The frames of several sources with their detections, each source a stream of its own.

    Every source is decoded in a thread of its own. A round takes one frame from each that has one
    waiting and passes them through the base detector together, so a slow camera holds up nobody. A
    source that fails is left out with a warning while others go on.

    Args:
        detector: runs them all.
        sources: open sources, which are closed at the end; a `DecodeAhead` is used as it is.
        limit: most frames of each, 1 or more.
        on_frame: called with a source's number whenever a frame of it has been looked at.

    Returns:
        Number of the source, counted from 0, and the result of its next frame. Track ids are
        unique over all sources.

    Raises:
        FaimError: at once for a limit below 1, or a detector whose post-processing needs whole
            videos; while iterating, when all sources are done and one of them had failed.

    Example:
        >>> import faim, numpy as np
        >>> from faim.runtime.sources import open_source
        >>> clips = [[np.full((64, 96, 3), grey, np.uint8)] for grey in (0, 114)]
        >>> sources = [open_source(clip) for clip in clips]  # or cameras, files, URLs
        >>> for number, result in stream_many(faim.load(), sources):
        ...     print(number, result.index, result.labels)
        0 0 []
        1 0 []
    """
    check_limit(limit)
    detector.check_mode("stream")
    detector.warn_of_patterns()
    readers = [
        source if isinstance(source, DecodeAhead) else DecodeAhead(source) for source in sources
    ]
    return _rounds(detector, readers, limit, on_frame)


def _rounds(
    detector: Detector,
    readers: list[DecodeAhead],
    limit: int | None,
    on_frame: Callable[[int], None],
) -> Iterator[tuple[int, FrameResult]]:
    changed = threading.Condition()
    states = [detector.new_state() for _ in readers]
    failures: list[FaimError] = []
    given = [0] * len(readers)
    with ExitStack() as stack:
        for reader in readers:
            stack.enter_context(reader)
        running = {number: reader.begin(changed) for number, reader in enumerate(readers)}
        while running:
            with changed:
                changed.wait_for(lambda: any(readers[number].ready for number in running))
            turn = [number for number in running if readers[number].ready]
            frames = _next_frames(turn, running, failures)
            numbers = list(frames)
            found = detector.advance(
                [frames[k].image for k in numbers], [states[k] for k in numbers]
            )
            for number, detections in zip(numbers, found, strict=True):
                on_frame(number)
                found_here = TensorResult(frames[number], detections)
                result = to_result(found_here, detector.class_names, readers[number].name)
                apart = tracks_apart(result.detections, number, len(readers))
                yield number, replace(result, detections=apart)
                given[number] += 1
                if given[number] == limit:
                    del running[number]
    if failures:
        raise failures[0]


def _next_frames(
    turn: list[int], running: dict[int, Iterator[Frame]], failures: list[FaimError]
) -> dict[int, Frame]:
    """The next frame of each source whose turn it is; those at an end leave `running`."""
    frames: dict[int, Frame] = {}
    for number in turn:
        try:
            frame = next(running[number], None)
        except FaimError as error:
            logger.warning("{}; the other sources go on", error)
            failures.append(error)
            frame = None
        if frame is None:
            del running[number]
        else:
            frames[number] = frame
    return frames
