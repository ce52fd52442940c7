"""The training step of the box-to-mask network, and what is measured after an epoch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from faim.errors import FaimError
from faim.families.boxvos.backbone_weights import load_backbone
from faim.families.boxvos.checkpoint import load_box_vos, make_box_vos
from faim.families.boxvos.experiment import BoxVosExperiment
from faim.families.boxvos.lovasz import lovasz_hinge, lovasz_sigmoid
from faim.families.boxvos.network import BoxVos
from faim.training.steps import TrainingModule

#: The segmentation loss of Eq. 4, by name.
LOSSES = {"lovasz-sigmoid": lovasz_sigmoid, "lovasz-hinge": lovasz_hinge}
#: Word for no trained weights.
RANDOM = "random"


class BoxVosTraining(TrainingModule):
    """Both passes' Lovász losses on clips."""

    model: BoxVos
    experiment: BoxVosExperiment

    def losses(self, *batch: Tensor) -> dict[str, Tensor]:
        """Eq. 4, and each pass's part of it, of a batch of `Clip`s."""
        images, boxes, masks = batch
        loss = LOSSES[self.experiment.loss]
        truth = masks.flatten(0, 1).flatten(1)
        passes = self.model(images, boxes)
        parts = [loss(logits.flatten(0, 1).flatten(1), truth).mean() for logits in passes]
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
        model.backbone.requires_grad_(False)
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
