"""The training of the box-to-mask network: every number in one place (section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from faim.errors import FaimError
from faim.experiments.common import CommonExperiment, at_least, share
from faim.families.boxvos.augment import ClipAugment
from faim.families.boxvos.config import BoxVosConfig


@dataclass(kw_only=True)
class BoxVosExperiment(CommonExperiment):
    """Defaults are the paper's. `batch_size` counts clips of one object each.

    Attributes:
        model: `BoxVosConfig` fields that differ from its defaults.
        augment: `ClipAugment` fields that differ from its defaults, which are the paper's.
        train_ann: CocoVID annotation files with masks; on the command line separated by commas.
        data_weights: how often clips are taken from each of them, whatever their sizes; empty for
            all alike. A single data set needs none.
        backbone_weights: what F starts from: "coco-maskrcnn" (torchvision's ResNet-50, which is
            downloaded), a file of weights, or "random".
        backbone_rate: learning rate of F relative to the other parts'; 0 leaves F as it is.
        train_frames: T in training.
        window: frames of the video, from the first of a clip to its last at most.
        iterations_per_epoch: length of an epoch.
        loss: of Eq. 4, the Lovász extension of the Jaccard loss at |truth - probability|, or at the
            hinge errors of the logits.
        learning_rate: of Adam, at its highest.
        weight_decay: of AdamW; 0 makes it Adam.
        decay: how the learning rate falls: in steps as in the paper, or by a cosine to
            `min_lr_ratio`.
        lr_steps: iterations at which it falls to `lr_factor` of what it was.
        lr_factor: see `lr_steps`.
        min_lr_ratio: see `decay`.
        warmup_iters: iterations of a quadratic warm-up.
        val_frames: T in validation.
        val_interval: Δ in validation.
        val_stride: every how many windows of a track validation looks at.
    """

    model: dict[str, Any] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)
    train_ann: tuple[str, ...] = ("data/youtube_vos/train.json", "data/davis2017/train.json")
    data_weights: tuple[float, ...] = (6.0, 1.0)
    backbone_weights: str = "coco-maskrcnn"
    backbone_rate: float = 0.0
    train_frames: int = 3
    window: int = 100
    iterations_per_epoch: int = 1000
    max_epochs: int = 80
    batch_size: int = 4
    loss: Literal["lovasz-sigmoid", "lovasz-hinge"] = "lovasz-sigmoid"
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    decay: Literal["steps", "cosine"] = "steps"
    lr_steps: tuple[int, ...] = (30_000, 60_000)
    lr_factor: float = 0.2
    min_lr_ratio: float = 0.05
    warmup_iters: int = 0
    ema: bool = False
    val_frames: int = 3
    val_interval: int = 5
    val_stride: int = 5

    stage: ClassVar[str] = "faim.families.boxvos.stage:BoxVosStage"
    nested: ClassVar[dict[str, type]] = {"model": BoxVosConfig, "augment": ClipAugment}
    free_on_resume: ClassVar[frozenset[str]] = CommonExperiment.free_on_resume | {
        *("backbone_weights", "val_frames", "val_interval", "val_stride"),
    }

    def validate(self) -> None:
        """See `CommonExperiment`."""
        super().validate()
        for name in ("train_frames", "window", "iterations_per_epoch"):
            at_least(name, getattr(self, name), 1)
        for name in ("val_frames", "val_interval", "val_stride"):
            at_least(name, getattr(self, name), 1)
        for name in ("weight_decay", "warmup_iters", "backbone_rate"):
            at_least(name, getattr(self, name), 0)
        for name in ("lr_factor", "min_lr_ratio"):
            share(name, getattr(self, name))
        if self.learning_rate <= 0:
            raise FaimError(f"learning_rate is {self.learning_rate!r}; expected a number above 0")
        self._check_data_weights()
        self.config()
        self.clip_augment()

    def _check_data_weights(self) -> None:
        if not self.train_ann or not all(self.train_ann):
            raise FaimError(f"train_ann is {self.train_ann!r}; expected annotation files")
        count = len(self.train_ann)
        if count > 1 and self.data_weights and len(self.data_weights) != count:
            raise FaimError(
                f"data_weights is {self.data_weights}; expected {count} numbers, one for each of "
                "train_ann, or none"
            )
        if any(weight <= 0 for weight in self.data_weights):
            raise FaimError(f"data_weights is {self.data_weights}; expected numbers above 0")

    def config(self) -> BoxVosConfig:
        """The network's config; raises FaimError for a wrong `model` field."""
        try:
            return BoxVosConfig(**self.model)
        except TypeError as error:
            raise FaimError(f"model: {error}; expected fields of BoxVosConfig") from error

    def clip_augment(self) -> ClipAugment:
        """What is drawn for a clip; raises FaimError for a wrong `augment` field."""
        try:
            return ClipAugment(**self.augment)
        except TypeError as error:
            raise FaimError(f"augment: {error}; expected fields of ClipAugment") from error
