"""Masks that trainings learn from: none, the true ones, or those of a method."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faim.errors import FaimError
from faim.masks.evaluation.evaluate import evaluate_masks
from faim.masks.methods import make_method
from faim.reading import read_json
from lab.jobs import command, digest
from lab.results import Kept

MOST_WEIGHT = 1e4
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


def masking(source: Source, out: Path) -> list[str]:
    """The command that makes a source's masks of the training set."""
    line = ["masks", f"{out}/train/boxes.json", "--method", source.method]
    return [*line, "--out", f"{source.annotations(out)}", *source.settings]


def make_masks(source: Source, out: Path, kept: Kept) -> dict[str, Any]:
    """A method's masks of the training set: J, F and recall, and what their file tells of them."""
    line, file = masking(source, out), source.annotations(out)

    def make() -> dict[str, Any]:
        command(line)
        scores = evaluate_masks(file, out / "train/annotations.json")
        return {**scores.means.to_json(), "made": read_json(file).get("info", {}).get("masks")}

    recipe = [shlex.join(line), *map(digest, source.checkpoints)]
    return kept.get(f"masks/{source.slug}", recipe, make)


def check_weight_and_rate(options: argparse.Namespace) -> None:
    """Raise FaimError for a lambda or a learning rate that no training takes."""
    for name, value, most in (
        ("mask-weight", options.mask_weight, MOST_WEIGHT),
        ("lr", options.lr, 1.0),
    ):
        if not 0 < value <= most:
            raise FaimError(f"--{name} is {value}; expected a number above 0, up to {most:g}")
