"""Prediction as the command line runs it: one source, a model, sinks, progress, a summary."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from faim.errors import FaimError, interrupted_status
from faim.runtime.choices import BackendName, PostName, Precision
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.many import stream_many
from faim.runtime.memory import PolicyName
from faim.runtime.opening import Mode, no_end, open_all
from faim.runtime.outputs import check_names, open_sinks, output_names
from faim.runtime.pipeline import DISPLAY_THRESHOLD, Detector
from faim.runtime.post import check_post
from faim.runtime.sinks import Result, Sink, StopRun, now
from faim.runtime.sources import FirstFrames, open_source
from faim.terminal import lead_nowhere
from faim.text import printable
from faim.wording import counted

Aggregate = Literal["auto", "ticam", "affinity", "none"]


@dataclass(frozen=True)
class PredictOptions:
    """One call of `faim predict`.

    Without `jsonl`, `save_video` and `show`, each frame gets a short line on the terminal and the
    summary says how to keep the results.

    Attributes:
        source: what `open_source` takes; or a tuple of that, looked at together, each a stream of
            its own. The number of the source, from 0, is then part of the output files' names.
        weights: what `faim.load` takes.
        mode: "stream", "global" or "frame".
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
        limit: stop after so many frames.
    """

    source: str | int | tuple[str | int, ...]
    weights: str | Path
    mode: Mode = "stream"
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


@dataclass
class PredictSummary:
    """What a run came to.

    Attributes:
        frames: frames whose result was delivered.
        detections: detections in them.
        dropped: frames of a camera or stream that came too fast to be looked at.
        unread: frames that could not be read.
        seconds: wall time from the first frame read to the last result delivered, decoding,
            drawing and encoding included.
        status: of the command line: 0, or 130 after Ctrl-C, 143 after SIGTERM.
    """

    frames: int = 0
    detections: int = 0
    dropped: int = 0
    unread: int = 0
    seconds: float = 0.0
    status: int = 0

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
    # `faim.load` is the one place that knows how a Detector is made.
    import faim

    console = _Console(stderr=str(options.jsonl) == "-", highlight=False, soft_wrap=True)
    summary = PredictSummary()
    with ExitStack() as stack:
        sources = _open_sources(options, stack)
        check_names(
            sources,
            jsonl=options.jsonl,
            save_video=options.save_video,
            weights=options.weights,
        )
        detector = faim.load(
            options.weights,
            aggregate="none" if options.mode == "frame" else options.aggregate,
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
        )
        progress = _progress(console, options)
        results = _results(options, detector, sources, progress)
        sinks = open_sinks(
            sources,
            stack,
            lambda line: now(lambda: progress.console.print(line, markup=False)),
            jsonl=options.jsonl,
            save_video=options.save_video,
            show=options.show,
        )
        with progress:
            _deliver(results, sinks, summary)
        summary.dropped = sum(source.dropped for source in sources)
        summary.unread = sum(source.unread for source in sources)
    _print_summary(console, options, detector, summary, len(sources))
    for source in sources:
        if source.lost and not summary.interrupted:
            raise FaimError(
                f"{source.name}: was lost and did not come back; expected a camera or stream that "
                "stays"
            )
    return summary


def _open_sources(options: PredictOptions, stack: ExitStack) -> list[DecodeAhead]:
    named = options.source if isinstance(options.source, tuple) else (options.source,)
    if len(named) > 1 and options.mode != "stream":
        raise FaimError(
            f"mode: {options.mode} given with {len(named)} sources; expected mode stream, or one "
            "source"
        )
    if len(named) > 1 and str(options.jsonl) == "-":
        raise FaimError(
            "jsonl: - given with several sources; expected a file's name, or one source"
        )
    check_post(options.post, options.mode)
    sources = [stack.enter_context(source) for source in open_all(named, open_source)]
    if (options.mode == "global" or options.post == "repp") and sources[0].live:
        raise no_end(sources[0], options.mode)
    return sources


def _results(
    options: PredictOptions, detector: Detector, sources: list[DecodeAhead], progress: Progress
) -> Iterator[tuple[int, Result]]:
    """Results with the number of their source."""
    tasks = [
        progress.add_task(printable(source.name), total=source.frame_count) for source in sources
    ]
    if len(sources) > 1:
        return stream_many(
            detector,
            sources,
            limit=options.limit,
            on_frame=lambda number: progress.advance(tasks[number]),
        )
    [source] = sources
    results = detector.stream(
        source if options.limit is None else FirstFrames(source, options.limit),
        options.mode,
        images=options.save_video is not None or options.show,
        on_frame=lambda: progress.advance(tasks[0]),
    )
    return ((0, result) for result in results)


def _deliver(
    results: Iterator[tuple[int, Result]], sinks: list[list[Sink]], summary: PredictSummary
) -> None:
    start = time.perf_counter()
    try:
        for number, result in results:
            for sink in sinks[number]:
                sink.write(result)
            summary.frames += 1
            summary.detections += len(result.detections)
    except StopRun:
        pass
    except KeyboardInterrupt as interrupt:
        summary.status = interrupted_status(interrupt)
    finally:
        summary.seconds = time.perf_counter() - start


class _Console(Console):
    """A console whose reader may leave, as in `faim predict … | head`."""

    def on_broken_pipe(self) -> None:
        """Not an error: the run ends, and nothing more is said."""
        self.quiet = True
        lead_nowhere(self.file)
        raise StopRun


class _Rate(ProgressColumn):
    """Frames a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed else "")


def _progress(console: Console, options: PredictOptions) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        disable=str(options.jsonl) == "-" or not console.is_terminal,
    )


def _print_summary(
    console: Console,
    options: PredictOptions,
    detector: Detector,
    summary: PredictSummary,
    sources: int,
) -> None:
    height, width = detector.size
    lines = [
        f"{counted(summary.frames, 'frame')}, {counted(summary.detections, 'detection')} from "
        f"score {options.conf:g}, "
        f"{summary.ms_per_frame:.1f} ms a frame ({summary.fps:.1f} frames a second)"
        + (f", {summary.dropped} dropped to keep up" if summary.dropped else "")
        + (f", {summary.unread} more could not be read" if summary.unread else "")
        + (", interrupted" if summary.interrupted else ""),
        f"weights {options.weights}, mode {options.mode}: "
        f"{detector.what_joins(options.mode)}; size {height}x{width}, "
        f"{detector.backend} on {detector.device}",
    ]
    if options.jsonl is not None and str(options.jsonl) != "-" and summary.frames:
        lines.append(f"JSON lines in {_listed(output_names(options.jsonl, sources))}")
    if options.save_video is not None and summary.frames:
        lines.append(f"annotated video in {_listed(output_names(options.save_video, sources))}")
    if options.jsonl is None and options.save_video is None and not options.show:
        lines.append("to keep the results: --jsonl FILE, --save-video FILE; to watch: --show")
    for line in lines:
        console.print(printable(line), markup=False)


def _listed(paths: Sequence[str | Path]) -> str:
    return ", ".join(str(path) for path in paths)
