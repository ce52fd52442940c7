"""Options of `faim data convert imagenet`, `imagenet-vid` and `imagenet-det`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faim.arguments import whole
from faim.data.converters.common_options import Kind, add_common, target_of


def _shared_options(
    parser: argparse.ArgumentParser, file: Callable[[argparse.Namespace], str]
) -> None:
    add_common(parser, "folder ILSVRC2015, or the one it is in", file)
    parser.add_argument(
        "--check-images",
        action="store_true",
        help="decode every image and compare its size (slow)",
    )


def _vid_options(parser: argparse.ArgumentParser) -> None:
    _shared_options(parser, lambda parsed: f"imagenet_vid_{parsed.split}.json")
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="videos or frames (default: VID_train_15frames.txt or VID_val_videos.txt in "
        "ImageSets, else all folders)",
    )
    _every_option(parser)


def _every_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--every",
        type=whole(1),
        metavar="N",
        help="take each N-th frame of whole videos (10 in train, 1 in val)",
    )


def _det_options(parser: argparse.ArgumentParser) -> None:
    _shared_options(parser, lambda parsed: "imagenet_det_train.json")
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="images (default: DET_train_30classes.txt in ImageSets, else all that show a class "
        "of VID)",
    )


def _both_options(parser: argparse.ArgumentParser) -> None:
    _shared_options(parser, lambda parsed: "imagenet_train.json")
    parser.add_argument("--vid-list", type=Path, metavar="FILE", help="as imagenet-vid's --list")
    parser.add_argument("--det-list", type=Path, metavar="FILE", help="as imagenet-det's --list")
    _every_option(parser)


def _how(parsed: argparse.Namespace) -> dict[str, Any]:
    names = ("check_images", "strict", "workers")
    return {name: getattr(parsed, name) for name in names}


def _run_vid(parsed: argparse.Namespace) -> None:
    from faim.data.converters.imagenet import convert_imagenet_vid

    convert_imagenet_vid(
        parsed.source,
        target_of(parsed),
        split=parsed.split,
        listed=parsed.list,
        every=parsed.every,
        **_how(parsed),
    )


def _run_det(parsed: argparse.Namespace) -> None:
    from faim.data.converters.imagenet import convert_imagenet_det

    convert_imagenet_det(parsed.source, target_of(parsed), listed=parsed.list, **_how(parsed))


def _run_both(parsed: argparse.Namespace) -> None:
    from faim.data.converters.imagenet import convert_imagenet

    convert_imagenet(
        parsed.source,
        target_of(parsed),
        vid_list=parsed.vid_list,
        det_list=parsed.det_list,
        every=parsed.every,
        **_how(parsed),
    )


IMAGENET_KINDS: tuple[Kind, ...] = (
    Kind(
        "imagenet", "ImageNet VID and DET, both for training, in one file", _both_options, _run_both
    ),
    Kind("imagenet-vid", "ImageNet VID, train or val", _vid_options, _run_vid),
    Kind("imagenet-det", "ImageNet DET's images of VID's classes", _det_options, _run_det),
)
