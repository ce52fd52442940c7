"""Prediction as the command line runs it: one source, a model, sinks, progress, a summary."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from loguru import logger

from faim.choices import BackendName, ColorBy, ModeName, PostName, Precision
from faim.errors import FaimError, interrupted_status
from faim.postprocess.post import check_post
from faim.runtime.class_choice import Classes
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.excerpt import Span
from faim.runtime.found import without_tracks
from faim.runtime.loading import load
from faim.runtime.modes import mode_note, resolve_mode
from faim.runtime.opening import Mode, no_end
from faim.runtime.outputs import (
    check_options,
    close_sinks,
    open_sinks,
    outputs_of,
    wants_pixels,
)
from faim.runtime.pipeline import DISPLAY_THRESHOLD, Detector
from faim.runtime.predict_terminal import TerminalConsole, open_progress, print_summary
from faim.runtime.several import open_listed, run_sources
from faim.runtime.sinks import Result, Sink, StopRun, now
from faim.runtime.source_list import ImageFiles, Named, listed_sources
from faim.runtime.sources import open_source
from faim.stream.memory import PolicyName
from faim.text import printable

Aggregate = Literal["auto", "ticam", "affinity", "none"]


@dataclass(frozen=True)
class PredictOptions:
    """One call of `faim predict`.

    Without an output and `show`, each frame gets a short line on the terminal and the summary says
    how to keep the results.

    Attributes:
        source: what `open_source` takes; or a tuple of that, see `listed_sources`. Of several
            sources the number of each, from 0, is part of the output files' names.
        weights: what `faim.load` takes.
        mode: "stream", "global" or "frame"; or "auto": "global" for files, and "stream" for all
            where a source is live, where a window is all that is asked for, or with post "causal".
        aggregate: how frames help each other; "auto" takes the best that the weights allow.
        size: side, or (height, width), of the network input; the model's own by default.
        conf: scores from which detections are written and drawn, in [0, 1].
        jsonl: file of JSON lines; "-" is stdout, which then carries nothing else.
        save_video: annotated video.
        show: open a window.
        device: "auto", "cpu", "cuda", "cuda:1" ...
        backend: what runs the networks; "auto" is the fastest that is installed and fits.
        precision: what the base detector computes in.
        threads: processor threads of the networks; all by default.
        compile: with backend torch, `torch.compile` the networks.
        bank_frames: past frames that a stream remembers; the model's own number by default.
        bank_policy: "recent" the last of them; "spread" half of them the last, half over all of the
            past.
        scene_cuts: whether a stream forgets its past at a hard cut.
        post, post_model: see `faim.load`.
        save_frames: folder of annotated frames, named by their number or as their image files.
        save_crops: folder of what was found, cut out, in a folder a class.
        csv: file of rows, one a detection.
        coco: COCO's JSON, with the videos and tracks of CocoVID.
        yolo: folder of YOLO's labels, one file a frame, with confidences and tracks.
        mot: MOTChallenge's text file.
        cvat: XML of CVAT for video 1.1, with tracks as tracks.
        label_studio: JSON of Label Studio's tasks with predictions; its configuration beside it.
        line_width, hide_labels, hide_scores, trace, color_by: of what is drawn; see `DrawStyle`.
        track: False leaves track ids out of everything.
        limit: stop after so many frames that were looked at.
        classes, iou, max_det, agnostic, roi, batch: see `faim.load`.
        stride, start, end: see `Detector.stream`.
        keep_audio: whether `save_video` gets the sound of a source that is a video file.
    """

    source: str | int | tuple[str | int, ...]
    weights: str | Path
    mode: ModeName = "auto"
    aggregate: Aggregate = "auto"
    size: int | tuple[int, int] | None = None
    conf: float = DISPLAY_THRESHOLD
    jsonl: str | Path | None = None
    save_video: Path | None = None
    show: bool = False
    device: str = "auto"
    backend: BackendName = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    compile: bool = False
    bank_frames: int | None = None
    bank_policy: PolicyName = "spread"
    scene_cuts: bool = True
    post: PostName = "auto"
    post_model: Path | None = None
    limit: int | None = None
    classes: Classes | None = None
    iou: float | None = None
    max_det: int | None = None
    agnostic: bool = False
    roi: object = None
    batch: int = 8
    stride: int = 1
    start: str | float | None = None
    end: str | float | None = None

    save_frames: Path | None = None
    save_crops: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    yolo: Path | None = None
    mot: Path | None = None
    cvat: Path | None = None
    label_studio: Path | None = None
    line_width: int | None = None
    hide_labels: bool = False
    hide_scores: bool = False
    trace: bool = False
    color_by: ColorBy | None = None
    track: bool = True
    keep_audio: bool = False


@dataclass
class SourceSummary:
    """What a run found in one source, under its name."""

    name: str
    frames: int = 0
    detections: int = 0


@dataclass
class PredictSummary:
    """What a run came to.

    Attributes:
        mode: what ran.
        sources: the same of each source.
        frames: frames whose result was delivered.
        detections: detections in them.
        dropped: frames of a camera or stream that came too fast to be looked at.
        unread: frames that could not be read.
        seconds: wall time from the first frame read to the last result delivered, decoding,
            drawing and encoding included.
        status: of the command line: 0, or 130 after Ctrl-C, 143 after SIGTERM.
    """

    mode: Mode = "stream"
    sources: list[SourceSummary] = field(default_factory=list)
    dropped: int = 0
    unread: int = 0
    seconds: float = 0.0
    status: int = 0

    @property
    def frames(self) -> int:
        """In all sources."""
        return sum(source.frames for source in self.sources)

    @property
    def detections(self) -> int:
        """In all sources."""
        return sum(source.detections for source in self.sources)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or SIGTERM ended the run."""
        return self.status != 0

    @property
    def ms_per_frame(self) -> float:
        """Milliseconds a frame, 0 without frames."""
        return 1000 * self.seconds / self.frames if self.frames else 0.0

    @property
    def fps(self) -> float:
        """Frames a second, 0 without frames."""
        return self.frames / self.seconds if self.seconds else 0.0


