"""Resident memory over a long stream: python benchmarks/memory.py --frames 10000.

Feeds one detector, as a stream, with frames that are made on the spot, and prints how much the
process grew after the first 500 frames. Reads /proc, so it runs on Linux only.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import faim
from faim.arguments import add_backend_options, add_bank_options, size, whole
from faim.bench.result import processor
from faim.errors import FaimError
from faim.files import check_writable, write_json
from faim.stream.frames import Image
from faim.weights import default_weights

SETTLED = 500
REPORTS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default=default_weights())
    parser.add_argument("--size", type=size)
    parser.add_argument("--frames", type=whole(SETTLED + 1), default=10_000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    add_backend_options(parser)
    add_bank_options(parser)
    try:
        run(parser.parse_args(arguments))
    except FaimError as error:
        print(f"memory: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Stream, and print the resident memory as it goes."""
    if options.json:
        check_writable(options.json)
    detector = faim.load(
        options.weights,
        size=options.size,
        backend=options.backend,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        bank_frames=options.bank,
        bank_policy=options.bank_policy,
        scene_cuts=options.scene_cuts,
    )
    state = detector.new_state()
    sizes: dict[int, float] = {}
    started = time.perf_counter()
    for count, image in enumerate(frames(options.frames), start=1):
        detector.advance([image], [state])
        if count == SETTLED or count % max(options.frames // REPORTS, 1) == 0:
            sizes[count] = resident_mb()
            print(f"{count:6d} frames  {sizes[count]:8.1f} MB", flush=True)
    growth = resident_mb() - sizes[SETTLED]
    seconds = time.perf_counter() - started
    print(
        f"{growth:+.1f} MB after the first {SETTLED} frames, {state.resets} scene cuts, "
        f"{1000 * seconds / options.frames:.1f} ms a frame, {detector.backend}, {processor()}"
    )
    if options.json:
        write_json(
            options.json,
            {
                "growth_mb": growth,
                "frames": options.frames,
                "resident_mb": {str(k): v for k, v in sizes.items()},
            },
        )


def frames(count: int) -> Iterator[Image]:
    """Patches that come and go over a changing background, so that proposals vary."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (20, 34, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((15, 16, 1), np.uint8))
    for _ in range(count):
        high, wide = generator.integers(20, 160, 2)
        row = generator.integers(0, image.shape[0] - high)
        column = generator.integers(0, image.shape[1] - wide)
        image[row : row + high, column : column + wide] = generator.integers(0, 256, 3)
        yield image.copy()


def resident_mb() -> float:
    """Resident memory of this process in MB (10^6 bytes)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError as error:
        raise FaimError(f"/proc/self/statm: cannot be read ({error}); expected Linux") from error
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
