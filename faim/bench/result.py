"""What a benchmark came to."""

from __future__ import annotations

import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class BenchResult:
    """What a run came to; times are medians in milliseconds a frame, of the same frames.

    Attributes:
        weights: as given.
        backend: name and precision.
        device: "cpu", "cuda:0" ...
        size: height and width of the network input.
        bank_frames: past frames of the stream.
        joined_by: what joins the frames of the stream, with its post-processing.
        num_proposals: n.
        base_ms: the base detector's network alone, in the same backend.
        stream_ms: the networks of a stream: frame graph, branch and IFEM, TICAM with its memory.
        global_ms: the same in global mode, the aggregation shared by the frames of a group.
        ratio: stream_ms over base_ms.
        stream_step_ms: a whole step from network input to probabilities: the networks and the
            selection between them (FSPM).
        global_step_ms: the same in global mode, storing the proposals included.
        step_ratio: stream_step_ms over base_ms.
        global_over_stream: global_step_ms over stream_step_ms.
        p95_ms: 95th percentiles of base, stream, global, stream_step and global_step.
        stages: medians of the stages of a stream, from decoding to the final detections.
        end_to_end_ms: from the video file to JSON lines as `faim predict --jsonl` does it,
            post-processing included, decoding in a thread of its own.
        end_to_end_fps: the same as frames a second.
        end_to_end_over_base: end_to_end_ms over base_ms.
        peak_memory_mb: most resident memory of the whole process so far.
        frames: timed.
        machine: processor and number of threads that torch sees.
    """

    weights: str
    backend: str
    device: str
    size: tuple[int, int]
    bank_frames: int
    joined_by: str
    num_proposals: int
    base_ms: float
    stream_ms: float
    global_ms: float
    ratio: float
    stream_step_ms: float
    global_step_ms: float
    step_ratio: float
    global_over_stream: float
    p95_ms: dict[str, float]
    stages: dict[str, float]
    end_to_end_ms: float
    end_to_end_fps: float
    end_to_end_over_base: float
    peak_memory_mb: float
    frames: int
    machine: str


def print_result(console: Console, result: BenchResult) -> None:
    """The figures as tables."""
    height, width = result.size
    table = Table(
        title=f"{result.weights}, {height}x{width}, {result.backend} on {result.device}, bank of "
        f"{result.bank_frames} frames, {result.num_proposals} proposals a frame, {result.frames} "
        "frames"
    )
    for name in ("", "median ms", "95th percentile", "over base"):
        table.add_column(name, justify="right" if name else "left")
    for name, key, median in (
        ("base detector: network", "base", result.base_ms),
        ("stream: networks", "stream", result.stream_ms),
        ("global: networks", "global", result.global_ms),
        ("stream: with selection", "stream_step", result.stream_step_ms),
        ("global: with selection", "global_step", result.global_step_ms),
    ):
        tail = f"{result.p95_ms[key]:.2f}"
        table.add_row(name, f"{median:.2f}", tail, f"{median / result.base_ms:.3f}")
    table.add_row(
        "video file to JSON lines",
        f"{result.end_to_end_ms:.2f}",
        "",
        f"{result.end_to_end_over_base:.3f}",
    )
    stages = Table(title="stages of a stream")
    stages.add_column("stage")
    stages.add_column("median ms", justify="right")
    for name, median in result.stages.items():
        stages.add_row(name, f"{median:.2f}")
    console.print(table, stages)
    console.print(
        f"{result.end_to_end_fps:.1f} frames a second end to end as faim predict --jsonl runs it "
        f"({result.joined_by}), peak memory "
        f"{result.peak_memory_mb:.0f} MB, {result.machine}"
    )


def peak_memory_mb() -> float:
    """Most resident memory of this process so far, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
