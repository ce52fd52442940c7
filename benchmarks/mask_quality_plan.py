"""What `mask_quality.py` is to run: the sources of masks, and the commands of every training."""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from training_jobs import Job, digest

from faim.errors import FaimError
from faim.masks.methods import make_method

SIZE = 256
TRAIN_FRAMES = 8  # m
TRAINING = (
    f"frame_stride=1 sizes=({SIZE},) model.test_size=({SIZE},{SIZE}) "
    f"model.train_frames={TRAIN_FRAMES} model.max_mask_rois=6 optimizer=adamw "
    "warmup_iters=50 grad_clip=5 ema_decay=0.99 ema_ramp=50 cache=True "
    "workers=0 devices=1 accelerator=cpu log_every=20"
)
MOST_WEIGHT = 1e4
START_SEED = 100
NONE, TRUE = "none", "true"


@dataclass(frozen=True)
class Source:
    """Where the masks of a training come from.

    Attributes:
        name: `none`, `true`, or METHOD[:key=value,…].
        method: as `faim masks` knows it.
        settings: its `key=value` texts.
    """

    name: str
    method: str
    settings: tuple[str, ...]

    @classmethod
    def parse(cls, name: str, checkpoint: Path | None = None) -> Source:
        """A source from its name; method `video` takes `checkpoint` unless the name has one."""
        method, _, text = name.partition(":")
        # A comma inside of a value does not part two settings.
        source = cls(name, method, tuple(re.split(r",(?=\w+=)", text)) if text else ())
        if method != "video" or checkpoint is None or source.checkpoints:
            return source
        return cls(name, method, (*source.settings, f"checkpoint={checkpoint}"))

    @property
    def is_made(self) -> bool:
        """Whether a method makes the masks."""
        return self.name not in (NONE, TRUE)

    @property
    def checkpoints(self) -> list[Path]:
        """Files of weights among the settings."""
        key = "checkpoint="
        return [Path(t.removeprefix(key)) for t in self.settings if t.startswith(key)]

    @property
    def slug(self) -> str:
        """The name, as part of a file's name."""
        return re.sub(r"[^\w.-]+", "_", self.name)

    def annotations(self, out: Path) -> Path:
        """The training set with these masks."""
        names = {NONE: "boxes", TRUE: "annotations"}
        return out / "train" / f"{names.get(self.name, 'masks_' + self.slug)}.json"

    def check(self) -> None:
        """Raise FaimError for a method or setting that there is not, or missing weights."""
        if not self.is_made:
            return
        if self.method == "video" and not self.checkpoints:
            raise FaimError("--checkpoint: not given; expected trained weights of method video")
        make_method(self.method, self.settings)
        for file in self.checkpoints:
            if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for a name too long
                raise FaimError(f"{file}: no such file; expected weights of {self.method}")


def sources(options: argparse.Namespace) -> list[Source]:
    """`none`, the methods asked for, and `true`, once each.

    Raises:
        FaimError: see `Source.check`.
    """
    methods = ["box", "grabcut", *(["video"] if options.checkpoint else [])]
    methods = [m for m in options.methods or methods if m not in (NONE, TRUE)]
    names = dict.fromkeys([NONE, *methods, TRUE])
    found = [Source.parse(name, options.checkpoint) for name in names]
    for source in found:
        source.check()
    slugs = [source.slug for source in found]
    for source in found:
        if slugs.count(source.slug) > 1:
            raise FaimError(f"--methods {source.name}: too like another; expected other settings")
    return found


def check_training(options: argparse.Namespace) -> None:
    """Find out before the work what is wrong with the options of the trainings.

    Raises:
        FaimError: lambda, the learning rate or a number of steps; no experiment or weights.
    """
    for name, value, most in (
        ("mask-weight", options.mask_weight, MOST_WEIGHT),
        ("lr", options.lr, 1.0),
    ):
        if not 0 < value <= most:
            raise FaimError(f"--{name} is {value}; expected a number above 0, up to {most:g}")
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


def masking(source: Source, out: Path) -> list[str]:
    """The command that makes a source's masks of the training set."""
    line = ["masks", f"{out}/train/boxes.json", "--method", source.method]
    return [*line, "--out", f"{source.annotations(out)}", *source.settings]


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
