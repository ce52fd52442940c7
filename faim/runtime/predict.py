"""A prediction from sources to sinks, as `faim predict` does it, without a word on the terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from faim.choices import Aggregate, ModeName
from faim.errors import FaimError, interrupted_status
from faim.groups import (
    BackendOptions,
    ExcerptOptions,
    MemoryOptions,
    PostOptions,
    SelectionOptions,
)
from faim.postprocess.post import check_post
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.excerpt import Span
from faim.runtime.found import without_tracks
from faim.runtime.loading import load_grouped
from faim.runtime.modes import mode_note, resolve_mode
from faim.runtime.opening import Mode, no_end
from faim.runtime.outputs import (
    OutputOptions,
    check_options,
    close_sinks,
    open_sinks,
    wants_pixels,
)
from faim.runtime.pipeline import DISPLAY_THRESHOLD, Detector
from faim.runtime.predict_summary import PredictSummary, SourceSummary
from faim.runtime.results import FrameResult
from faim.runtime.several import open_listed, run_sources
from faim.runtime.sinks import Sink, StopRun
from faim.runtime.source_list import ImageFiles, Named, listed_sources
from faim.runtime.sources import open_source


@dataclass(frozen=True)
class PredictOptions:
    """One prediction.

    Attributes:
        source: what `open_source` takes; or a tuple of that, see `listed_sources`. Of several
            sources the number of each, from 0, is part of the output files' names.
        weights: what `faim.load` takes.
        mode: "stream", "global" or "frame"; or "auto": "global" for files, and "stream" for all
            where a source is live, where a window is all that is asked for, or with post "causal".
        aggregate: how frames help each other; "auto" takes the best that the weights allow.
        size: side, or (height, width), of the network input; the model's own by default.
        conf: scores from which detections are written and drawn, in [0, 1].
        batch: frames that go through the base detector at once in the modes global and frame.
        backend: what runs the networks.
        memory: what a stream remembers.
        post: post-processing.
        selection: which detections are given out.
        excerpt: which frames are looked at.
        outputs: where results go, and how they are drawn.
    """

    source: str | int | tuple[str | int, ...]
    weights: str | Path
    mode: ModeName = "auto"
    aggregate: Aggregate = "auto"
    size: int | tuple[int, int] | None = None
    conf: float = DISPLAY_THRESHOLD
    batch: int = 8
    backend: BackendOptions = BackendOptions()
    memory: MemoryOptions = MemoryOptions()
    post: PostOptions = PostOptions()
    selection: SelectionOptions = SelectionOptions()
    excerpt: ExcerptOptions = ExcerptOptions()
    outputs: OutputOptions = OutputOptions()


@dataclass(frozen=True)
class Running:
    """A prediction that is about to look at its first frame.

    Attributes:
        options: what was asked for.
        detector: made as they say.
        mode: what runs.
        sources: open, in the order in which they are numbered.
        notes: what was decided for the person who asked, a sentence each.
    """

    options: PredictOptions
    detector: Detector
    mode: Mode
    sources: Sequence[DecodeAhead]
    notes: Sequence[str]


class Watcher:
    """Looks on while a prediction runs; this one does nothing, others show what they see."""

    @contextmanager
    def watching(self, running: Running) -> Iterator[None]:
        """Entered before the first frame, left behind the last, also after an error."""
        yield

    def looked(self, number: int) -> None:
        """A frame of the source of this number, from 0, has been looked at."""

    def found(self, number: int, result: FrameResult) -> None:
        """The next result of a source, which the sinks have; StopRun ends the run here."""


def run_predict(options: PredictOptions, watcher: Watcher | None = None) -> PredictSummary:
    """Detect in one source or several and deliver the results, as `options` say.

    Nothing is printed; who wants to see more than the summary comes with a `watcher`. Ctrl-C or
    SIGTERM while frames are processed is not raised again: sinks are closed, and the summary says
    `interrupted`. (Earlier, while the model loads, it passes through.)

    Raises:
        FaimError: a wrong source, checkpoint, option or output file. Source, weights and options
            are tried before an output file is touched, output files before the first frame.

    Example:
        >>> import tempfile
        >>> import cv2, numpy as np
        >>> from faim.runtime.outputs import OutputOptions
        >>> from faim.weights import default_weights
        >>> folder = tempfile.TemporaryDirectory()
        >>> for number in range(3):
        ...     picture = np.full((256, 256, 3), 114, np.uint8)
        ...     picture[64:160, 64:160] = np.arange(96)[:, None] // 8 % 2 * 180 + 40
        ...     written = cv2.imwrite(f"{folder.name}/{number}.png", picture)
        >>> outputs = OutputOptions(jsonl=f"{folder.name}/out.jsonl")
        >>> summary = run_predict(PredictOptions(folder.name, default_weights(), outputs=outputs))
        >>> summary.mode, summary.frames, summary.detections
        ('global', 3, 3)
        >>> len(open(outputs.jsonl).readlines())
        3
        >>> folder.cleanup()
    """
    watcher = Watcher() if watcher is None else watcher
    with ExitStack() as stack:
        listed, sources = _open_sources(options, stack)
        summary = PredictSummary(
            _mode_of(options, sources), [SourceSummary(source.name) for source in sources]
        )
        check_options(options.outputs, listed, options.weights)
        detector = load_grouped(
            options.weights,
            aggregate="none" if summary.mode == "frame" else options.aggregate,
            size=options.size,
            conf=options.conf,
            batch=options.batch,
            backend=options.backend,
            memory=options.memory,
            post=options.post,
            selection=options.selection,
        )
        sinks: list[list[Sink]] = []
        results = run_sources(
            detector,
            sources,
            summary.mode,
            limit=options.excerpt.limit,
            images=wants_pixels(options.outputs),
            on_frame=watcher.looked,
            on_end=lambda number: close_sinks(sinks[number]),
        )
        sinks += open_sinks(options.outputs, sources, detector.class_names, stack)
        notes = list(_notes(options, listed, detector, summary.mode, sources))
        with watcher.watching(Running(options, detector, summary.mode, sources, notes)):
            _deliver(results, sinks, watcher, summary, track=options.outputs.track)
        summary.dropped = sum(source.dropped for source in sources)
        summary.unread = sum(source.unread for source in sources)
    summary.lost = tuple(source.name for source in sources if source.lost)
    return summary


def _open_sources(
    options: PredictOptions, stack: ExitStack
) -> tuple[list[Named], list[DecodeAhead]]:
    """What is named, and all of it open."""
    listed = listed_sources(
        options.source if isinstance(options.source, tuple) else (options.source,)
    )
    if len(listed) > 1 and options.outputs.on_stdout:
        raise FaimError(
            "jsonl: - given with several sources; expected a file's name, or one source"
        )
    if options.outputs.keep_audio and options.outputs.save_video is None:
        raise FaimError("keep-audio: given without save-video; expected a video to be saved")
    if options.mode != "auto":
        check_post(options.post.name, options.mode)
    excerpt = options.excerpt
    span = Span.parse(excerpt.stride, excerpt.start, excerpt.end)
    opened = open_listed(listed, open_source, span)
    sources = [stack.enter_context(source) for source in opened]
    for source in sources:
        span.check(source)
    return listed, sources


def _mode_of(options: PredictOptions, sources: list[DecodeAhead]) -> Mode:
    """The mode that runs; FaimError where it cannot run on one of the sources."""
    live = [source for source in sources if source.live]
    repp = options.post.name == "repp"
    if live and (options.mode == "global" or repp):
        raise no_end(live[0], "global" if options.mode == "global" else "frame")
    now = bool(live) or (options.outputs.only_shown and not repp)
    return resolve_mode(options.mode, now, options.post.name)


def _notes(
    options: PredictOptions,
    listed: list[Named],
    detector: Detector,
    mode: Mode,
    sources: list[DecodeAhead],
) -> Iterator[str]:
    """What was decided for the person who asked, a sentence each."""
    for one in listed:
        if isinstance(one, ImageFiles):
            yield f"{one}: taken for one sequence, in the natural order of their names"
    if options.mode == "auto":
        note = mode_note(detector.what_joins, mode, sources, watched=options.outputs.only_shown)
        if note is not None:
            yield note


def _deliver(
    results: Iterator[tuple[int, FrameResult]],
    sinks: list[list[Sink]],
    watcher: Watcher,
    summary: PredictSummary,
    *,
    track: bool,
) -> None:
    start = time.perf_counter()
    try:
        for number, result in results:
            if not track:
                result = replace(result, detections=without_tracks(result.detections))
            for sink in sinks[number]:
                sink.write(result)
            watcher.found(number, result)
            summary.sources[number].frames += 1
            summary.sources[number].detections += len(result.detections)
    except StopRun:
        pass
    except KeyboardInterrupt as interrupt:
        summary.status = interrupted_status(interrupt)
    finally:
        summary.seconds = time.perf_counter() - start
