"""What `real_video.py` is to run: sequences, trainings, and the commands of each."""

from __future__ import annotations

import argparse
import math
import os
import random
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faim.errors import FaimError
from faim.reading import read_json
from lab.jobs import Job, digest
from lab.masks import NONE, TRUE, Source, check_weight_and_rate, sources

SIZE = 416
TRAIN_FRAMES = 8  # m
#: Of all rows; the labels are partial, so that TICAM corrects where a row names no other rule.
TRAINING = (
    f"sizes=({SIZE},) model.test_size=({SIZE},{SIZE}) model.train_frames={TRAIN_FRAMES} "
    "model.max_mask_rois=6 optimizer=adamw warmup_iters=50 grad_clip=5 ema_decay=0.99 ema_ramp=50 "
    "workers=0 devices=1 accelerator=cpu log_every=20 model.mask_levels=own "
    "model.join=correction"
)
YOLOV = "yolov"
#: Other rules than the one that such data choose: of joining TICAM's decision with the base
#: detector's, against forgetting, and how fast. By row: settings, and the learning rate times what.
OTHERS: dict[str, tuple[tuple[str, ...], float]] = {
    f"{TRUE}, replace": (("model.join=replace",), 1.0),
    f"{TRUE}, retention": (("model.join=replace", "model.retention_weight=1"), 1.0),
    f"{TRUE}, mean": (("model.join=mean",), 1.0),
    f"{TRUE}, slow": ((), 0.1),
    f"{TRUE}, live norms": (("live_norms=True",), 1.0),
}
#: By the name of a mode in the tables: folder and mode of the evaluation that it comes from.
Places = Mapping[str, tuple[str, str]]
TRAINED: Places = {
    "stream": ("eval", "stream"),
    "stream + causal": ("eval_causal", "stream"),
    "global": ("eval", "global"),
}
BASE: Places = {
    "frame": ("eval", "frame"),
    "stream, affinity": ("eval", "stream"),
    "stream, training-free": ("eval_free", "stream"),
    "global, affinity": ("eval", "global"),
}


@dataclass(frozen=True)
class Label:
    """The object of a sequence, as `labels.json` has it.

    Attributes:
        name: its COCO class.
        clean: whether no other object of the class is in view without a label.
        union: whether its mask covers two things, such as horse and rider.
    """

    name: str
    clean: bool
    union: bool


@dataclass(frozen=True)
class Row:
    """Trainings that differ in their seed alone, a row of the tables.

    Attributes:
        name: of the row.
        experiment: file of the experiment.
        source: of the masks.
        weight: lambda.
        sequences: how many of the training sequences, None for all.
        settings: further `key=value` texts of the training.
        rate: what the learning rate is multiplied by.
    """

    name: str
    experiment: Path
    source: Source
    weight: float
    sequences: int | None = None
    settings: tuple[str, ...] = ()
    rate: float = 1.0

    def annotations(self, out: Path, seed: int) -> Path:
        """The training data."""
        if self.sequences is None:
            return self.source.annotations(out)
        return out / "train" / f"first_{self.sequences}_{seed}.json"


def read_labels(root: Path, sequences: Sequence[str] | None, *, unions: bool) -> dict[str, Label]:
    """The sequences of a DAVIS folder that have a COCO class, by name.

    Args:
        root: the folder.
        sequences: those to take; None takes all.
        unions: whether to take masks of two things too.

    Raises:
        FaimError: `labels.json` is missing or damaged, lacks a sequence, or none is left.
    """
    file, found = root / "labels.json", {}
    for name, entry in sorted(read_json(file).items()):
        if not isinstance(entry, dict) or not isinstance(entry.get("coco", 0), str | None):
            raise FaimError(f"{file}: sequence {name} has no `coco`; expected a class or null")
        if entry["coco"]:
            sound = bool(entry.get("clean", True)), bool(entry.get("union", False))
            found[name] = Label(entry["coco"], *sound)
    if unknown := sorted(set(sequences or ()) - set(found)):
        raise FaimError(f"{file}: no COCO class of {', '.join(unknown)}; expected one of each")
    wanted = found if sequences is None else dict.fromkeys(sequences)
    chosen = {name: found[name] for name in wanted if unions or not found[name].union}
    if not chosen:
        raise FaimError(f"{file}: no sequence is left; expected at least one with a COCO class")
    return chosen


def class_groups(
    train: Mapping[str, Label], val: Mapping[str, Label]
) -> dict[str, tuple[str, ...]]:
    """Classes of the validation set: `shared` with the training set, and `unseen` in it.

    Raises:
        FaimError: no shared class has a validation sequence without unlabelled objects of it.
    """
    trained = {label.name for label in train.values()}
    there = sorted({label.name for label in val.values()})
    shared = tuple(name for name in there if name in trained)
    if not any(label.clean and label.name in shared for label in val.values()):
        raise FaimError(
            f"--davis: {', '.join(there)} without unlabelled objects of the class and in the "
            f"training set ({', '.join(sorted(trained))}): none; expected one class at least"
        )
    return {"shared": shared, "unseen": tuple(name for name in there if name not in trained)}


