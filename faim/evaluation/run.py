"""What `faim eval` does: the modes side by side on one dataset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.modes import MODES, Mode, ModeRunner
from faim.evaluation.report import (
    ModeFigures,
    as_dictionary,
    check_writable,
    machine,
    print_modes,
    write_json,
)
from faim.evaluation.stability import stability
from faim.models.checkpoint import Aggregate, load_model
from faim.models.faim import FAIM
from faim.runtime.pipeline import check_size, resolve_device

Modes = Literal["frame", "stream", "global", "all"]


@dataclass(frozen=True)
class EvalOptions:
    """The options of `faim eval`.

    Attributes:
        weights: a faim checkpoint or a YOLOX `.pth`.
        data: CocoVID annotations; those of the experiment by default.
        exp_file: experiment file, read for its data and network input.
        mode: one mode, or all.
        aggregate: see `load_model`.
        size: height and width of the network input; the model's own by default.
        device: where the model runs.
        json: file for the figures.
        seed: of torch; the modes themselves draw nothing at random.
        image_root: folder of the images; the annotation file's by default.
    """

    weights: str | Path
    data: Path | None = None
    exp_file: Path | None = None
    mode: Modes = "all"
    aggregate: Aggregate = "auto"
    size: int | tuple[int, int] | None = None
    device: str = "cpu"
    json: Path | None = None
    seed: int = 0
    image_root: Path | None = None


def run_eval(options: EvalOptions, console: Console | None = None) -> dict[str, Any]:
    """Evaluate, print the tables, and write the JSON file if one is asked for.

    Scores count from the config's `score_threshold` on, not from the one of the display.

    Returns:
        What the JSON file holds: `modes` with each mode's figures, and `base_ms`, `weights`,
        `data`, `size`, `classes`, `images`, `videos`, `aggregate`, `device`, `seed`, `machine`.

    Raises:
        FaimError: an option, the weights or the dataset is wrong, or they do not fit together.
    """
    console = console or Console()
    modes = _modes(options.mode)
    if options.json:
        check_writable(options.json)
    torch.manual_seed(options.seed)
    data = CocoVid(_data_file(options), options.image_root)
    data.check(num_classes=None, masks_required=False)
    device = resolve_device(options.device)
    model = load_model(options.weights, aggregate=options.aggregate, device=device)
    base = None
    if isinstance(model, FAIM) and "frame" in modes:
        base = load_model(options.weights, aggregate="none", device=device)
    size = check_size(model.config.test_size if options.size is None else options.size)
    runner = ModeRunner(model, data, modes, base=base, size=size, device=device)
    with _progress(console) as progress:
        task = progress.add_task("frames", total=len(data.frames))
        runs = runner.run(lambda: progress.advance(task))
    figures: dict[str, ModeFigures] = {
        mode: ModeFigures(
            evaluate_ap(data, run.detections), stability(data, run.detections), run.ms
        )
        for mode, run in runs.items()
    }
    caption = _caption(data, len(model.config.class_names), size)
    print_modes(figures, Path(options.weights).name, caption, console)
    base_ms = figures["frame"].ms_per_frame if "frame" in figures else math.nan
    report = {
        "weights": str(options.weights),
        "data": str(data.annotation_file),
        "size": list(size),
        "classes": list(data.classes),
        "videos": len(data.videos),
        "images": len(data.frames),
        "aggregate": options.aggregate,
        "device": str(device),
        "seed": options.seed,
        "score_threshold": model.config.score_threshold,
        "base_ms": None if math.isnan(base_ms) else base_ms,
        "modes": as_dictionary(figures),
        "machine": machine(),
    }
    if options.json:
        write_json(options.json, report)
    return report


def _modes(mode: str) -> tuple[Mode, ...]:
    if mode not in get_args(Modes):
        raise FaimError(f"--mode: {mode!r} given; expected one of {', '.join(get_args(Modes))}")
    return MODES if mode == "all" else tuple(known for known in MODES if known == mode)


def _data_file(options: EvalOptions) -> Path:
    if options.data is None:
        raise FaimError("--data: not given; expected a CocoVID annotation file")
    return Path(options.data)


def _caption(data: CocoVid, model_classes: int, size: tuple[int, int]) -> str:
    text = f"{data.annotation_file}: {len(data.frames)} frames, network input {size[0]}x{size[1]}"
    if len(data.classes) < model_classes:
        text += f"; {len(data.classes)} of the weights' {model_classes} classes, matched by name"
    return text


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True)
