"""`faim bench`: one run that times everything side by side."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from faim.bench.clock import Clock, TimedRunner, median_ms, p95_ms
from faim.bench.result import BenchResult, peak_memory_mb, processor
from faim.bench.subjects import checkpoint_of, write_clip
from faim.data.transforms import LetterboxGeometry, letterbox, to_batch
from faim.errors import FaimError
from faim.families.yolox.graph_detector import GraphDetector
from faim.groups import BackendOptions, MemoryOptions
from faim.postprocess.post import linked_aggregator
from faim.runtime.opening import open_ahead
from faim.runtime.pipeline import Detector
from faim.runtime.results import Proposed, to_result
from faim.runtime.select import open_detector
from faim.runtime.sinks import JsonLinesSink
from faim.runtime.sources import FirstFrames, open_source
from faim.stream.frames import Frame, Image
from faim.stream.memory import StreamState
from faim.stream.steps import frame_groups
from faim.stream.store import ProposalStore

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
def subject(options: BenchOptions) -> Iterator[tuple[GraphDetector, GraphDetector, str]]:
    """The model, its base detector alone in the same backend, and the video's path."""
    with tempfile.TemporaryDirectory(prefix="faim-bench-") as name:
        folder = Path(name)
        weights = checkpoint_of(options.weights, folder)
        model = open_detector(weights, options.run, size=options.size)
        base = open_detector(weights, options.run, aggregate="none", size=options.size)
        video = options.source or str(write_clip(folder / "clip.mp4", options.frames + WARM_UP))
        yield model, base, video


def _bench(
    options: BenchOptions, model: GraphDetector, base: GraphDetector, video: str
) -> BenchResult:
    clock = Clock(model.runner.device)
    past = model.config.test_frames - 1 if options.bank_frames is None else options.bank_frames
    images = _read(video, options.frames + WARM_UP, clock)
    if len(images) <= WARM_UP:
        raise FaimError(f"{video}: has {len(images)} frames; expected more than {WARM_UP} to time")
    with torch.inference_mode(), ProposalStore() as store:
        detector = Detector(
            model, device=model.runner.device, memory=MemoryOptions(past), post="auto"
        )
        run = _Run(detector, model, base, clock, detector.new_state(), store)
        for start in range(0, len(images), BLOCK):
            run.block(images[start : start + BLOCK])
        run.refine()
        end_to_end = _end_to_end(detector, video, len(images))
    return _result(options, detector, model, clock, len(images) - WARM_UP, end_to_end)


@dataclass(frozen=True)
class _Run:
    """Base detector, stream and global mode over the same frames."""

    detector: Detector
    model: GraphDetector
    base: GraphDetector
    clock: Clock
    state: StreamState
    store: ProposalStore

    def block(self, images: list[Image]) -> None:
        """A stretch of the video by each in turn.

        Turns frame by frame would leave each with caches full of what the others do, which never
        happens where only one of them runs.
        """
        batches = []
        for image in images:
            with self.clock.time("letterbox"):
                boxed, geometry = letterbox(image, self.model.config.test_size)
                batch = to_batch([boxed]).to(self.model.runner.device)
            batches.append((batch, image, geometry))
        for batch, _, _ in batches:
            with self.clock.time("base"):
                _run_frame_graph(self.base, batch)
        timed = GraphDetector(TimedRunner(self.model.runner, self.clock))
        for batch, image, geometry in batches:
            self._stream_step(timed, batch, image, geometry)
        clock = Clock(self.model.runner.device)
        timed = GraphDetector(TimedRunner(self.model.runner, clock))
        for batch, _, _ in batches:
            with self.clock.time("store"):
                self.store.append(timed.propose(batch)[0].to("cpu"))
        self.clock.seconds["global networks"] += _sums(clock.seconds)

    def _stream_step(
        self, timed: GraphDetector, batch: Tensor, image: Image, geometry: LetterboxGeometry
    ) -> None:
        """What `Detector.advance` does between letterboxing and detections."""
        aggregator, bank = linked_aggregator("auto", timed.aggregator), self.state.bank
        with self.clock.time("stream"):
            with self.clock.time("propose"):
                key = timed.propose(batch)[0]
            with self.clock.time("aggregate"):
                references = bank.padded() if aggregator.padded else bank.stacked()
                probabilities, entry = aggregator.step(key, references)
                bank.append(entry)
        item = Proposed(Frame(0, 0.0, image), geometry, key)
        with self.clock.time("post-processing"):
            _, self.state.post = self.detector.conclude(item, probabilities, self.state.post)

    def refine(self) -> None:
        """Global mode's second pass, in groups of the model's `test_frames`."""
        groups = frame_groups(len(self.store), self.model.config.test_frames, "uniform", 0)
        for group in groups:
            with self.clock.time("refine"):
                together = self.store.group(group).to(self.model.runner.device)
                self.model.aggregator.refine(together)
            self.clock.seconds["refine a frame"] += [
                self.clock.seconds["refine"][-1] / len(group)
            ] * len(group)


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


def _run_frame_graph(detector: GraphDetector, batch: Tensor) -> None:
    detector.runner.run("frame", {"images": batch.permute(0, 2, 3, 1).contiguous()})


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
    model: GraphDetector,
    clock: Clock,
    frames: int,
    end_to_end: float,
) -> BenchResult:
    seconds = {stage: times[WARM_UP:] for stage, times in clock.seconds.items()}
    share = median_ms(clock.seconds["refine a frame"])
    networks = _sums(seconds, ("frame", "describe", "aggregate"))
    base_ms, stream_ms = median_ms(seconds["base"]), median_ms(networks)
    step_ms, global_step_ms = median_ms(seconds["stream"]), median_ms(seconds["store"]) + share
    return BenchResult(
        weights=options.weights,
        backend=f"{model.runner.backend} {model.runner.precision}",
        device=str(model.runner.device),
        size=model.config.test_size,
        bank_frames=detector.bank_frames,
        joined_by=detector.what_joins("stream"),
        num_proposals=model.config.num_proposals,
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
    selection = [a - b for a, b in zip(seconds["propose"], networks, strict=True)]
    return {
        "decode": median_ms(seconds["decode"]),
        "letterbox": median_ms(seconds["letterbox"]),
        "frame graph": median_ms(seconds["frame"]),
        "FSPM": median_ms(selection),
        "branch and IFEM": median_ms(seconds.get("describe", [0.0])),
        "TICAM": median_ms(seconds["aggregate"]),
        "post-processing": median_ms(seconds["post-processing"]),
    }
