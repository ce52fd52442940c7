"""Average precision of a model in hand, as a training measures it."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Literal

import torch
from torch import nn

from faim.data.coco_vid import CocoVid
from faim.detector import VideoDetector
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.figures import levels
from faim.evaluation.modes import ModeRunner
from faim.nn.modes import evaluating


def evaluate_model(
    model: VideoDetector,
    data: CocoVid,
    mode: Literal["frame", "global"],
    device: torch.device | str,
) -> dict[str, float]:
    """What `faim eval` tells of the model's weights in one mode, without post-processing.

    Args:
        model: on `device`; a network in whatever mode, which it is left in.
        data: the dataset.
        mode: how the frames are looked at.
        device: where the model is.

    Returns:
        AP50, AP75 and AP50:95 from 0 to 100 by the names `ap50`, `ap75` and `ap50_95`.

    Raises:
        FaimError: the dataset is wrong, does not fit the model, or an image cannot be read.
    """
    data.check(num_classes=None, masks_required=False)
    with evaluating(model) if isinstance(model, nn.Module) else nullcontext():
        run = ModeRunner(model, data, (mode,), device=device).run()[mode]
    ap = evaluate_ap(data, run.detections)
    return {name: value or 0.0 for name, value in levels(ap).items()}
