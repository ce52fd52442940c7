"""Speed of streams against what the paper varies: frames in the bank, and proposals a frame.

    python benchmarks/streaming.py --weights faim_s --json docs/speed_faim_s.json
    python benchmarks/streaming.py --plot docs/images/speed.png docs/speed_*.json

Each line of a table is timed in turns with its neighbours, in one process. The medians are
compared as ratios: the machine may be shared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from faim.arguments import add_backend_options, size, whole
from faim.bench.clock import Clock
from faim.bench.result import print_result
from faim.bench.run import BenchOptions, run_bench
from faim.bench.subjects import checkpoint_of
from faim.data.transforms import to_batch
from faim.detector import VideoDetector
from faim.errors import FaimError
from faim.files import check_writable, write_json
from faim.runtime.select import BackendOptions, open_detector
from faim.stream.memory import MemoryBank
from faim.stream.steps import step
from faim.structures import TensorRecord

BANKS = (8, 16, 31, 64, 127)
PROPOSALS = (10, 30, 50, 75, 100)
WARM_UP = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="faim_s", help="variant, checkpoint or folder")
    parser.add_argument("--size", type=size)
    parser.add_argument("--frames", type=whole(10), default=60, help="frames a line (60)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", nargs="+", type=Path, metavar="FILE", help="PNG, then JSON files")
    add_backend_options(parser)
    parsed = parser.parse_args(arguments)
    try:
        if parsed.plot:
            plot(parsed.plot[0], parsed.plot[1:])
        else:
            run(parsed)
    except FaimError as error:
        print(f"streaming: {error}", file=sys.stderr)
        return 2
    return 0


def run(parsed: argparse.Namespace) -> None:
    """All tables, printed, and written as JSON if asked for."""
    console = Console(highlight=False)
    if parsed.json:
        check_writable(parsed.json)
    options = BenchOptions(
        weights=parsed.weights,
        size=parsed.size,
        run=BackendOptions(
            parsed.backend, parsed.device, parsed.precision, parsed.threads, parsed.compile
        ),
        frames=parsed.frames,
    )
    overall = run_bench(options)
    print_result(console, overall)
    banks = sweep(options, [(None, bank) for bank in BANKS])
    proposals = sweep(options, [(count, 31) for count in PROPOSALS])
    reference = banks[BANKS.index(31)]["stream_ms"]
    _print(console, "frames in the bank", BANKS, banks, reference)
    reference = proposals[PROPOSALS.index(30)]["stream_ms"]
    _print(console, "proposals a frame", PROPOSALS, proposals, reference)
    if parsed.json:
        content = {
            "overall": asdict(overall),
            "banks": dict(zip(map(str, BANKS), banks, strict=True)),
            "proposals": dict(zip(map(str, PROPOSALS), proposals, strict=True)),
        }
        write_json(parsed.json, content)


def sweep(options: BenchOptions, lines: list[tuple[int | None, int]]) -> list[dict[str, float]]:
    """Whole stream steps with full banks, for lines of (proposals a frame, frames in the bank)."""
    with tempfile.TemporaryDirectory(prefix="faim-bench-") as folder, torch.inference_mode():
        models: dict[int | None, VideoDetector] = {}
        for count, _ in lines:
            if count not in models:
                weights = checkpoint_of(options.weights, Path(folder), count)
                models[count] = open_detector(weights, options.run, size=options.size)
        subjects = [(models[count], MemoryBank[TensorRecord](bank)) for count, bank in lines]
        clocks = [Clock(model.device) for model, _ in subjects]
        generator = np.random.default_rng(0)
        height, width = subjects[0][0].traits.size
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        batch = to_batch([image]).to(subjects[0][0].device)
        for model, bank in subjects:
            fill(model, bank, batch)
        for _ in range(options.frames // WARM_UP + 1):
            for (model, bank), clock in zip(subjects, clocks, strict=True):
                for _ in range(WARM_UP):
                    _step(model, bank, batch, clock)
    return [
        {"stream_ms": clock.ms("stream", WARM_UP), "aggregate_ms": clock.ms("aggregate", WARM_UP)}
        for clock in clocks
    ]


def fill(model: VideoDetector, bank: MemoryBank[TensorRecord], batch: torch.Tensor) -> None:
    """One entry, as often as the bank has room."""
    _, entry = model.step(model.look(batch)[0], None)
    entry = entry.map(torch.clone)
    for _ in range(bank.capacity):
        bank.append(entry)


def _step(
    model: VideoDetector, bank: MemoryBank[TensorRecord], batch: torch.Tensor, clock: Clock
) -> None:
    """One, timed as "stream" without the last NMS; "aggregate" is the joining of frames in it."""
    timed, seconds = model.timed(clock.time), clock.seconds
    with clock.time("look"):
        key = timed.look(batch)[0]
    _, entry = step(timed, key, bank)
    with clock.time("append"):
        bank.append(entry)
    seconds["aggregate"][-1] += seconds["append"][-1]
    seconds["stream"].append(seconds["look"][-1] + seconds["aggregate"][-1])


def _print(
    console: Console,
    what: str,
    values: Sequence[int],
    lines: list[dict[str, float]],
    reference: float,
) -> None:
    table = Table(title=f"a whole stream step by {what}")
    for name in (what, "step ms", "of it TICAM ms", "over the default"):
        table.add_column(name, justify="right")
    for value, line in zip(values, lines, strict=True):
        table.add_row(
            str(value),
            f"{line['stream_ms']:.2f}",
            f"{line['aggregate_ms']:.2f}",
            f"{line['stream_ms'] / reference:.3f}",
        )
    console.print(table)


def plot(path: Path, reports: Sequence[Path]) -> None:
    """Stages of a stream, and steps against the bank's length and n, of several JSON files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    check_writable(path)
    read: list[dict[str, Any]] = [json.loads(report.read_text()) for report in reports]
    names = [report["overall"]["weights"] for report in read]
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.8))
    bottom = np.zeros(len(read))
    for stage in read[0]["overall"]["stages"]:
        heights = np.array([r["overall"]["stages"][stage] / r["overall"]["base_ms"] for r in read])
        left.bar(names, heights, 0.55, bottom=bottom, label=stage)
        bottom += heights
    left.axhline(1, color="black", linewidth=0.8, linestyle="--")
    left.set_ylabel("time over the base detector's network")
    left.legend(fontsize=7, loc="lower center")
    for axis, key, label in (
        (middle, "banks", "frames in the bank"),
        (right, "proposals", "proposals a frame"),
    ):
        for name, report in zip(names, read, strict=True):
            lines = report[key]
            reference = lines["31" if key == "banks" else "30"]["stream_ms"]
            values = [line["stream_ms"] / reference for line in lines.values()]
            axis.plot([int(x) for x in lines], values, marker="o", label=name)
        axis.set_xlabel(label)
        axis.set_ylabel("stream step over the default's")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
