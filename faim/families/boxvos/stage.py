"""The training of the box-to-mask network: both passes' losses on clips of its objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.utils.data import default_collate

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.experiments.data import data_identity, read_data
from faim.experiments.stage import AveragePrecision, Moment, Schedule, Stage
from faim.families.boxvos.backbone_weights import load_backbone
from faim.families.boxvos.checkpoint import load_box_vos, make_box_vos, save_box_vos
from faim.families.boxvos.clips import ClipDataset
from faim.families.boxvos.experiment import BoxVosExperiment
from faim.families.boxvos.lovasz import lovasz_hinge, lovasz_sigmoid
from faim.families.boxvos.network import BoxVos
from faim.families.boxvos.tracks import tracks_of
from faim.families.boxvos.validation import mean_overlap
from faim.nn.schedule import Steps, WarmupCosine
from faim.wording import counted

#: The segmentation loss of Eq. 4, by name.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "lovasz-sigmoid": lovasz_sigmoid,
    "lovasz-hinge": lovasz_hinge,
}
#: Word for no trained weights.
RANDOM = "random"


class BoxVosStage(Stage[BoxVosExperiment, BoxVos]):
    """The box-to-mask network on clips; a batch is one of `Clip`s."""

    def read_data(self) -> tuple[CocoVid, ...]:
        """The training data sets, all of them with masks, and so is the validation data.

        Raises:
            FaimError: a file is missing or damaged, or no object to validate on has a mask.
        """
        experiment = self.experiment
        data = tuple(read_data(path, "training", "--data") for path in experiment.train_ann)
        for each in data:
            each.check(num_classes=None, masks_required=True)
        if experiment.val_ann is not None:
            validation = read_data(experiment.val_ann, "validation", "--val")
            validation.check(num_classes=None, masks_required=True)
            if not tracks_of(validation):
                raise FaimError(
                    f"{experiment.val_ann}: no object with a mask; expected validation data with "
                    "masks"
                )
        return data

    def describe(self, data: Sequence[CocoVid]) -> str:
        """Backbone, input and data."""
        config = self.experiment.config()
        videos, frames = sum(len(d.videos) for d in data), sum(len(d.frames) for d in data)
        return (
            f"box-to-mask network with {config.backbone}, "
            f"{counted(self.experiment.train_frames, 'frame')} of "
            f"{config.size[1]}x{config.size[0]}, {counted(videos, 'video')}, "
            f"{counted(frames, 'frame')}"
        )

    def identity(self, data: Sequence[CocoVid]) -> dict[str, Any]:
        """The network's config and the sizes of the data sets."""
        config = asdict(self.experiment.config())
        sizes = {f"{i}: {n}": v for i, d in enumerate(data) for n, v in data_identity(d).items()}
        return {f"model.{name}": value for name, value in config.items()} | sizes

    def dataset(self, data: Sequence[CocoVid]) -> ClipDataset:
        """Clips of T frames."""
        experiment = self.experiment
        several = len(data) > 1 and experiment.data_weights
        return ClipDataset(
            [tracks_of(each) for each in data],
            experiment.data_weights if several else (1.0,) * len(data),
            experiment.iterations_per_epoch * experiment.batch_size,
            experiment.clip_augment(),
            experiment.config().size,
            frames=experiment.train_frames,
            window=experiment.window,
            seed=experiment.seed,
            cache=experiment.cache,
        )

    @staticmethod
    def collate(items: Sequence[Any]) -> tuple[Any, ...]:
        """Clips stacked."""
        return tuple(default_collate(list(items)))

    def start_epoch(self, dataset: ClipDataset, epoch: int) -> None:
        """Set the epoch."""
        dataset.set_epoch(epoch)

    def starting_model(self, data: Sequence[CocoVid]) -> BoxVos:
        """Random but for its backbone, or a checkpoint's.

        Raises:
            FaimError: a checkpoint of another network, or weights that do not fit the backbone.
        """
        return starting_model(self.experiment)

    def losses(self, model: BoxVos, batch: tuple[Any, ...], moment: Moment) -> dict[str, Tensor]:
        """Eq. 4, and each pass's part of it."""
        images, boxes, masks = batch
        loss = LOSSES[self.experiment.loss]
        truth = masks.flatten(0, 1).flatten(1)
        passes = model(images, boxes)
        parts = [loss(logits.flatten(0, 1).flatten(1), truth).mean() for logits in passes]
        names = ("first", "refined")[: len(parts)]
        return {"total": torch.stack(parts).sum(), **dict(zip(names, parts, strict=True))}

    def make_optimizer(self, model: BoxVos) -> Optimizer:
        """Adam, the backbone at a rate of its own."""
        experiment = self.experiment
        own = {id(parameter) for parameter in model.backbone.parameters()}
        rest = [p for p in model.parameters() if id(p) not in own]
        groups: list[dict[str, Any]] = [{"params": rest, "lr": experiment.learning_rate}]
        if experiment.backbone_rate > 0:
            rate = experiment.learning_rate * experiment.backbone_rate
            groups.append({"params": list(model.backbone.parameters()), "lr": rate})
        return AdamW(groups, weight_decay=experiment.weight_decay)

    def schedule(self, steps_per_epoch: int) -> Schedule:
        """Steps or a cosine, after the warm-up."""
        experiment = self.experiment
        warmup = experiment.warmup_iters
        if experiment.decay == "steps":
            return Steps(experiment.lr_steps, experiment.lr_factor, warmup)
        total = experiment.max_epochs * steps_per_epoch
        return WarmupCosine(total, min(warmup, total // 3), 0, experiment.min_lr_ratio)

    def save_weights(self, path: Path, model: BoxVos) -> None:
        """A checkpoint of the network."""
        save_box_vos(path, model)

    def evaluate(
        self,
        model: BoxVos,
        device: torch.device | str,
        frames: int | None,
        average_precision: AveragePrecision,
    ) -> dict[str, float]:
        """The mean Jaccard index J."""
        assert self.experiment.val_ann is not None
        tracks = tracks_of(CocoVid(Path(self.experiment.val_ann)))
        stride = 1 if frames is None else -(-sum(map(len, tracks)) // frames)
        return {"j": 100 * mean_overlap(model, tracks[::stride], self.experiment)}


def starting_model(experiment: BoxVosExperiment) -> BoxVos:
    """The network that a training starts from: random but for its backbone, or a checkpoint's.

    Raises:
        FaimError: a checkpoint of another network, or weights that do not fit the backbone.
    """
    config = experiment.config()
    model = make_box_vos(config, experiment.seed)
    if experiment.ckpt:
        known = load_box_vos(Path(experiment.ckpt))
        if _shapes(known) != _shapes(model):
            raise FaimError(
                f"{experiment.ckpt}: a network of {known.config}; expected that of the experiment, "
                f"{config}"
            )
        model.load_state_dict(known.state_dict())
    elif experiment.backbone_weights != RANDOM:
        load_backbone(model, experiment.backbone_weights)
    if experiment.backbone_rate == 0:
        model.freeze_backbone = True
        model.backbone.requires_grad_(False)
    return model


def _shapes(model: BoxVos) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}
