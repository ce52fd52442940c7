"""The options of `faim bench`, and its report on the terminal."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from faim.arguments import add_backend_options, backend_options, path, size, whole
from faim.outputs import add_input, add_output, source_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    parser.add_argument(
        "--weights",
        "-c",
        help="checkpoint, exported folder, or a variant's name such as faim_s, yolov_s or "
        "yolox_nano, which is then timed with random weights (default: the embedded FAIM-Nano)",
    )
    parser.add_argument("--size", type=size, help="network input: an integer, or HxW")
    add_input(
        parser,
        "--source",
        reads=source_files,
        metavar="VIDEO",
        help="video to read (default: a generated one)",
    )
    parser.add_argument("--frames", type=whole(1), default=100, help="frames to time (100)")
    parser.add_argument("--bank", type=whole(0), metavar="N", help="past frames of a stream (31)")
    add_output(parser, "--json", type=path, metavar="FILE", help="write the figures as JSON")
    add_backend_options(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Time, print, and write the JSON file if one is asked for.

    Raises:
        FaimError: see `run_bench`; or the file cannot be written.
    """
    from rich.console import Console

    from faim.bench.result import print_result
    from faim.bench.run import BenchOptions, run_bench
    from faim.files import check_writable, write_json
    from faim.weights import default_weights

    if parsed.json:
        check_writable(parsed.json)
    result = run_bench(
        BenchOptions(
            weights=parsed.weights or str(default_weights()),
            size=parsed.size,
            run=backend_options(parsed),
            source=parsed.source,
            frames=parsed.frames,
            bank_frames=parsed.bank,
        )
    )
    if parsed.json:
        write_json(parsed.json, asdict(result))
    print_result(Console(highlight=False), result)
    return 0
