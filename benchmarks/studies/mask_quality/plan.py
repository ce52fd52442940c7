"""What `mask_quality.py` is to run: the commands of every training."""

from __future__ import annotations

import argparse
import math
import shlex
from pathlib import Path

from faim.errors import FaimError
from lab.jobs import Job, digest
from lab.masks import NONE, Source, check_weight_and_rate

SIZE = 256
TRAIN_FRAMES = 8  # m
TRAINING = (
    f"frame_stride=1 sizes=({SIZE},) model.test_size=({SIZE},{SIZE}) "
    f"model.train_frames={TRAIN_FRAMES} model.max_mask_rois=6 optimizer=adamw "
    "warmup_iters=50 grad_clip=5 ema_decay=0.99 ema_ramp=50 cache=True "
    "workers=0 devices=1 accelerator=cpu log_every=20"
)
START_SEED = 100


def check_training(options: argparse.Namespace) -> None:
    """Find out before the work what is wrong with the options of the trainings.

    Raises:
        FaimError: lambda, the learning rate or a number of steps; no experiment or weights.
    """
    check_weight_and_rate(options)
    for name in ("steps", "start_steps"):
        epochs_of(name, options)
    for file in filter(None, (options.exp_file, options.weights)):
        digest(file)


def epochs_of(name: str, options: argparse.Namespace) -> int:
    """How often the training set is seen in so many steps.

    Raises:
        FaimError: they are no multiple of what the training set makes.
    """
    samples = options.videos * -(-options.frames // TRAIN_FRAMES)
    steps = getattr(options, name)
    if steps * options.batch % samples:
        once = samples // math.gcd(samples, options.batch)
        raise FaimError(
            f"--{name.replace('_', '-')} is {steps}; expected a multiple of {once}, for "
            f"{options.videos} videos of {options.frames} frames, {options.batch} a step"
        )
    return int(steps * options.batch) // samples


def evaluation(weights: Path, out: Path, figures: Path) -> list[str]:
    """The command that evaluates weights on the test set, in all modes."""
    data = f"{out}/test/annotations.json"
    return ["eval", "-c", f"{weights}", "--data", data, "--size", f"{SIZE}", "--json", f"{figures}"]


def starting(options: argparse.Namespace) -> Job:
    """The training that all others start from: with lambda = 0, from the base detector."""
    return _job("start", Source.parse(NONE), START_SEED, options, options.out / "base.safetensors")


def training(source: Source, seed: int, options: argparse.Namespace) -> Job:
    """The training of one source and seed; its data and what it starts from must be there."""
    start = options.out / "base.safetensors"
    if options.start_steps:
        start = options.out / "runs/start/weights.safetensors"
    return _job(f"{source.slug}_{seed}", source, seed, options, start)


def _job(name: str, source: Source, seed: int, options: argparse.Namespace, start: Path) -> Job:
    run, data = options.out / "runs" / name, source.annotations(options.out)
    weight = 0 if source.name == NONE else options.mask_weight
    epochs = epochs_of("start_steps" if name == "start" else "steps", options)
    rate = options.lr / (options.batch * TRAIN_FRAMES)
    train = ["train", "-f", f"{options.exp_file}", "-c", f"{start}", "--data", f"{data}"]
    train += ["-o", f"{run}", "--overwrite", *TRAINING.split(), f"batch_size={options.batch}"]
    train += [f"basic_lr_per_img={rate:.6g}", f"max_epochs={epochs}", f"seed={seed}"]
    train += [f"model.mask_weight={weight}"]
    weights = run / "weights.safetensors"
    score = evaluation(weights, options.out, run.with_name(f"{name}.json"))
    recipe = [shlex.join(train), shlex.join(score)]
    recipe += map(digest, (options.exp_file, start, data))
    return Job(source.name, seed, (train, score), recipe, run)