def run_predict(options: PredictOptions) -> PredictSummary:
    """Detect in one source and deliver the results, as `options` say.

    Ctrl-C or SIGTERM while frames are processed is not raised again: sinks are closed, the summary
    is printed and says `interrupted`. (Earlier, while the model loads, it passes through.)

    Raises:
        FaimError: a wrong source, checkpoint, option or output file. Source, weights and options
            are tried before an output file is touched, output files before the first frame. Also,
            when all is delivered, a camera or stream that was lost for good.
    """
    console = TerminalConsole(stderr=str(options.jsonl) == "-", highlight=False, soft_wrap=True)
    with ExitStack() as stack:
        listed, sources = _open_sources(options, stack)
        summary = PredictSummary(
            _mode_of(options, sources), [SourceSummary(source.name) for source in sources]
        )
        check_options(options, listed)
        detector = load(
            options.weights,
            aggregate="none" if summary.mode == "frame" else options.aggregate,
            size=options.size,
            conf=options.conf,
            device=options.device,
            backend=options.backend,
            precision=options.precision,
            threads=options.threads,
            compile=options.compile,
            bank_frames=options.bank_frames,
            bank_policy=options.bank_policy,
            scene_cuts=options.scene_cuts,
            post=options.post,
            post_model=options.post_model,
            classes=options.classes,
            iou=options.iou,
            max_det=options.max_det,
            agnostic=options.agnostic,
            roi=options.roi,
            batch=options.batch,
        )
        progress = open_progress(console, quiet=str(options.jsonl) == "-")
        tasks = [progress.add_task(printable(one.name), total=one.frame_count) for one in sources]
        sinks: list[list[Sink]] = []
        results = run_sources(
            detector,
            sources,
            summary.mode,
            limit=options.limit,
            images=wants_pixels(options),
            on_frame=lambda number: progress.advance(tasks[number]),
            on_end=lambda number: close_sinks(sinks[number]),
        )
        sinks += open_sinks(
            options,
            sources,
            detector.class_names,
            stack,
            lambda line: now(lambda: progress.console.print(line, markup=False)),
        )
        for note in _notes(options, listed, detector, summary.mode, sources):
            logger.info("{}", note)
        detector.warn_of_patterns()
        with progress:
            _deliver(results, sinks, summary, track=options.track)
        summary.dropped = sum(source.dropped for source in sources)
        summary.unread = sum(source.unread for source in sources)
    print_summary(console, options, detector, summary)
    for source in sources:
        if source.lost and not summary.interrupted:
            raise FaimError(
                f"{source.name}: was lost and did not come back; expected a camera or stream that "
                "stays"
            )
    return summary


def _open_sources(
    options: PredictOptions, stack: ExitStack
) -> tuple[list[Named], list[DecodeAhead]]:
    """What is named, and all of it open."""
    listed = listed_sources(
        options.source if isinstance(options.source, tuple) else (options.source,)
    )
    if len(listed) > 1 and str(options.jsonl) == "-":
        raise FaimError(
            "jsonl: - given with several sources; expected a file's name, or one source"
        )
    if options.keep_audio and options.save_video is None:
        raise FaimError("keep-audio: given without save-video; expected a video to be saved")
    if options.mode != "auto":
        check_post(options.post, options.mode)
    span = Span.parse(options.stride, options.start, options.end)
    opened = open_listed(listed, open_source, span)
    sources = [stack.enter_context(source) for source in opened]
    for source in sources:
        span.check(source)
    return listed, sources


def _only_watched(options: PredictOptions) -> bool:
    """Whether a window is all that is asked for."""
    return options.show and not list(outputs_of(options, 1))


def _mode_of(options: PredictOptions, sources: list[DecodeAhead]) -> Mode:
    """The mode that runs; FaimError where it cannot run on one of the sources."""
    live = [source for source in sources if source.live]
    repp = options.post == "repp"
    if live and (options.mode == "global" or repp):
        raise no_end(live[0], "global" if options.mode == "global" else "frame")
    now = bool(live) or (_only_watched(options) and not repp)
    return resolve_mode(options.mode, now, options.post)


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
        note = mode_note(detector, mode, sources, watched=_only_watched(options))
        if note is not None:
            yield note


def _deliver(
    results: Iterator[tuple[int, Result]],
    sinks: list[list[Sink]],
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
            summary.sources[number].frames += 1
            summary.sources[number].detections += len(result.detections)
    except StopRun:
        pass
    except KeyboardInterrupt as interrupt:
        summary.status = interrupted_status(interrupt)
    finally:
        summary.seconds = time.perf_counter() - start
