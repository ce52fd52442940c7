"""What `ablation.py` is to run: presets, rows, and the `faim` commands of each."""

from __future__ import annotations

import argparse
import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from faim.errors import FaimError
from lab.jobs import Job, digest

#: Of the generator. Neither the embedded weights nor the choice of settings saw these videos.
TRAIN_SEED, TEST_SEED, LONG_SEED = 5000, 6000, 7000
REFERENCE = "FAIM"
#: IoU of FSPM's NMS at inference: FAIM's, for all rows alike.
NMS = 0.5
PROPOSALS = (10, 30, 50, 100)
#: Frames looked at together: the key frame and 3, 7, 15, 39 others (FAIM, Table 3).
FRAMES = (4, 8, 16, 40)


@dataclass(frozen=True)
class Preset:
    """The size of a study.

    Attributes:
        variant: of the detector.
        size: side of videos and network input, pixels.
        videos: of the training set.
        frames: a video of the training set; the test set's have 32.
        test_videos: of the test set.
        long_videos: of `LONG_FRAMES`, for the comparison of references.
        whole: whether all rows are run, or those alone that are marked as quick.
        train_frames: m in training.
        batch: videos a step.
        steps: of a training.
        rate: learning rate of a step.
        rois: proposals a step gives to the mask head.
        main_seeds: trainings of the rows of the first table.
        seeds: trainings of the others.
        device: of the evaluations.
        settings: further ones of every training.
        base: settings of the two trainings of the base detector; empty takes given weights.
    """

    variant: str
    size: int
    videos: int
    frames: int
    test_videos: int
    long_videos: int
    train_frames: int
    batch: int
    steps: int
    rate: float
    rois: int
    main_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    device: str
    settings: str
    base: str = ""
    whole: bool = True


TEST_FRAMES, LONG_FRAMES = 32, 192
PRESETS = {
    "small": Preset(
        variant="nano", size=256, videos=150, frames=32, test_videos=30, long_videos=4,
        train_frames=8, batch=2, steps=300, rate=2e-3, rois=6,
        main_seeds=(0, 1, 2), seeds=(0,), device="cpu",
        settings="workers=0 accelerator=cpu", whole=False,
    ),
    "full": Preset(
        variant="s", size=384, videos=600, frames=48, test_videos=100, long_videos=20,
        train_frames=16, batch=4, steps=9000, rate=2e-3, rois=32,
        main_seeds=(0, 1, 2), seeds=(0, 1, 2), device="auto",
        settings="workers=8 accelerator=gpu precision=bf16-mixed",
        base="accelerator=gpu precision=bf16-mixed workers=8",
    ),
}  # fmt: skip

_COMMON = (
    "frame_stride=1 optimizer=adamw warmup_iters=50 grad_clip=5 ema_decay=0.99 ema_ramp=50 "
    "cache=True devices=1 log_every=20 model.mask_levels=own"
)


@dataclass(frozen=True)
class Row:
    """One kind of model.

    Attributes:
        name: in the tables.
        group: the table.
        exp: experiment file.
        settings: `key=value` texts in which it differs from FAIM as it is here, with masks learnt
            at each proposal's own level.
        frames: m in training, where that is what differs.
        quick: whether the small preset has it.
    """

    name: str
    group: str
    exp: str = "exps/faim_nano.py"
    settings: tuple[str, ...] = ()
    frames: int | None = None
    quick: bool = False


