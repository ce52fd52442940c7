"""What `faim eval` does: the modes side by side on one dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from faim.checks import check_size
from faim.data.coco_vid import CocoVid
from faim.devices import resolve_device
from faim.errors import FaimError
from faim.evaluation.classes import OtherClasses
from faim.evaluation.features import FeatureSample
from faim.evaluation.figures import ModeFigures, as_dictionary, levels, measure
from faim.evaluation.modes import Mode, ModeRunner
from faim.evaluation.post import VideoPost, open_post
from faim.evaluation.report import missing_parts, print_modes, print_probe
from faim.evaluation.request import EvalOptions
from faim.evaluation.results_file import read_results
from faim.evaluation.run_folder import prepare_run_folder, write_run_folder
from faim.evaluation.subject import open_models
from faim.evaluation.time_probe import TimeProbe
from faim.experiments.common import DetectorExperiment
from faim.experiments.file import load_experiment
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.postprocess.post import before, resolve_post, what_joins
from faim.structures import Detections
from faim.wording import counted

__all__ = ["EvalOptions", "run_eval"]

#: The only mode of detections that are read from a file.
FILE_MODE = "file"


def run_eval(
    options: EvalOptions, console: Console | None = None, data: CocoVid | None = None
) -> dict[str, Any]:
    """Evaluate, print the tables, and write the files that are asked for.

    Scores count from the config's `score_threshold` on, not from the one of the display.

    Args:
        options: what to evaluate.
        console: where the tables go; the terminal by default.
        data: what to evaluate on, in the place of the options' or experiment's file.

    Returns:
        What the JSON file holds: `modes` with each mode's figures, `base_ms` (frame mode's
        milliseconds, None where it was not run), and what they were measured on and with.

    Raises:
        FaimError: an option, the weights or the dataset is wrong, or they do not fit together.
    """
    console = console or Console()
    options.check()
    if options.json:
        check_writable(options.json)
    if options.out:
        prepare_run_folder(options.out)
    experiment = _experiment(options)
    data = data or CocoVid(_data_file(options, experiment))
    if options.detections is not None:
        return _evaluate_file(options, options.detections, data, console)
    return _evaluate_model(options, experiment, data, console)


def _evaluate_model(
    options: EvalOptions, experiment: DetectorExperiment | None, data: CocoVid, console: Console
) -> dict[str, Any]:
    data.check(num_classes=None, masks_required=False)
    wanted = options.size or (experiment and experiment.test_size)
    asked = check_size(wanted) if wanted else None
    model, base = open_models(options, experiment, asked, with_base="frame" in options.modes)
    traits = model.traits
    in_stream = before(options.post.name, model)
    resolved = resolve_post(options.post.name, traits)
    options = replace(options, post=replace(options.post, name=resolved))
    features = FeatureSample() if options.out else None
    runner = ModeRunner(
        model,
        data,
        options.modes,
        base=base,
        size=check_size(wanted or traits.size),
        device=resolve_device(options.backend.device),
        sampling=options.grouping,
        seed=options.seed,
        frames=options.frames,
        past=options.memory.frames,
        policy=options.memory.policy,
        post=_posts(options),
        in_stream=in_stream,
        features=features,
    )
    probe = TimeProbe(runner) if options.probe_time else None
    with _progress(console) as progress:
        task = progress.add_task("frames", total=len(data.frames))
        runs = runner.run(lambda: progress.advance(task))
        if probe is not None:
            task = progress.add_task("time probe", total=len(data.frames))
            probed = probe.run(lambda: progress.advance(task))
    about = _circumstances(options, data, runner)
    if probe is not None:
        about["time_probe"] = {case: levels(ap) for case, ap in probed.items()}
    caption = _caption(data, len(traits.class_names), runner.size)
    caption += "".join(f"\n{mode}: {text}" for mode, text in about["joined_by"].items())
    figures = {
        str(mode): measure(data, run.detections, run.ms, options.post_of(mode), run.others)
        for mode, run in runs.items()
    }
    found = {str(mode): (run.detections, run.others) for mode, run in runs.items()}
    return _report(options, data, figures, found, about, caption, console, features)


def _evaluate_file(
    options: EvalOptions, file: Path, data: CocoVid, console: Console
) -> dict[str, Any]:
    """Detections of whatever origin: no model, no images, no times."""
    data.check(num_classes=None, masks_required=False, images_required=False)
    detections, others = read_results(file, data)
    figures = {FILE_MODE: measure(data, detections, others=others)}
    about = {
        "weights": None,
        "detections": str(file),
        **_dataset(data),
        "machine": machine(),
        "device": None,
    }
    caption = f"{data.annotation_file}: {counted(len(data.frames), 'frame')}"
    found = {FILE_MODE: (detections, others)}
    return _report(options, data, figures, found, about, caption, console)


def _report(
    options: EvalOptions,
    data: CocoVid,
    figures: Mapping[str, ModeFigures],
    found: Mapping[str, tuple[Mapping[int, Detections], OtherClasses]],
    about: dict[str, Any],
    caption: str,
    console: Console,
    features: FeatureSample | None = None,
) -> dict[str, Any]:
    """Write and print; returns what the JSON file holds."""
    title = Path(options.detections or options.weights or "").name
    notes = options.notes + missing_parts(figures)
    if options.detections is not None and not found[FILE_MODE][1].names:
        notes.append(
            "the file has no detections of other classes than the data's: wrong labels and boxes "
            "are those of the data's classes"
        )
    report = {**about, "notes": notes, "modes": as_dictionary(figures)}
    report["base_ms"] = report["modes"].get("frame", {}).get("ms_per_frame")
    try:
        if options.out:
            write_run_folder(options.out, data, report, found, features)
            notes = [*notes, f"wrote {options.out}"]
        if options.json:
            write_json(options.json, report)
    finally:
        # After the files, which a closed terminal must not cost; but also where they fail.
        print_modes(figures, title, caption, console)
        if "time_probe" in report:
            print_probe(report["time_probe"], console)
        for note in notes:
            console.print(Text(note), soft_wrap=True)
    return report


def _posts(options: EvalOptions) -> dict[Mode, VideoPost]:
    post = open_post(options.post.name, options.post.model)
    if post is None:
        return {}
    return {mode: post for mode in options.modes if options.post_of(mode) != "none"}


def _dataset(data: CocoVid) -> dict[str, Any]:
    return {
        "data": str(data.annotation_file),
        "classes": list(data.classes),
        "videos": len(data.videos),
        "images": len(data.frames),
    }


def _circumstances(options: EvalOptions, data: CocoVid, runner: ModeRunner) -> dict[str, Any]:
    details = runner.traits.details
    return {
        "weights": str(options.weights),
        **_dataset(data),
        "size": list(runner.size),
        "aggregate": options.aggregate,
        "scores_from": {mode: _scores_from(runner, mode) for mode in options.modes},
        "joined_by": {mode: _joined_by(runner, mode) for mode in options.modes},
        "sampling": options.sampling,
        "seed": options.seed,
        "backend": options.backend.backend,
        "precision": options.backend.precision,
        "bank_frames": runner.past if "stream" in options.modes else None,
        "bank_policy": options.memory.policy,
        "score_threshold": runner.traits.least_score,
        "test_frames": runner.frames,
        "proposals": details.get("proposals"),
        "proposal_nms": details.get("proposal_nms"),
        "post": options.post.name,
        "post_model": str(options.post.model) if options.post.model else None,
        "machine": machine(),
        "device": str(runner.device),
    }


def _joined_by(runner: ModeRunner, mode: Mode) -> str:
    """What joins a mode's frames, post-processing included."""
    stream = mode == "stream"
    return what_joins(
        mode,
        (runner.in_stream if stream else runner.in_global).traits,
        runner.past if stream else runner.frames,
        runner.post.get(mode),
    )


def _scores_from(runner: ModeRunner, mode: Mode) -> str:
    """What a mode's class scores come from, before post-processing."""
    if mode == "frame":
        return "base detector"
    joins = (runner.in_stream if mode == "stream" else runner.in_global).traits.joins
    return "base detector" if joins == "none" else joins


def _experiment(options: EvalOptions) -> DetectorExperiment | None:
    if options.exp_file is None:
        return None
    experiment = load_experiment(options.exp_file)
    experiment.validate()
    return experiment


def _data_file(options: EvalOptions, experiment: DetectorExperiment | None) -> Path:
    if options.data is not None:
        return Path(options.data)
    if experiment and experiment.val_ann:
        return Path(experiment.val_ann)
    raise FaimError(
        "--data: not given; expected a CocoVID annotation file, or an experiment with val_ann"
    )


def _caption(data: CocoVid, model_classes: int, size: tuple[int, int]) -> str:
    frames = counted(len(data.frames), "frame")
    text = f"{data.annotation_file}: {frames}, network input {size[0]}x{size[1]}"
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
