"""`faim bench`: one run that times everything side by side."""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from faim.bench.clock import Clock
from faim.bench.result import BenchResult, peak_memory_mb, processor
from faim.bench.subjects import checkpoint_of, write_clip
from faim.data.transforms import LetterboxGeometry, letterbox, to_batch
from faim.detector import VideoDetector
from faim.errors import FaimError
from faim.groups import BackendOptions, MemoryOptions
from faim.postprocess.post import before
from faim.runtime.opening import open_ahead
from faim.runtime.pipeline import Detector
from faim.runtime.results import to_result
from faim.runtime.select import open_detector
from faim.runtime.sinks import JsonLinesSink
from faim.runtime.sources import FirstFrames, open_source
from faim.stream.frames import Frame, Image
from faim.stream.state import StreamState
from faim.stream.steps import frame_groups
from faim.stream.store import SeenStore
from faim.stream.work import Looked
from faim.timing import median_ms, p95_ms

WARM_UP = 10
#: Frames that each of the subjects sees before it is the next one's turn.
BLOCK = 10


@dataclass(frozen=True)
class BenchOptions:
    """One call of `faim bench`.

    Attributes:
        weights: what `faim.load` takes, or the name of a variant ("faim_s"), which is then timed
            with random weights.
        size: height and width of the network input; the model's own by default.
        run: backend, device, precision, threads.
        source: video that is read; a generated one by default.
        frames: that are timed.
        bank_frames: past frames that a stream looks back at; the model's own number by default.
    """

    weights: str
    size: tuple[int, int] | None = None
    run: BackendOptions = field(default_factory=BackendOptions)
    source: str | None = None
    frames: int = 100
    bank_frames: int | None = None


def run_bench(options: BenchOptions) -> BenchResult:
    """Time a model.

    Base detector, stream and global mode take turns on every ten frames, so that what else the
    machine does falls on all three alike.

    Raises:
        FaimError: see `faim.load` and `open_source`; or the video has too few frames.
    """
    with subject(options) as (model, base, video):
        return _bench(options, model, base, video)


@contextmanager
def subject(options: BenchOptions) -> Iterator[tuple[VideoDetector, VideoDetector, str]]:
    """The model, its base detector alone in the same backend, and the video's path."""
    with tempfile.TemporaryDirectory(prefix="faim-bench-") as name:
        folder = Path(name)
        weights = checkpoint_of(options.weights, folder)
        model = open_detector(weights, options.run, size=options.size)
        base = open_detector(weights, options.run, aggregate="none", size=options.size)
        video = options.source or str(write_clip(folder / "clip.mp4", options.frames + WARM_UP))
        yield model, base, video


def _bench(
    options: BenchOptions, model: VideoDetector, base: VideoDetector, video: str
) -> BenchResult:
    clock = Clock(model.device)
    past = model.traits.frames - 1 if options.bank_frames is None else options.bank_frames
    images = _read(video, options.frames + WARM_UP, clock)
    if len(images) <= WARM_UP:
        raise FaimError(f"{video}: has {len(images)} frames; expected more than {WARM_UP} to time")
    with torch.inference_mode(), SeenStore() as store:
        memory = MemoryOptions(past)
        detector = Detector(model, device=model.device, memory=memory, post="auto")
        run = _Run(detector, model, base, clock, detector.new_state(), store)
        for start in range(0, len(images), BLOCK):
            run.block(images[start : start + BLOCK])
        run.decide_together()
        end_to_end = _end_to_end(detector, video, len(images))
    return _result(options, detector, model, clock, len(images) - WARM_UP, end_to_end)


@dataclass(frozen=True)
class _Run:
    """Base detector, stream and global mode over the same frames."""

    detector: Detector
    model: VideoDetector
    base: VideoDetector
    clock: Clock
    state: StreamState
    store: SeenStore

    def block(self, images: list[Image]) -> None:
        """A stretch of the video by each in turn.

        Turns frame by frame would leave each with caches full of what the others do, which never
        happens where only one of them runs.
        """
        batches = []
        for image in images:
            with self.clock.time("letterbox"):
                boxed, geometry = letterbox(image, self.detector.traits.size)
                batch = to_batch([boxed]).to(self.model.device)
            batches.append((batch, image, geometry))
        clock = Clock(self.model.device)
        base = self.base.timed(clock.time)
        for batch, _, _ in batches:
            base.look(batch)
        self.clock.seconds["base"] += clock.seconds["frame"]
        timed = self.model.timed(self.clock.time)
        for batch, image, geometry in batches:
            self._stream_step(timed, batch, image, geometry)
        clock = Clock(self.model.device)
        timed = self.model.timed(clock.time)
        for batch, _, _ in batches:
            with self.clock.time("store"):
                self.store.append(timed.look(batch)[0].to("cpu"))
        self.clock.seconds["global networks"] += _sums(clock.seconds)

    def _stream_step(
        self, timed: VideoDetector, batch: Tensor, image: Image, geometry: LetterboxGeometry
    ) -> None:
        """What `Detector.advance` does between letterboxing and detections."""
        seconds = self.clock.seconds
        with self.clock.time("look"):
            seen = timed.look(batch)[0]
        joined = copy.copy(self.detector)
        joined.joined = before("auto", timed)
        aggregations = len(seconds["aggregate"])
        with self.clock.time("decide"):
            item = Looked(Frame(0, 0.0, image), geometry, seen)
            _, entry, self.state.post = joined.decide(item, self.state.bank, self.state.post)
        if len(seconds["aggregate"]) == aggregations:  # it joins no frames
            seconds["aggregate"].append(0.0)
        after = seconds["decide"][-1] - seconds["aggregate"][-1]
        with self.clock.time("append"):
            self.state.bank.append(entry)
        seconds["aggregate"][-1] += seconds["append"][-1]
        seconds["post-processing"].append(after)
        seconds["stream"].append(seconds["look"][-1] + seconds["aggregate"][-1])

    def decide_together(self) -> None:
        """Global mode's second pass, in groups of the frames that a model looks at together."""
        timed = self.model.timed(self.clock.time)
        for group in frame_groups(len(self.store), self.detector.traits.frames, "uniform", 0):
            streams = len(self.clock.seconds["aggregate"])
            read = Clock(self.model.device)
            with read.time("read"):
                together = self.store.group(group).to(self.model.device)
            timed.decide(together)
            joined = sum(self.clock.seconds["aggregate"][streams:])
            del self.clock.seconds["aggregate"][streams:]
            share = (read.seconds["read"][0] + joined) / len(group)
            self.clock.seconds["decide a frame"] += [share] * len(group)