MAIN, TICAM, MASKS, POOLING, TRAINING = (
    "Components", "TICAM", "Mask loss", "What the mask head sees", "Training"
)  # fmt: skip
IDENTITY = "model.identity_weight=0.3"
ROWS = (
    Row("YOLOV", MAIN, "exps/yolov_nano.py", quick=True),
    Row("YOLOV + IFEM", MAIN, "exps/yolov_ifem_s.py", quick=True),
    Row("FAIM, λ = 0", MAIN, settings=("model.mask_weight=0",), quick=True),
    Row(REFERENCE, MAIN, quick=True),
    Row("FAIM, identity", MAIN, settings=(IDENTITY,), quick=True),
    Row("no affinity average", TICAM, settings=("model.affinity_average=False",), quick=True),
    Row("no score guidance", TICAM, settings=("model.guide_cls=False",), quick=True),
    Row("instance map unguided", TICAM, settings=("model.guide_ins=False",), quick=True),
    Row("λ = 0.5", MASKS, settings=("model.mask_weight=0.5",)),
    Row("λ = 2", MASKS, settings=("model.mask_weight=2",)),
    Row("class-agnostic", MASKS, settings=("model.class_agnostic_masks=True",)),
    Row("Dice", MASKS, settings=("model.mask_loss=dice",)),
    Row("RoI 14x14", POOLING, settings=("model.mask_roi_size=14",)),
    Row("RoI 28x28", POOLING, settings=("model.mask_roi_size=28",)),
    Row(
        "32 RoIs of 14x14",
        POOLING,
        settings=("model.mask_roi_size=14", "model.max_mask_rois=32"),
        quick=True,
    ),
    Row("P3", POOLING, settings=("model.mask_levels=P3",)),
    Row("P4", POOLING, settings=("model.mask_levels=P4",)),
    Row("P5", POOLING, settings=("model.mask_levels=P5",), quick=True),
    Row("P3-P5", POOLING, settings=("model.mask_levels=P3,P4,P5",)),
    Row("no upsampling", POOLING, settings=("model.mask_upsampling=none",)),
    Row("deconvolution", POOLING, settings=("model.mask_upsampling=deconvolution",)),
    Row("live norms", TRAINING, settings=("live_norms=True",), quick=True),
    Row("YOLOV, live norms", TRAINING, "exps/yolov_nano.py", ("live_norms=True",)),
    Row("m = 4", TRAINING, frames=4),
    Row("m = 16", TRAINING, frames=16),
    Row("m = 32", TRAINING, frames=32),
)


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^a-z0-9λ.]+", "_", name.lower())


def chosen_rows(names: list[str] | None, *, whole: bool = True) -> list[Row]:
    """The rows asked for, in the order of the tables; FAIM, which all are compared with, is there.

    Args:
        names: of them; None for all, or those that are quick.
        whole: which of the two.

    Raises:
        FaimError: a name that is none.
    """
    if names is None:
        return [row for row in ROWS if whole or row.quick]
    known = [row.name for row in ROWS]
    for name in names:
        if name not in known:
            raise FaimError(f"--rows {name}: no such row; expected some of {', '.join(known)}")
    return [row for row in ROWS if row.name in {*names, REFERENCE}]


def jobs_of(rows: list[Row], options: argparse.Namespace) -> list[Job]:
    """The trainings, those of the first table first; data and base detector must be there."""
    preset: Preset = options.chosen
    main = [row for row in rows if row.group == MAIN]
    others = [row for row in rows if row.group != MAIN]
    found = [(row, seed) for seed in options.seeds or preset.main_seeds for row in main]
    found += [(row, seed) for seed in options.seeds or preset.seeds for row in others]
    return [training(row, seed, options) for row, seed in found]


def training(row: Row, seed: int, options: argparse.Namespace) -> Job:
    """A row's training of one seed, and its evaluation in all modes."""
    preset: Preset = options.chosen
    out, data = options.out, options.out / "train/annotations.json"
    run = out / "runs" / f"{slug(row.name)}_{seed}"
    frames = row.frames or preset.train_frames
    epochs = epochs_of(preset, options.steps, frames)
    rate = preset.rate / (preset.batch * frames)
    line = ["train", "-f", row.exp, "-c", f"{out}/base.safetensors", "--data", f"{data}"]
    line += ["-o", f"{run}", "--overwrite", *_COMMON.split(), *preset.settings.split()]
    line += [f"variant={preset.variant}", f"sizes=({preset.size},)", f"batch_size={preset.batch}"]
    line += [f"model.test_size=({preset.size},{preset.size})", f"model.train_frames={frames}"]
    line += [f"model.max_mask_rois={preset.rois}", f"basic_lr_per_img={rate:.6g}"]
    line += [f"max_epochs={epochs}", f"seed={seed}", *row.settings]
    weights, test = run / "weights.safetensors", out / "test"
    commands = [line, evaluation(weights, test, preset, run / "eval")]
    recipe = [shlex.join(each) for each in commands]
    recipe += map(digest, (Path(row.exp), out / "base.safetensors", data))
    return Job(row.name, seed, tuple(commands), recipe, run)


