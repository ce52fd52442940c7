"""Options of `faim masks`."""

from __future__ import annotations

import argparse
from pathlib import Path

from faim.arguments import path, share, take_overrides_anywhere, whole
from faim.errors import FaimError
from faim.masks.methods import METHODS
from faim.outputs import add_input, add_output, nothing
from faim.text import printable
from faim.wording import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    parser.epilog = "faim masks eval compares masks with true ones: see faim masks eval --help."
    parser.add_argument("annotations", type=path, metavar="ANN.json", help="CocoVID or COCO file")
    parser.add_argument("--method", help=f"what makes the masks: {', '.join(METHODS)}")
    add_output(
        parser,
        "--out",
        writes=lambda _, parsed: [] if parsed.method is None else [_target(parsed)],
        type=path,
        metavar="OUT.json",
        help="file to write (ANN.masks.json)",
    )
    add_input(
        parser,
        "--images",
        reads=nothing,
        type=path,
        metavar="DIR",
        help="where image names start",
    )
    parser.add_argument(
        "--checkpoint", metavar="W", help="short for checkpoint=W, of methods with a network"
    )
    parser.add_argument(
        "--workers",
        type=whole(0),
        help="processes, for methods without a network (as many as there are processors, up to 8)",
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first problem instead of counting it"
    )
    masks = parser.add_mutually_exclusive_group()
    masks.add_argument(
        "--replace", action="store_true", help="make the masks that are there already again"
    )
    masks.add_argument(
        "--keep", action="store_true", help="leave the masks that are there, and make the others"
    )
    add_output(
        parser,
        "--preview",
        type=path,
        metavar="PNG",
        help="draw some frames; without --method, of ANN",
    )
    _add_finishing(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="any parameter of the method"
    )
    take_overrides_anywhere(parser)
    parser.set_defaults(run=run)


def _add_finishing(parser: argparse.ArgumentParser) -> None:
    """The fields of `Finishing`; None is its default."""
    group = parser.add_argument_group("what is done to every mask")
    group.add_argument(
        "--margin",
        type=share,
        help="clip to the box and this share of its sides around it (0.05)",
    )
    group.add_argument(
        "--holes",
        type=share,
        help="fill holes of at most this share of the object (1; not with box)",
    )
    group.add_argument(
        "--least",
        type=share,
        help="a mask of less than this share of its box has failed: then GrabCut's, then the box "
        "(0.05; not with box)",
    )


def run(parsed: argparse.Namespace) -> int:
    """`faim masks`."""
    if parsed.method is None and parsed.preview is None:
        raise FaimError(f"no --method; expected one of {', '.join(METHODS)}")
    from faim.masks.preview import check_preview, write_preview

    if parsed.preview is not None:
        check_preview(parsed.preview)
    drawn = parsed.annotations if parsed.method is None else _make(parsed)
    if parsed.preview is not None:
        images = parsed.images or parsed.annotations.parent
        count = write_preview(drawn, parsed.preview, images=images)
        print(f"wrote {printable(str(parsed.preview))}: {counted(count, 'frame')}")
    return 0


def _target(parsed: argparse.Namespace) -> Path:
    """The file that the masks go to."""
    if not parsed.annotations.name:
        raise FaimError(f"{parsed.annotations}: is a folder; expected a CocoVID or COCO file")
    return parsed.out or parsed.annotations.with_suffix(".masks.json")


def _make(parsed: argparse.Namespace) -> Path:
    """Run the method, and return the file that was written."""
    from faim.masks.finish import Finishing
    from faim.masks.methods import make_method
    from faim.masks.run import MaskRequest, run_masks

    overrides = list(parsed.overrides)
    if parsed.checkpoint is not None:
        overrides.append(f"checkpoint={parsed.checkpoint}")
    method = make_method(parsed.method, overrides)
    names = ("margin", "holes", "least")
    given = {name: value for name in names if (value := getattr(parsed, name)) is not None}
    if method.exact and (useless := given.keys() & {"holes", "least"}):
        raise FaimError(
            f"--{min(useless)}: method {method.name} makes exact masks, in which no hole is filled "
            "and none is too small; expected neither --holes nor --least"
        )
    out = _target(parsed)
    request = MaskRequest(
        annotations=parsed.annotations,
        out=out,
        method=method,
        images=parsed.images,
        finishing=Finishing(**given),
        workers=parsed.workers,
        strict=parsed.strict,
        existing="replace" if parsed.replace else "keep" if parsed.keep else "refuse",
    )
    run_masks(request)
    return out
