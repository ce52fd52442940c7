"""Options of `faim data convert`: the table of kinds."""

from __future__ import annotations

import argparse
from functools import partial

from faim.data.converters.common_options import Kind, add_common, target, target_of
from faim.data.converters.imagenet_options import IMAGENET_KINDS
from faim.data.converters.video_kinds import VIDEO_KINDS
from faim.errors import FaimError

__all__ = ["KINDS", "Kind", "add_arguments", "add_common", "target"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand for each of `KINDS`."""
    kinds = parser.add_subparsers(title="kinds", required=True, metavar="KIND")
    for kind in KINDS:
        own = kinds.add_parser(kind.name, help=kind.help, description=kind.help)
        kind.add_options(own)
        own.set_defaults(run=partial(_run, kind))


def _run(kind: Kind, parsed: argparse.Namespace) -> None:
    """Convert; folders and lists that cannot be read are wrong input.

    Raises:
        FaimError: see the kind; a file or folder cannot be read.
    """
    try:
        kind.run(parsed)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FaimError(
            f"{error.filename or parsed.source}: cannot be read ({error.strerror or error}); "
            "expected readable files and folders"
        ) from error


def _davis_options(parser: argparse.ArgumentParser) -> None:
    add_common(parser, "folder of JPEGImages, Annotations and, if there is one, labels.json")
    parser.add_argument(
        "--labels",
        choices=("coco", "vid"),
        default="coco",
        help="whose class names in labels.json (coco)",
    )
    parser.add_argument("--split", help="a list in ImageSets, as train (default: every sequence)")
    parser.add_argument("--clean-only", action="store_true", help="leave crowded sequences out")


def _run_davis(parsed: argparse.Namespace) -> None:
    from faim.data.converters.davis import convert_davis2016

    convert_davis2016(
        parsed.source,
        target_of(parsed),
        labels=parsed.labels,
        clean_only=parsed.clean_only,
        split=parsed.split,
        strict=parsed.strict,
        workers=parsed.workers,
    )


KINDS: tuple[Kind, ...] = (
    Kind("davis", "DAVIS 2016: one object a sequence, with masks", _davis_options, _run_davis),
    *IMAGENET_KINDS,
    *VIDEO_KINDS,
)
