"""Masks from boxes against true masks, method beside method.

    python benchmarks/masks_davis.py --data DAVIS --checkpoint boxvos.safetensors \
        --methods box grabcut video:1 video:9 --out outputs/masks_davis

DAVIS is a folder of `JPEGImages` and `Annotations`, one object a sequence; `--annotations` with
`--images` takes any CocoVID file with true masks in its place. The methods are given the boxes of
the true masks, and each runs as `faim masks` in one process, so all times are of one machine in one
run. `video:9` is the method `video` with `frames=9`; `--set video:interval=5` sets a parameter of
all with that method, `--set video:9:interval=5` of one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from faim.arguments import path
from faim.cli import main as faim
from faim.data.coco_vid import CocoVid
from faim.data.converters.davis import convert_davis
from faim.errors import FaimError
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.masks.evaluation.evaluate import evaluate_masks
from faim.masks.evaluation.progress import bar
from faim.masks.evaluation.scores import MaskScores
from faim.masks.evaluation.table import COLUMNS, cells
from faim.masks.methods import make_method
from faim.reading import read_json

METHODS = ("box", "grabcut", "video:1", "video:3", "video:5", "video:9")


@dataclass(frozen=True)
class Result:
    """One method's masks.

    Attributes:
        label: as on the command line.
        scores: against the true masks.
        made: what the file says of itself: method, parameters, counts.
        seconds: of the whole command.
    """

    label: str
    scores: MaskScores
    made: dict[str, Any]
    seconds: float

    @property
    def seconds_per_mask(self) -> float:
        """Wall seconds, reading and writing included."""
        return self.seconds / max(self.made["counts"]["masks"], 1)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON values."""
        times = {"seconds": self.seconds, "seconds_per_mask": self.seconds_per_mask}
        return {**self.scores.to_json(), **times, "made": self.made}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    options = _parser().parse_args(arguments)
    try:
        run(options)
    except FaimError as error:
        print(f"masks_davis: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace, console: Console | None = None) -> list[Result]:
    """Run all methods, print the tables, and write the figures after each method."""
    started, console = time.monotonic(), console or Console(highlight=False, soft_wrap=True)
    figures = options.json or options.out / "figures.json"
    check_writable(figures)
    _check_settings(options)
    truth, images = _truth(options)
    boxes = options.out / "boxes.json"
    check_writable(boxes)
    write_json(boxes, without_masks(read_json(truth)))
    results: list[Result] = []
    for label in options.methods:
        results.append(_run_method(label, options, boxes, images, truth, console))
        content = {
            "data": str(options.data or options.annotations),
            "methods": {each.label: each.to_json() for each in results},
            "machine": machine(),
            "duration_s": time.monotonic() - started,
        }
        write_json(figures, content)
    data = CocoVid(truth)
    title = f"{options.data or options.annotations}: {len(data.frames)} frames"
    _print_methods(results, title, console)
    _print_sequences(results, console)
    console.print(f"{time.monotonic() - started:.0f} s; wrote {figures}", markup=False)
    return results


def without_masks(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a CocoVID file with boxes alone; areas are those of the boxes."""
    annotations = [
        {key: value for key, value in entry.items() if key != "segmentation"}
        | {"area": entry["bbox"][2] * entry["bbox"][3]}
        for entry in content["annotations"]
    ]
    return {**content, "annotations": annotations}


def _truth(options: argparse.Namespace) -> tuple[Path, Path]:
    """The file with true masks, and where its images' names start."""
    if options.annotations:
        ours = [options.out / "boxes.json", *(_file_of(each, options) for each in options.methods)]
        if options.annotations.resolve() in [file.resolve() for file in ours]:
            raise FaimError(f"--annotations {options.annotations}: expected it outside of --out")
        return options.annotations, options.images or options.annotations.parent
    folders = sorted((options.data / "JPEGImages").glob("*/*"))
    sequences = {folder.name: "object" for folder in folders if folder.is_dir()}
    if not sequences:
        raise FaimError(f"{options.data}: no sequences; expected JPEGImages/480p/<sequence>")
    return convert_davis(options.data, options.out / "truth.json", sequences=sequences), options.out


def _run_method(
    label: str,
    options: argparse.Namespace,
    boxes: Path,
    images: Path,
    truth: Path,
    console: Console,
) -> Result:
    out = _file_of(label, options)
    shutil.rmtree(out.with_name(out.name + ".part"), ignore_errors=True)  # would spoil the time
    name, settings = settings_of(label, options)
    places = ["--images", str(images), "--out", str(out), "--workers", "1"]
    line = ["--method", name, *settings, *places]
    console.print(f"$ faim masks {boxes} {' '.join(line)}", markup=False)
    started = time.monotonic()
    if status := faim(["masks", str(boxes), *line]):
        raise FaimError(f"method {label}: exit status {status} of faim masks; expected 0")
    seconds = time.monotonic() - started
    made, data = read_json(out)["info"]["masks"], CocoVid(truth)
    with bar("masks", len(data.frames)) as done:
        return Result(label, evaluate_masks(out, data, done), made, seconds)


def _file_of(label: str, options: argparse.Namespace) -> Path:
    """Where a method's masks go."""
    return options.out / f"{label.replace(':', '_')}.json"


def settings_of(label: str, options: argparse.Namespace) -> tuple[str, list[str]]:
    """A method's name, and its parameters as `key=value`."""
    name, _, frames = label.partition(":")
    settings = [f"frames={frames}"] if frames else []
    if name == "video" and options.checkpoint:
        settings.append(f"checkpoint={options.checkpoint}")
    for setting in options.set:
        whose, key, value = _split(setting)
        if whose in (name, label):
            settings.append(f"{key}={value}")
    return name, settings


def _split(setting: str) -> tuple[str, str, str]:
    """NAME, key and value of `NAME:key=value`; the name may have a colon."""
    left, equals, value = setting.partition("=")
    whose, colon, key = left.rpartition(":")
    if not (equals and colon and whose and key):
        raise FaimError(f"--set {setting}: expected NAME:key=value")
    return whose, key, value


def _check_settings(options: argparse.Namespace) -> None:
    known = {*options.methods, *(label.partition(":")[0] for label in options.methods)}
    for setting in options.set:
        whose = _split(setting)[0]
        if whose not in known:
            raise FaimError(f"--set {setting}: {whose} does not run; expected one of --methods")
    if len(set(options.methods)) < len(options.methods):
        raise FaimError(f"--methods {' '.join(options.methods)}: one twice; expected each once")
    if options.checkpoint and not options.checkpoint.is_file():
        raise FaimError(f"--checkpoint {options.checkpoint}: no such file; expected weights")
    for label in options.methods:
        name, settings = settings_of(label, options)
        make_method(name, settings)  # what is wrong is told before the first has run


def _print_methods(results: Sequence[Result], title: str, console: Console) -> None:
    table = Table(title=Text(title, style="table.title"))
    table.add_column("method")
    for name in (*COLUMNS, "masks", "by GrabCut", "by the box", "none", "s a mask"):
        table.add_column(name, justify="right")
    for each in results:
        counts = each.made["counts"]
        names = ("masks", "fallback_grabcut", "fallback_box", "without")
        numbers = (str(counts.get(name, "-")) for name in names)
        row = (*cells(each.scores.means), *numbers, f"{each.seconds_per_mask:.3f}")
        table.add_row(each.label, *row)
    console.print(table)


def _print_sequences(results: Sequence[Result], console: Console) -> None:
    table = Table(title="J by sequence")
    table.add_column("sequence")
    for each in results:
        table.add_column(each.label, justify="right")
    for place, sequence in enumerate(results[0].scores.sequences):
        means = (each.scores.sequences[place].means for each in results)
        table.add_row(Text(sequence.name), *(cells(mean)[0] for mean in means))
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=path, metavar="DIR", help="DAVIS folder")
    source.add_argument("--annotations", type=path, metavar="ANN.json", help="with true masks")
    parser.add_argument("--images", type=path, metavar="DIR", help="where image names start")
    parser.add_argument("--methods", nargs="+", default=METHODS, help="names, or video:FRAMES")
    parser.add_argument("--checkpoint", type=path, metavar="W", help="of the method video")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME:key=value", help="a parameter"
    )
    parser.add_argument("--out", type=path, default=Path("outputs/masks_davis"))
    parser.add_argument("--json", type=path, metavar="FILE", help="(figures.json in --out)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
