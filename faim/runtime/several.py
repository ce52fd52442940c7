"""Several sources in any mode: live ones at the same time, files in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from loguru import logger

from faim.errors import FaimError
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.excerpt import WHOLE, Span
from faim.runtime.found import tracks_apart
from faim.runtime.images import ImageSource
from faim.runtime.many import stream_many
from faim.runtime.opening import AbsentSource, Mode, no_end, open_all
from faim.runtime.pipeline import Detector
from faim.runtime.results import FrameResult
from faim.runtime.source_list import FolderVideo, ImageFiles, Named
from faim.runtime.sources import check_limit
from faim.stream.frames import FrameSource

#: Files that are streams at the same time; each takes a decoder and, with a video, an encoder.
MOST_TOGETHER = 8
#: Files that are opened at the same time.
_MOST_OPENING = 16


def open_listed(
    listed: Sequence[Named], opener: Callable[[str | int], FrameSource], span: Span = WHOLE
) -> list[DecodeAhead]:
    """All of a list of sources, opened at the same time; see `open_all`.

    Args:
        listed: from `listed_sources`.
        opener: opens one that is named.
        span: the frames of each that are looked at.

    Raises:
        FaimError: as `open_all`.
    """
    gate = threading.Semaphore(_MOST_OPENING)

    def open_one(named: Named) -> FrameSource:
        if isinstance(named, ImageFiles):
            return ImageSource(named.paths, str(named))
        if not isinstance(named, FolderVideo):
            return opener(named)
        try:
            with gate:
                return opener(str(named))
        except FaimError as error:
            return AbsentSource(str(named), error, live=False)

    return open_all(listed, lambda named: span.of(open_one(named)))


def run_sources(
    detector: Detector,
    sources: Sequence[DecodeAhead],
    mode: Mode,
    *,
    limit: int | None = None,
    images: bool = True,
    on_frame: Callable[[int], None] = lambda number: None,
    on_end: Callable[[int], None] = lambda number: None,
) -> Iterator[tuple[int, FrameResult]]:
    """The frames of one source or several with their detections, in one mode.

    Streams run at the same time (see `stream_many`): all of them where one is live, else up to
    `MOST_TOGETHER`. In the other modes the sources follow one another. Of several, one that fails
    is left out with a warning while others go on.

    Args:
        detector: runs them all.
        sources: open sources, each of which is closed when it has ended.
        mode: of all of them.
        limit: most frames of each, 1 or more.
        images: whether the results need pixels; see `Detector.stream`.
        on_frame: called with a source's number whenever a frame of it has been looked at.
        on_end: called with a source's number after its last result.

    Returns:
        Number of the source, counted from 0, and the result of its next frame. Track ids are
        unique over all sources.

    Raises:
        FaimError: at once for a mode that cannot be, or a limit below 1; while iterating, when all
            sources are done and one of them had failed.
    """
    check_limit(limit)
    detector.check_mode(mode)
    for source in sources:
        if source.live and mode == "global":
            raise no_end(source, mode)

    def run_group(group: list[int]) -> Iterator[tuple[int, FrameResult]]:
        if len(group) > 1:
            together = [sources[number] for number in group]
            found = stream_many(
                detector, together, limit=limit, on_frame=lambda place: on_frame(group[place])
            )
            return ((group[place], result) for place, result in found)
        [number] = group
        source = sources[number]
        alone = detector.stream(
            source,
            mode,
            limit=limit,
            images=images,
            on_frame=lambda: on_frame(number),
        )
        return ((number, result) for result in alone)

    return _in_turn(list(_groups(sources, mode)), run_group, on_end)


def _groups(sources: Sequence[DecodeAhead], mode: Mode) -> Iterator[list[int]]:
    """Numbers of the sources that are looked at together."""
    numbers = iter(range(len(sources)))
    live = any(source.live for source in sources)
    most = 1 if mode != "stream" else len(sources) if live else MOST_TOGETHER
    while group := list(islice(numbers, most)):
        yield group


def _in_turn(
    groups: Sequence[list[int]],
    run_group: Callable[[list[int]], Iterator[tuple[int, FrameResult]]],
    on_end: Callable[[int], None],
) -> Iterator[tuple[int, FrameResult]]:
    failure: FaimError | None = None
    for place, group in enumerate(groups):
        try:
            for number, result in run_group(group):
                found = tracks_apart(result.detections, place, len(groups))
                yield number, replace(result, detections=found)
        except FaimError as error:
            if len(groups) == 1:
                raise
            if len(group) == 1:  # of more `stream_many` has said so
                logger.warning("{}; the other sources go on", error)
            failure = failure or error
        for number in group:
            on_end(number)
    if failure is not None:
        raise failure