def _read(video: str, limit: int, clock: Clock) -> list[Image]:
    """The first frames. All at once: a decoder's threads would disturb what is timed."""
    images: list[Image] = []
    with FirstFrames(open_source(video), limit) as source:
        frames = iter(source)
        while True:
            started = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                return images
            clock.seconds["decode"].append(time.perf_counter() - started)
            images.append(frame.image)


def _end_to_end(detector: Detector, video: str, limit: int) -> float:
    """Seconds a frame from file to JSON lines, as `faim predict --jsonl` does it."""
    times: list[float] = []
    frames = FirstFrames(open_ahead(video), limit)
    with tempfile.TemporaryDirectory() as folder, frames as source:
        sink = JsonLinesSink(Path(folder) / "out.jsonl")
        for result in detector.run(source, "stream"):
            sink.write(to_result(result, detector.class_names, source.name))
            times.append(time.perf_counter())
        sink.close()
    # Of the whole run, so that frames decoded ahead during the start do not count as free.
    return (times[-1] - times[WARM_UP - 1]) / (len(times) - WARM_UP)


def _result(
    options: BenchOptions,
    detector: Detector,
    model: VideoDetector,
    clock: Clock,
    frames: int,
    end_to_end: float,
) -> BenchResult:
    seconds = {stage: times[WARM_UP:] for stage, times in clock.seconds.items()}
    share = median_ms(clock.seconds["decide a frame"])
    networks = _sums(seconds, ("frame", "describe", "aggregate"))
    base_ms, stream_ms = median_ms(seconds["base"]), median_ms(networks)
    step_ms, global_step_ms = median_ms(seconds["stream"]), median_ms(seconds["store"]) + share
    return BenchResult(
        weights=options.weights,
        backend=model.traits.runs_on,
        device=str(model.device),
        size=model.traits.size,
        bank_frames=detector.bank_frames,
        joined_by=detector.what_joins("stream"),
        num_proposals=int(model.traits.details.get("proposals", 0)),
        base_ms=base_ms,
        stream_ms=stream_ms,
        global_ms=median_ms(seconds["global networks"]) + share,
        ratio=stream_ms / base_ms,
        stream_step_ms=step_ms,
        global_step_ms=global_step_ms,
        step_ratio=step_ms / base_ms,
        global_over_stream=global_step_ms / step_ms,
        p95_ms={
            "base": p95_ms(seconds["base"]),
            "stream": p95_ms(networks),
            "global": p95_ms(seconds["global networks"]) + share,
            "stream_step": p95_ms(seconds["stream"]),
            "global_step": p95_ms(seconds["store"]) + share,
        },
        stages=_stages(seconds),
        end_to_end_ms=1000 * end_to_end,
        end_to_end_fps=1 / end_to_end,
        end_to_end_over_base=1000 * end_to_end / base_ms,
        peak_memory_mb=peak_memory_mb(),
        frames=frames,
        machine=f"{processor()}, {torch.get_num_threads()} threads",
    )


def _sums(
    seconds: Mapping[str, list[float]], stages: Sequence[str] = ("frame", "describe")
) -> list[float]:
    """Of every frame the sum of those stages that there are."""
    return [
        sum(parts) for parts in zip(*(seconds[s] for s in stages if seconds.get(s)), strict=True)
    ]


def _stages(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Medians; FSPM is what `propose` takes besides its graphs, TICAM includes the bank."""
    networks = _sums(seconds)
    selection = [a - b for a, b in zip(seconds["look"], networks, strict=True)]
    return {
        "decode": median_ms(seconds["decode"]),
        "letterbox": median_ms(seconds["letterbox"]),
        "frame graph": median_ms(seconds["frame"]),
        "FSPM": median_ms(selection),
        "branch and IFEM": median_ms(seconds.get("describe", [0.0])),
        "TICAM": median_ms(seconds["aggregate"]),
        "post-processing": median_ms(seconds["post-processing"]),
    }
