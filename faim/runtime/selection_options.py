"""Options of `faim predict` for what is detected, and in which frames."""

from __future__ import annotations

import argparse

from faim.arguments import share, whole
from faim.choices import MOST_BATCH
from faim.groups import ExcerptOptions, SelectionOptions


def add_selection_options(parser: argparse.ArgumentParser) -> None:
    """What of a frame is given out, and which frames are looked at."""
    found = parser.add_argument_group("what is detected")
    found.add_argument(
        "--classes",
        metavar="LIST",
        help="only these, by name or number, as in person,car (all)",
    )
    found.add_argument(
        "--iou",
        type=share,
        help="of two boxes of a class that overlap by more, the weaker is left out (the model's)",
    )
    found.add_argument(
        "--agnostic", action="store_true", help="of two boxes of different classes too"
    )
    found.add_argument("--max-det", type=whole(1), metavar="N", help="the N best of a frame (all)")
    found.add_argument(
        "--roi",
        metavar="FILE|X1,Y1,X2,Y2,X3,Y3…",
        help="only what has its box's centre in a polygon (in pixels, or shares of the frame from "
        "0 to 1; semicolons between several), in the polygons of a .json file, or in the white of "
        "a mask image",
    )
    looked = parser.add_argument_group("which frames are looked at")
    looked.add_argument(
        "--stride", type=whole(1), default=1, metavar="N", help="every N-th frame (1)"
    )
    looked.add_argument(
        "--start", metavar="TIME", help="from this time of a file on: seconds, or H:MM:SS"
    )
    looked.add_argument("--end", metavar="TIME", help="up to this time of a file")
    looked.add_argument("--limit", type=whole(1), metavar="N", help="stop after N frames, of these")
    looked.add_argument(
        "--batch",
        type=whole(1, MOST_BATCH),
        default=8,
        metavar="N",
        help="so many at once through the base detector, in the modes global and frame (8)",
    )


def selection_options(parsed: argparse.Namespace) -> SelectionOptions:
    """Which detections are given out."""
    return SelectionOptions(parsed.classes, parsed.iou, parsed.max_det, parsed.agnostic, parsed.roi)


def excerpt_options(parsed: argparse.Namespace) -> ExcerptOptions:
    """Which frames are looked at."""
    return ExcerptOptions(parsed.stride, parsed.start, parsed.end, parsed.limit)