def epochs_of(preset: Preset, steps: int | None, frames: int) -> int:
    """How often the training set is seen; at least once, rounded.

    A video of f frames counts ceil(f / m) times an epoch. The presets' own steps are whole epochs,
    whatever m is; with a larger m a step sees more frames.
    """
    samples = preset.videos * math.ceil(preset.frames / frames)
    return max(1, round((steps or preset.steps) * preset.batch / samples))


def evaluation(
    weights: Path, data: Path, preset: Preset, out: Path, *more: str, nms: float = NMS
) -> list[str]:
    """The command that evaluates weights on a data set; `out` gets detections and figures.

    Post-processing is off: what is compared is the aggregation.
    """
    line = ["eval", "-c", f"{weights}", "--data", f"{data}/annotations.json"]
    line += ["--size", f"{preset.size}", "--device", preset.device, "--post", "none"]
    return [*line, "--proposal-nms", f"{nms:g}", "--out", f"{out}", *more]


def base_training(options: argparse.Namespace) -> list[list[str]]:
    """The commands that train the base detector from random weights: clear frames, then clips."""
    preset: Preset = options.chosen
    out, size = options.out, preset.size
    lines = [
        [*f"synth --edition 2 --videos 5000 --frames 1 --size {size}".split(),
         *f"--severity easy --seed 3000 --out {out}/easy".split()],
    ]  # fmt: skip
    start: list[str] = []
    for name, data in (("yolox_nano_synthvid_easy", "easy"), ("yolox_nano_synthvid", "train")):
        run = out / "runs" / name
        line = ["train", "-f", f"exps/synthvid/{name}.py", "--overwrite", "-o", f"{run}"]
        line += ["--data", f"{out}/{data}/annotations.json", *start, "devices=1", "strategy=auto"]
        line += [f"variant={preset.variant}", f"input_size=({size},{size})"]
        line += [f"model.test_size=({size},{size})", *preset.base.split()]
        lines.append(line)
        start = ["-c", f"{run}/weights.safetensors"]
    return lines


def proposals_jobs(trained: Job, options: argparse.Namespace) -> dict[str, Job]:
    """Evaluations of a training with n proposals a frame, by n (FAIM, Table 4)."""
    return {
        str(n): _evaluation_job(f"n = {n}", trained, "test", options, "--proposals", f"{n}")
        for n in PROPOSALS
    }


def reference_jobs(trained: Job, options: argparse.Namespace) -> dict[tuple[str, str], Job]:
    """The same on long videos, by what a frame sees beside itself, and m (FAIM, Table 3)."""
    found = {}
    for m in FRAMES:
        for kind, more in {
            "global": ["--mode", "global", "--frames", f"{m}"],
            "local": ["--mode", "global", "--frames", f"{m}", "--sampling", "local"],
            "stream, recent": ["--mode", "stream", "--bank", f"{m - 1}", "--bank-policy", "recent"],
            "stream, spread": ["--mode", "stream", "--bank", f"{m - 1}", "--bank-policy", "spread"],
        }.items():
            name = f"{kind}, m = {m}"
            found[kind, str(m)] = _evaluation_job(name, trained, "long", options, *more)
    return found


def _evaluation_job(
    name: str, trained: Job, data: str, options: argparse.Namespace, *more: str
) -> Job:
    run = options.out / "evaluations" / slug(name)
    weights = trained.run / "weights.safetensors"
    line = evaluation(weights, options.out / data, options.chosen, run / "eval", *more)
    return Job(name, trained.seed, (line,), [*trained.recipe, shlex.join(line)], run)
