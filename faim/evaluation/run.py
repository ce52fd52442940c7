"""What `faim eval` does: the modes side by side on one dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faim.config import FaimConfig
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
from faim.models.affinity import Affinity
from faim.models.aggregation import NoAggregation
from faim.models.checkpoint import Aggregate, load_model
from faim.models.faim import VideoDetector
from faim.runtime.backends.select import BackendOptions, open_detector
from faim.runtime.checks import check_size, resolve_device
from faim.runtime.choices import BackendName, PolicyName, Precision
from faim.runtime.steps import Sampling, check_sampling

if TYPE_CHECKING:
    from faim.training.experiment import Experiment

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
        sampling: frames that global mode looks at together: "uniform" or "shuffled" over the whole
            video, or "local" stretches of it.
        seed: of shuffled sampling.
        backend: what runs the networks; "torch" unless another is asked for.
        precision: what the base detector computes in.
        threads: processor threads of the networks; all by default.
        compile: with backend torch, `torch.compile` the networks.
        bank_frames: past frames of a stream; the model's own number by default.
        bank_policy: which of them, see `faim.runtime.bank_policy`.
    """

    weights: str | Path
    data: Path | None = None
    exp_file: Path | None = None
    mode: Modes = "all"
    aggregate: Aggregate = "auto"
    size: int | tuple[int, int] | None = None
    device: str = "cpu"
    json: Path | None = None
    sampling: Sampling = "uniform"
    seed: int = 0
    backend: BackendName = "torch"
    precision: Precision = "auto"
    threads: int | None = None
    compile: bool = False
    bank_frames: int | None = None
    bank_policy: PolicyName = "spread"


def run_eval(options: EvalOptions, console: Console | None = None) -> dict[str, Any]:
    """Evaluate, print the tables, and write the JSON file if one is asked for.

    Scores count from the config's `score_threshold` on, not from the one of the display.

    Returns:
        What the JSON file holds: `modes` with each mode's figures, `base_ms` (frame mode's
        milliseconds, None where it was not run), and what they were measured on and with.

    Raises:
        FaimError: an option, the weights or the dataset is wrong, or they do not fit together.
    """
    console = console or Console()
    modes = _modes(options.mode)
    if options.json:
        check_writable(options.json)
    check_sampling(options.sampling, options.seed)
    experiment = _experiment(options)
    data = CocoVid(_data_file(options, experiment))
    data.check(num_classes=None, masks_required=False)
    wanted = options.size or _experiment_size(experiment)
    model, base = _models(
        options, experiment, check_size(wanted) if wanted else None, with_base="frame" in modes
    )
    size = check_size(wanted or model.config.test_size)
    device = resolve_device(options.device)
    runner = ModeRunner(
        model,
        data,
        modes,
        base=base,
        size=size,
        device=device,
        sampling=options.sampling,
        seed=options.seed,
        past=options.bank_frames,
        policy=options.bank_policy,
    )
    with _progress(console) as progress:
        task = progress.add_task("frames", total=len(data.frames))
        runs = runner.run(lambda: progress.advance(task))
    figures: dict[str, ModeFigures] = {
        mode: ModeFigures(
            evaluate_ap(data, run.detections), stability(data, run.detections), run.ms
        )
        for mode, run in runs.items()
    }
    caption = _caption(data, model.config.num_classes, size)
    print_modes(figures, Path(options.weights).name, caption, console)
    report = {
        **_circumstances(options, data, model.config, size),
        "device": str(device),
        "modes": as_dictionary(figures),
    }
    report["base_ms"] = report["modes"].get("frame", {}).get("ms_per_frame")
    if options.json:
        write_json(options.json, report)
    return report


def _models(
    options: EvalOptions,
    experiment: Experiment | None,
    size: tuple[int, int] | None,
    *,
    with_base: bool,
) -> tuple[VideoDetector, VideoDetector | None]:
    """The model and, where it computes more than its base detector, that alone."""
    model = _model(options, options.aggregate, size)
    if experiment and experiment.variant != model.config.variant:
        raise FaimError(
            f"{options.weights}: weights of variant {model.config.variant}; expected "
            f"{experiment.variant}, the variant of {options.exp_file}"
        )
    if with_base and not isinstance(model.aggregator, (Affinity, NoAggregation)):
        return model, _model(options, "none", size)
    return model, None


def _model(
    options: EvalOptions, aggregate: Aggregate, size: tuple[int, int] | None
) -> VideoDetector:
    run = BackendOptions(
        options.backend, options.device, options.precision, options.threads, options.compile
    )
    if run == BackendOptions("torch", options.device):
        # The modules themselves: in float32 on a GPU too, as training sees them.
        return load_model(
            options.weights, aggregate=aggregate, device=resolve_device(options.device)
        )
    return open_detector(options.weights, run, aggregate=aggregate, size=size)


def _circumstances(
    options: EvalOptions, data: CocoVid, config: FaimConfig, size: tuple[int, int]
) -> dict[str, Any]:
    return {
        "weights": str(options.weights),
        "data": str(data.annotation_file),
        "size": list(size),
        "classes": list(data.classes),
        "videos": len(data.videos),
        "images": len(data.frames),
        "aggregate": options.aggregate,
        "sampling": options.sampling,
        "seed": options.seed,
        "backend": options.backend,
        "precision": options.precision,
        "bank_frames": options.bank_frames,
        "bank_policy": options.bank_policy,
        "score_threshold": config.score_threshold,
        "test_frames": config.test_frames,
        "machine": machine(),
    }


def _experiment(options: EvalOptions) -> Experiment | None:
    if options.exp_file is None:
        return None
    # Only here: the rest of the evaluation does without the training's dependencies.
    from faim.training.exp_file import load_experiment

    experiment = load_experiment(options.exp_file)
    experiment.validate()
    return experiment


def _experiment_size(experiment: Experiment | None) -> tuple[int, int] | None:
    return experiment.model.get("test_size") if experiment else None


def _data_file(options: EvalOptions, experiment: Experiment | None) -> Path:
    if options.data is not None:
        return Path(options.data)
    if experiment and experiment.val_ann:
        return Path(experiment.val_ann)
    raise FaimError(
        "--data: not given; expected a CocoVID annotation file, or an experiment with val_ann"
    )


def _modes(mode: str) -> tuple[Mode, ...]:
    if mode not in get_args(Modes):
        raise FaimError(f"--mode: {mode!r} given; expected one of {', '.join(get_args(Modes))}")
    return MODES if mode == "all" else tuple(known for known in MODES if known == mode)


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
