"""Learning instance masks (FAIM, Sec. 3.2): L_mask of the proposals of one training step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from faim.config import FaimConfig
from faim.models.losses import Matches, crop_masks, mask_loss
from faim.models.mask_head import MaskHead
from faim.structures import FrameTargets, Picks


@dataclass(frozen=True)
class Decisions:
    """What a model decided about m frames, and what is true of them.

    Attributes:
        picks: the proposals.
        logits: (m, n, C) float, TICAM's class logits of them.
        matches: which ground truth each belongs to.
        targets: m ground truths.
    """

    picks: Picks
    logits: Tensor
    matches: Matches
    targets: list[FrameTargets]


def instance_mask_loss(
    mask_head: MaskHead, features: list[Tensor], made: Decisions, config: FaimConfig
) -> Tensor:
    """L_mask of matched proposals against the pseudo masks cropped to their boxes.

    Args:
        mask_head: predicts C masks of a proposal, or one.
        features: F_ins, per level (m, D, H, W).
        made: the step's decisions; of a proposal's masks the one of its class counts (Eq. 5).
        config: `mask_loss`, `class_agnostic_masks`, `max_mask_rois`, `match_iou` and `refined` are
            read.

    Returns:
        A scalar, without lambda; 0 with a gradient of 0 where no matched proposal has a mask.
    """
    frames, slots, chosen = _shown(made, config)
    predicted = mask_head(features, made.picks.boxes[frames, slots], frames)
    logits = made.logits[frames, slots]
    if config.refined is not None:  # TICAM decides no other class
        others = ~torch.tensor(config.refined, device=logits.device)
        logits = logits.masked_fill(others, -torch.inf)
    classes = logits.argmax(dim=-1)
    if config.class_agnostic_masks:
        classes = torch.zeros_like(classes)
    predicted = predicted[torch.arange(len(frames), device=classes.device), classes]
    if not len(frames):
        return mask_loss(predicted, predicted.detach(), config.mask_loss)
    pairs = list(zip(frames.tolist(), chosen.tolist(), strict=True))
    masks = torch.stack([_masks(made.targets[frame])[index] for frame, index in pairs])
    boxes = torch.stack([made.targets[frame].boxes[index] for frame, index in pairs])
    truth = crop_masks(masks, boxes, predicted.shape[-1])
    return mask_loss(predicted, truth, config.mask_loss)


def _shown(made: Decisions, config: FaimConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Frame, slot and ground truth of the proposals that a mask is learnt of, (k,) long each."""
    matches = made.matches
    has_masks = torch.tensor(
        [target.masks is not None for target in made.targets], device=made.logits.device
    )
    # SimOTA may assign a proposal that is far off its ground truth, whose mask it cannot show.
    shows = (matches.target >= 0) & (matches.iou >= config.match_iou)
    frames, slots = (shows & has_masks[:, None]).nonzero(as_tuple=True)
    best = matches.iou[frames, slots].topk(min(config.max_mask_rois, len(frames))).indices
    frames, slots = frames[best], slots[best]
    return frames, slots, matches.target[frames, slots]


def _masks(target: FrameTargets) -> Tensor:
    assert target.masks is not None
    return target.masks
