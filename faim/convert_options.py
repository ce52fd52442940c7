"""Options of `faim convert`."""

from __future__ import annotations

import argparse

from faim.arguments import path
from faim.outputs import add_output
from faim.wording import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    parser.add_argument("source", help="published YOLOX or YOLOV .pth, or its name")
    add_output(parser, "--out", type=path, required=True, help="safetensors file to write")
    parser.add_argument("--classes", help="class names, separated by commas")
    parser.add_argument(
        "--guided",
        action="store_true",
        help="a YOLOV trained with the code from before 2024, whose objectness guided the "
        "regression attention",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim convert`."""
    from faim.families.yolox.checkpoint import guided, load_model, save_checkpoint

    names = tuple(parsed.classes.split(",")) if parsed.classes else None
    model = load_model(parsed.source, class_names=names)
    if parsed.guided:
        model = guided(model, parsed.source)
    save_checkpoint(parsed.out, model)
    print(f"wrote {parsed.out}: {model.config.title}, {counted(model.config.num_classes, 'class')}")
    return 0
