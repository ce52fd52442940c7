"""Options of `faim synth`."""

from __future__ import annotations

import argparse

from faim.arguments import path, whole
from faim.outputs import add_output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    add_output(
        parser,
        "--out",
        writes=lambda out, _: [out / "annotations.json"],
        type=path,
        required=True,
        help="folder to write to",
    )
    parser.add_argument("--videos", type=whole(1), default=20)
    parser.add_argument("--frames", type=whole(1), default=32, help="frames a video")
    parser.add_argument("--size", type=whole(64), default=256, help="side in pixels")
    parser.add_argument("--classes", type=whole(1), default=8)
    parser.add_argument("--severity", choices=("easy", "hard"), default="hard")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument(
        "--edition",
        type=int,
        choices=(1, 2),
        default=1,
        help="2 has several objects of a class, and small and large ones",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim synth`."""
    from faim.data.synth import generate

    path = generate(
        parsed.out,
        videos=parsed.videos,
        frames=parsed.frames,
        size=parsed.size,
        classes=parsed.classes,
        severity=parsed.severity,
        seed=parsed.seed,
        edition=parsed.edition,
    )
    print(f"wrote {path}")
    return 0
