"""Options of `faim demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from faim.arguments import path, whole
from faim.outputs import add_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    add_output(
        parser,
        "--out",
        writes=lambda out, _: [out / "demo.mp4", out / "demo.png"],
        type=path,
        default=Path("outputs/demo"),
        help="folder to write to",
    )
    parser.add_argument("--frames", type=whole(8), default=24, help="frames a clip (24)")
    parser.add_argument("--seed", type=whole(0), help="other clips")
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim demo`."""
    from faim.demo import run_demo

    run_demo(parsed.out, frames=parsed.frames, seed=parsed.seed)
    return 0
