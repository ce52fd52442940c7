"""Which proposals of other frames TICAM takes from: drawn, and in numbers (FAIM, Fig. I).

    python benchmarks/attention.py --data ANN.json --weights yolov.safetensors faim.safetensors \
        --out attention.png --json attention.json

The key proposals are those of objects in degraded frames (all frames where the dataset knows none),
and every model sees a video as in global mode. A model's proposals pass FSPM's NMS at one threshold
for all, so that models of one base detector choose from the same boxes; `--nms own` leaves each its
own. The figures are of the objects that every model has a proposal of; the picture shows a few.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, get_args

from rich.console import Console
from rich.progress import Progress

from faim.arguments import path, share, whole
from faim.data.coco_vid import CocoVid
from faim.devices import resolve_device
from faim.errors import EXIT_WRONG_INPUT, FaimError
from faim.evaluation.classes import match_classes
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.ticam_detector import TicamDetector
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.masks.preview import check_preview
from faim.pictures.writing import write_image
from studies.attention.figures import difference, figures, print_figures
from studies.attention.keys import Key, find_keys
from studies.attention.references import View, Weights, views
from studies.attention.sheet import Block, draw_sheet, pick_blocks

#: FSPM's at inference (FAIM, Sec. 4).
NMS = 0.5
#: Characters that the tables take.
LEAST_WIDTH = 120

Models = Mapping[str, TicamDetector]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    try:
        run(_parser().parse_args(arguments))
    except FaimError as error:
        print(f"attention: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Look, print the tables, draw the picture, and write the JSON file if one is asked for.

    Raises:
        FaimError: the weights or the dataset are not as expected, or a file cannot be written.
    """
    check_preview(options.out)
    if options.json:
        check_writable(options.json)
    data = CocoVid(options.data)
    keys, degraded = find_keys(data, options.references, options.limit, options.seed)
    models = load_models(options, data)
    blocks = compare(models, keys, options)
    report = {
        "data": str(options.data),
        "objects": len(keys),
        "degraded": degraded,
        "key_proposals": len(blocks),
        "same_proposals": all(len(block.key_boxes) == 1 for block in blocks),
        "nms": options.nms,
        "references": options.references,
        **_summary(blocks, list(models)),
        "machine": machine(),
    }
    console = Console()
    console.width = max(console.width, LEAST_WIDTH)
    print_figures(report, console)
    _print_basis(report, console)
    picked = pick_blocks(blocks, options.keys, options.seed)
    sheet = draw_sheet(picked, data.classes, options.round, options.references)
    write_image(options.out, sheet)
    if options.json:
        write_json(options.json, report)
    return report


def load_models(options: argparse.Namespace, data: CocoVid) -> Models:
    """The models by name: their titles, and the files too where titles are alike.

    Raises:
        FaimError: weights that are not of a TICAM, or not of the dataset's classes; or the second
            round is asked for and a model has none.
    """
    device = resolve_device(options.device)
    found = {file: load_model(file, device=device) for file in dict.fromkeys(options.weights)}
    titles = [model.config.title for model in found.values()]
    models = {}
    for file, model in found.items():
        if not isinstance(model, TicamDetector):
            raise FaimError(
                f"{file}: a plain YOLOX checkpoint, which has no TICAM; expected weights of YOLOV "
                "or FAIM"
            )
        if options.round == "second" and not model.config.affinity_average:
            raise FaimError(
                f"{file}: a model without a second round (affinity_average is false); expected "
                "--round first"
            )
        match_classes(model.config.class_names, data)
        if options.nms != "own":
            model.fspm.nms_test = options.nms
        title = model.config.title
        models[title if titles.count(title) == 1 else f"{title} ({file})"] = model
    return models


def compare(models: Models, keys: Sequence[Key], options: argparse.Namespace) -> list[Block]:
    """What each model takes for each key that all of them have a proposal of.

    Raises:
        FaimError: there is none, or an image cannot be read.
    """
    blocks = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("objects", total=len(keys))
        for _, group in groupby(keys, key=lambda key: key.video.video_id):
            of_video = list(group)
            columns = [
                views(model, of_video[0].video, of_video, options.references)
                for model in models.values()
            ]
            for key, *row in zip(of_video, *columns, strict=True):
                known = {n: view for n, view in zip(models, row, strict=True) if view is not None}
                if len(known) == len(models):
                    blocks.append(Block(key, known))
            progress.advance(task, len(of_video))
    if not blocks:
        raise FaimError(
            f"{options.data}: none of {len(keys)} objects has a proposal (IoU 0.5) of every model; "
            "expected weights that find some"
        )
    return blocks


def _summary(blocks: Sequence[Block], names: Sequence[str]) -> dict[str, Any]:
    """Figures of every model, and what sets each apart from the first."""
    keys = [block.key for block in blocks]
    kinds: tuple[Weights, ...] = get_args(Weights)
    columns: dict[str, dict[Weights, list[View]]] = {
        name: {kind: [block.views[name][kind] for block in blocks] for kind in kinds}
        for name in names
    }
    first = columns[names[0]]
    return {
        "videos": len({key.video.video_id for key in keys}),
        "models": {
            name: {kind: figures(column) for kind, column in columns[name].items()}
            for name in names
        },
        "differences": [
            {"of": name, "minus": names[0], "weights": kind,
             **difference(keys, first[kind], columns[name][kind])}
            for name in names[1:] for kind in kinds
        ],
    }  # fmt: skip


def _print_basis(report: Mapping[str, Any], console: Console) -> None:
    kind = "degraded frames" if report["degraded"] else "all frames (no frame is called degraded)"
    console.print(
        f"{report['key_proposals']} of {report['objects']} objects in {kind} have a key proposal, "
        f"in {report['videos']} videos"
    )
    if not report["same_proposals"]:
        console.print("The models do not share their proposals: each has its own of the objects.")


def _nms(text: str) -> float | str:
    return text if text == "own" else share(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=path, required=True, help="annotation file")
    parser.add_argument("--weights", type=path, nargs="+", required=True, help="TICAM checkpoints")
    parser.add_argument("--out", type=path, required=True, help="picture to write (.png or .jpg)")
    parser.add_argument("--keys", type=whole(1), default=4, help="objects drawn (4)")
    parser.add_argument(
        "--references", type=whole(1), default=6, help="of each, drawn and counted (6)"
    )
    parser.add_argument(
        "--round",
        choices=get_args(Weights),
        default="first",
        help="whose weights are drawn (first); class and instance are the maps of the first",
    )
    parser.add_argument(
        "--nms", type=_nms, default=NMS, help=f"IoU of FSPM's NMS, or own ({NMS} for all models)"
    )
    parser.add_argument("--limit", type=whole(1), help="objects counted at most, by chance (all)")
    parser.add_argument("--seed", type=whole(0), default=0, help="of what is left to chance")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    parser.add_argument("--json", type=path, metavar="FILE", help="write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
