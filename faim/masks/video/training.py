"""The training step of the box-to-mask network, and what is measured after an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faim.data.coco_vid import CocoVid
from faim.data.records import read_frame, read_mask
from faim.errors import FaimError
from faim.masks.evaluation.jaccard import jaccard
from faim.masks.video.checkpoint import freeze, load_backbone, load_box_vos, make_box_vos
from faim.masks.video.clips import Track, tight_box, tracks_of
from faim.masks.video.experiment import BoxVosExperiment
from faim.masks.video.inference import TrackOptions, plan_windows, segment_track
from faim.masks.video.network import BoxVos
from faim.training.checkpoints import SaveProgress
from faim.training.steps import TrainingModule
from faim.training.validation import EpochEvaluation

#: Word for no trained weights.
RANDOM = "random"


class BoxVosTraining(TrainingModule):
    """Both passes' Lovász losses on clips."""

    model: BoxVos
    experiment: BoxVosExperiment

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Eq. 4, and each pass's part of it, of a batch of `Clip`s."""
        images, boxes, masks, valid = batch
        logits = self.model(images, boxes, valid)
        parts = [self.model.losses([each.float()], masks, valid) for each in logits]
        names = ("first", "refined")[: len(parts)]
        return {"total": torch.stack(parts).sum(), **dict(zip(names, parts, strict=True))}


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
        freeze(model.backbone)
    return model


def _shapes(model: BoxVos) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def make_module(
    model: BoxVos, experiment: BoxVosExperiment, steps_per_epoch: int
) -> BoxVosTraining:
    """The training module, in training mode."""
    module = BoxVosTraining(model, experiment, steps_per_epoch)
    if experiment.channels_last:
        module.to(memory_format=torch.channels_last)
    # Lightning leaves every part in the mode in which it finds it.
    return module.train()


class ValidateMasks(EpochEvaluation):
    """The mean Jaccard index, in percent: the mean over objects of the mean over their frames."""

    def __init__(
        self, annotation_file: str, progress: SaveProgress, experiment: BoxVosExperiment
    ) -> None:
        """Evaluate on a CocoVID file with masks; write beside what `progress` does."""
        super().__init__(progress)
        self.annotation_file = Path(annotation_file)
        self.experiment = experiment

    def evaluate(self, model: Any, weights: Path, device: str) -> tuple[float, dict[str, float]]:
        """See `EpochEvaluation`."""
        training = model.training
        model.eval()
        try:
            objects = [
                np.mean(list(track_overlaps(model, track, self.experiment)))
                for track in tracks_of(CocoVid(self.annotation_file))
            ]
        finally:
            model.train(training)
        mean = 100 * float(np.mean(objects))
        return mean, {"j": mean}


def track_overlaps(model: BoxVos, track: Track, experiment: BoxVosExperiment) -> Iterator[float]:
    """The Jaccard index of each frame of the windows that validation looks at."""
    truths = [
        read_mask(annotation, frame.height, frame.width)
        for frame, annotation in zip(track.frames, track.annotations, strict=True)
    ]
    config = model.config
    options = TrackOptions(
        experiment.val_frames,
        experiment.val_interval,
        config.crop_factor,
        config.test_iterations,
    )
    windows = plan_windows(len(track), options.frames, options.interval)
    found = segment_track(
        model,
        lambda position: read_frame(track.frames[position]),
        [tight_box(truth) for truth in truths],
        options,
        windows[:: experiment.val_stride],
    )
    for position, mask in found:
        yield jaccard(mask, truths[position])
