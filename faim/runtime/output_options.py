"""Options of `faim predict` that say where results go and how they are drawn."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from faim.arguments import path, whole
from faim.choices import WIDEST_LINE, ColorBy
from faim.outputs import Files, add_output

if TYPE_CHECKING:
    from faim.runtime.outputs import OutputOptions

_FOLDERS = {
    "save-frames": "write annotated frames as images",
    "save-crops": "write what was found, cut out, in a folder a class",
    "yolo": "write YOLO labels with confidences and tracks",
}
_FILES = {
    "csv": "write a row a detection",
    "coco": "write COCO JSON (CocoVID)",
    "mot": "write MOTChallenge's text format",
    "cvat": "write CVAT for video 1.1, with tracks",
    "label-studio": "write Label Studio's JSON, with tracks",
}


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser; `output_options` are their values."""
    files = parser.add_argument_group("where results go; of several sources, each has its own")
    add_output(
        files,
        "--jsonl",
        writes=_files("jsonl"),
        metavar="FILE",
        help="write JSON lines; - is stdout",
    )
    add_output(
        files,
        "--save-video",
        writes=_files("save_video"),
        type=Path,
        metavar="FILE",
        help="write an annotated MP4",
    )
    for metavar, options in (("DIR", _FOLDERS), ("FILE", _FILES)):
        for name, text in options.items():
            writes = _files(name.replace("-", "_"))
            add_output(files, f"--{name}", writes=writes, type=path, metavar=metavar, help=text)
    files.add_argument("--show", action="store_true", help="show a window")
    files.add_argument(
        "--keep-audio",
        action="store_true",
        help="give the video of --save-video the sound of its source, a video file",
    )
    files.add_argument(
        "--no-track", dest="track", action="store_false", help="leave track ids out of everything"
    )
    drawn = parser.add_argument_group("what is drawn")
    drawn.add_argument(
        "--line-width", type=whole(1, WIDEST_LINE), metavar="N", help="pixels (by the frame)"
    )
    drawn.add_argument("--hide-labels", action="store_true", help="boxes without text")
    drawn.add_argument("--hide-scores", action="store_true", help="labels without scores")
    drawn.add_argument("--trace", action="store_true", help="the path of each track")
    drawn.add_argument(
        "--color-by", choices=get_args(ColorBy), help="(track, where there are tracks)"
    )


def output_options(parsed: argparse.Namespace) -> OutputOptions:
    """Where results go, and how they are drawn."""
    from faim.runtime.outputs import OutputOptions

    return OutputOptions(
        **{each.name: getattr(parsed, each.name) for each in fields(OutputOptions)}
    )


def _files(name: str) -> Files:
    """What the field `name` of `OutputOptions` writes."""

    def files(value: str | Path | None, parsed: argparse.Namespace) -> list[Path]:
        from faim.runtime.outputs import OUTPUTS, output_names
        from faim.runtime.source_list import listed_sources

        sources = len(listed_sources(parsed.source))
        return OUTPUTS[name].files(output_names(value, sources))

    return files
