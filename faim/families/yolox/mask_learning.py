"""Learning instance masks (FAIM, Sec. 3.2): L_mask of the proposals of one training step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from faim.families.yolox.config import FaimConfig
from faim.nn.losses import Matches, crop_masks, mask_loss
from faim.nn.mask_head import MaskHead
from faim.nn.pyramid import STRIDES, anchor_levels
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


@dataclass(frozen=True)
class MaskLearning:
    """What a training step learns of masks.

    Attributes:
        loss: scalar, L_mask without lambda.
        reached: scalar in [0, 1], the share of matched proposals whose F_ins, as TICAM reads it,
            the loss has a gradient at; 0 where none is matched.
    """

    loss: Tensor
    reached: Tensor


def mask_head_of(config: FaimConfig) -> MaskHead:
    """The mask head that a config describes, with random weights."""
    return MaskHead(
        config.feature_dim,
        config.mask_classes,
        config.mask_levels,
        config.mask_roi_size,
        config.mask_upsampling,
    )


def learn_masks(
    mask_head: MaskHead, features: list[Tensor], made: Decisions, config: FaimConfig
) -> MaskLearning:
    """L_mask of matched proposals against the pseudo masks cropped to their boxes.

    Args:
        mask_head: predicts C masks of a proposal, or one.
        features: F_ins, per level (m, D, H, W).
        made: the step's decisions; of a proposal's masks the one of its class counts (Eq. 5).
        config: `mask_loss`, `class_agnostic_masks`, `max_mask_rois`, `match_iou` and `refined` are
            read.

    Returns:
        The loss is 0 with a gradient of 0 where no matched proposal has a mask.
    """
    frames, slots, chosen = _drawn(made, config)
    boxes, anchors = made.picks.boxes[frames, slots], made.picks.index[frames, slots]
    predicted = mask_head(features, boxes, frames, anchors)
    logits = made.logits[frames, slots]
    if config.refined is not None:  # TICAM decides no other class
        others = ~torch.tensor(config.refined, device=logits.device)
        logits = logits.masked_fill(others, -torch.inf)
    classes = logits.argmax(dim=-1)
    if config.class_agnostic_masks:
        classes = torch.zeros_like(classes)
    predicted = predicted[torch.arange(len(frames), device=classes.device), classes]
    if not len(frames):
        loss = mask_loss(predicted, predicted.detach(), config.mask_loss)
        return MaskLearning(loss, loss.detach())
    pairs = list(zip(frames.tolist(), chosen.tolist(), strict=True))
    masks = torch.stack([_masks(made.targets[frame])[index] for frame, index in pairs])
    truth_boxes = torch.stack([made.targets[frame].boxes[index] for frame, index in pairs])
    truth = crop_masks(masks, truth_boxes, predicted.shape[-1])
    level = mask_head.level_of(features, boxes, anchors)
    reached = _reached(made, features, frames, boxes, level)
    return MaskLearning(mask_loss(predicted, truth, config.mask_loss), reached)


def _drawn(made: Decisions, config: FaimConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Frame, slot and ground truth of the proposals that a mask is learnt of, (k,) long each.

    Of more than `max_mask_rois` some are drawn, each alike: the best are the clear ones, and
    often several of one object.
    """
    matches = made.matches
    has_masks = torch.tensor(
        [target.masks is not None for target in made.targets], device=made.logits.device
    )
    # SimOTA may assign a proposal that is far off its ground truth, whose mask it cannot show.
    shows = (matches.target >= 0) & (matches.iou >= config.match_iou)
    frames, slots = (shows & has_masks[:, None]).nonzero(as_tuple=True)
    # By the proposals alone, so that a resumed training draws as one that went through.
    generator = torch.Generator().manual_seed(int(made.picks.index.sum()))
    drawn = torch.randperm(len(frames), generator=generator)[: config.max_mask_rois]
    drawn = drawn.sort().values.to(frames.device)
    frames, slots = frames[drawn], slots[drawn]
    return frames, slots, matches.target[frames, slots]


def _reached(
    made: Decisions, features: list[Tensor], frames: Tensor, boxes: Tensor, level: Tensor
) -> Tensor:
    """See `MaskLearning`.

    Args:
        made: the step's decisions.
        features: F_ins, per level (m, D, H, W).
        frames: (r,) long, the frame of each box that a mask is learnt of.
        boxes: (r, 4) float.
        level: (r,) long, where each is pooled.
    """
    with_object, slots = (made.matches.target >= 0).nonzero(as_tuple=True)
    own, cells = anchor_levels(made.picks.index[with_object, slots], features)
    strides = torch.tensor(STRIDES, device=level.device)
    # Bilinear sampling within the box takes from cells up to one cell off.
    reach = strides[level, None]
    inside = (cells[:, None] > boxes[:, :2] - reach) & (cells[:, None] < boxes[:, 2:] + reach)
    same = (with_object[:, None] == frames) & (own[:, None] == level)
    hit = (same & inside.all(dim=-1)).any(dim=1)
    return hit.float().sum() / max(len(hit), 1)


def _masks(target: FrameTargets) -> Tensor:
    assert target.masks is not None
    return target.masks
