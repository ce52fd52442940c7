"""The training of the box-to-mask network: every number in one place (section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.utils.data import default_collate

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.families.boxvos.augment import ClipAugment
from faim.families.boxvos.checkpoint import save_box_vos
from faim.families.boxvos.clips import ClipDataset
from faim.families.boxvos.config import BoxVosConfig
from faim.families.boxvos.network import BoxVos
from faim.families.boxvos.tracks import tracks_of
from faim.nn.schedule import Steps, WarmupCosine
from faim.training.common import CommonExperiment, at_least, share
from faim.training.data_module import data_identity, read_data
from faim.wording import counted

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback

    from faim.families.boxvos.training import BoxVosTraining
    from faim.training.checkpoints import SaveProgress


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
        self._augment()

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

    def _augment(self) -> ClipAugment:
        try:
            return ClipAugment(**self.augment)
        except TypeError as error:
            raise FaimError(f"augment: {error}; expected fields of ClipAugment") from error

    def read_data(self) -> tuple[CocoVid, ...]:
        """The training data sets, all of them with masks, and so is the validation data.

        Raises:
            FaimError: a file is missing or damaged, or no object to validate on has a mask.
        """
        data = tuple(read_data(path, "training", "--data") for path in self.train_ann)
        for each in data:
            each.check(num_classes=None, masks_required=True)
        if self.val_ann is not None:
            validation = read_data(self.val_ann, "validation", "--val")
            validation.check(num_classes=None, masks_required=True)
            if not tracks_of(validation):
                raise FaimError(
                    f"{self.val_ann}: no object with a mask; expected validation data with masks"
                )
        return data

    def dataset(self, data: Sequence[CocoVid]) -> ClipDataset:
        """Clips of T frames."""
        weights = self.data_weights if len(data) > 1 and self.data_weights else (1.0,) * len(data)
        return ClipDataset(
            [tracks_of(each) for each in data],
            weights,
            self.iterations_per_epoch * self.batch_size,
            self._augment(),
            self.config().size,
            frames=self.train_frames,
            window=self.window,
            seed=self.seed,
            cache=self.cache,
        )

    @property
    def collate(self) -> Callable[[Sequence[Any]], Any]:
        """Clips stacked."""
        return _stacked

    def start_epoch(self, dataset: ClipDataset, epoch: int) -> None:
        """Set the epoch."""
        dataset.set_epoch(epoch)

    def schedule(self, steps_per_epoch: int) -> Callable[[int], float]:
        """Steps or a cosine, after the warm-up."""
        if self.decay == "steps":
            return Steps(self.lr_steps, self.lr_factor, self.warmup_iters)
        total = self.max_epochs * steps_per_epoch
        return WarmupCosine(total, min(self.warmup_iters, total // 3), 0, self.min_lr_ratio)

    def make_optimizer(self, model: nn.Module) -> Optimizer:
        """Adam, the backbone at a rate of its own."""
        assert isinstance(model, BoxVos)
        own = {id(parameter) for parameter in model.backbone.parameters()}
        rest = [p for p in model.parameters() if id(p) not in own]
        groups: list[dict[str, Any]] = [{"params": rest, "lr": self.learning_rate}]
        if self.backbone_rate > 0:
            rate = self.learning_rate * self.backbone_rate
            groups.append({"params": list(model.backbone.parameters()), "lr": rate})
        return AdamW(groups, weight_decay=self.weight_decay)

    def starting_model(self, data: Sequence[CocoVid]) -> BoxVos:
        """See `faim.families.boxvos.training`."""
        from faim.families.boxvos.training import starting_model

        return starting_model(self)

    def make_module(self, model: Any, steps_per_epoch: int) -> BoxVosTraining:
        """See `faim.families.boxvos.training`."""
        from faim.families.boxvos.training import make_module

        return make_module(model, self, steps_per_epoch)

    def save_weights(self, path: Path, model: BoxVos) -> None:
        """A checkpoint of the network."""
        save_box_vos(path, model)

    def validation(self, annotation_file: str, progress: SaveProgress) -> Callback:
        """The mean Jaccard index."""
        from faim.families.boxvos.validation import ValidateMasks

        return ValidateMasks(annotation_file, progress, self)

    def identity(self, data: Sequence[CocoVid]) -> dict[str, Any]:
        """The network's config and the sizes of the data sets."""
        config = {f"model.{name}": value for name, value in asdict(self.config()).items()}
        sizes = {f"{i}: {n}": v for i, d in enumerate(data) for n, v in data_identity(d).items()}
        return config | sizes

    def describe(self, data: Sequence[CocoVid]) -> str:
        """Backbone, input and data."""
        config = self.config()
        videos, frames = sum(len(d.videos) for d in data), sum(len(d.frames) for d in data)
        return (
            f"box-to-mask network with {config.backbone}, {counted(self.train_frames, 'frame')} of "
            f"{config.size[1]}x{config.size[0]}, {counted(videos, 'video')}, "
            f"{counted(frames, 'frame')}"
        )


def _stacked(items: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(default_collate(list(items)))