def first_sequences(names: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` sequences in an order that the seed shuffles; fewer are the first of more."""
    return random.Random(seed).sample(sorted(names), len(names))[:count]


def rows(options: argparse.Namespace, train: Mapping[str, Label]) -> list[Row]:
    """FAIM without masks, with those of every method and the true ones; YOLOV; FAIM that is to
    forget less; the learning curve. Of these the ones asked for, and the one without masks.

    Raises:
        FaimError: a wrong option, see `lab.masks.Source`; a curve of too many sequences;
            a row that is none.
    """
    check_weight_and_rate(options)
    if not (math.isfinite(options.cache_base) and options.cache_base >= 0):
        raise FaimError(f"--cache-base is {options.cache_base}; expected gigabytes, 0 for none")
    for file in (options.exp_file, options.yolov_file, options.weights):
        digest(file)
    faim, weight = options.exp_file, options.mask_weight
    found = [
        Row(each.name, faim, each, 0.0 if each.name == NONE else weight)
        for each in sources(options)
    ]
    found.append(Row(YOLOV, options.yolov_file, Source.parse(NONE), 0.0))
    found += [
        Row(name, faim, Source.parse(TRUE), weight, settings=settings, rate=rate)
        for name, (settings, rate) in OTHERS.items()
    ]
    curve = [
        Row(f"{TRUE}, {count} sequences", faim, Source.parse(TRUE), weight, count)
        for count in dict.fromkeys(options.curve)
    ]
    chosen = _asked_for([*found, *curve], options.rows)
    for row in chosen:
        if row.sequences is not None and row.sequences >= len(train):
            raise FaimError(
                f"--curve is {row.sequences}; expected less than the {len(train)} training "
                "sequences"
            )
    return chosen


def _asked_for(found: list[Row], names: Sequence[str] | None) -> list[Row]:
    if names is None:
        return found
    known = [row.name for row in found]
    for name in names:
        if name not in known:
            raise FaimError(f"--rows {name}: no such row; expected some of {'; '.join(known)}")
    return [row for row in found if row.name in {*names, NONE}]


def epochs_of(frames: Sequence[int], options: argparse.Namespace) -> tuple[int, int]:
    """How often training sees videos of so many frames, for about `--steps`; and the exact steps.

    An epoch has as many samples of a video as its frames fill.
    """
    used = (-(-count // options.stride) for count in frames)
    samples = sum(-(-count // TRAIN_FRAMES) for count in used)
    once = -(-samples // options.batch)
    epochs = max(1, round(options.steps / once))
    return epochs, epochs * once


def training(row: Row, seed: int, epochs: int, options: argparse.Namespace) -> Job:
    """One training and its evaluations; its data must be there."""
    name = re.sub(r"[^\w.-]+", "_", row.name)
    run, data = options.out / "runs" / f"{name}_{seed}", row.annotations(options.out, seed)
    rate = options.lr * row.rate / (options.batch * TRAIN_FRAMES)
    train = ["train", "-f", f"{row.experiment}", "-c", f"{options.weights}", "--data", f"{data}"]
    train += ["-o", f"{run}", "--overwrite", *TRAINING.split(), f"batch_size={options.batch}"]
    train += [f"frame_stride={options.stride}", f"basic_lr_per_img={rate:.6g}"]
    train += [f"max_epochs={epochs}", f"seed={seed}", f"model.mask_weight={row.weight:g}"]
    train += row.settings
    weights = run / "weights.safetensors"
    scores = (
        evaluation(weights, run / "eval", options, "--post", "none"),
        evaluation(weights, run / "eval_causal", options, "--mode", "stream", "--post", "causal"),
    )
    recipe = [*map(shlex.join, (train, *scores))]
    recipe += map(digest, (row.experiment, options.weights, data))
    # What is kept of the base detector changes the time alone.
    commands = ([*train, f"cache_base={options.cache_base:g}"], *scores)
    return Job(row.name, seed, commands, recipe, run)


def without_training(options: argparse.Namespace) -> Job:
    """The base detector alone, and what video gives it without training."""
    run = options.out / "runs" / "base"
    affinity = "--aggregate", "affinity"
    scores = (
        evaluation(options.weights, run / "eval", options, *affinity, "--post", "none"),
        evaluation(options.weights, run / "eval_free", options, "--mode", "stream"),
    )
    recipe = [*map(shlex.join, scores), digest(options.weights)]
    return Job("base", 0, scores, recipe, run)


def evaluation(weights: Path, folder: Path, options: argparse.Namespace, *more: str) -> list[str]:
    """The command that evaluates weights on the validation set and keeps their detections."""
    data = options.out / "val/annotations.json"
    line = ["eval", "-c", f"{weights}", "--data", f"{data}", "--size", f"{SIZE}", *more]
    return [*line, "--out", os.fspath(folder)]
