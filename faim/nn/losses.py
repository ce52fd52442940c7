"""What the second stage learns from: matching, the refined classification and the mask loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou, roi_align

from faim.nn.pyramid import Assignment
from faim.structures import FrameTargets, Picks, Proposals, TensorRecord


@dataclass(frozen=True)
class Matches(TensorRecord):
    """Which ground truth each proposal answers for; with a leading m, those of m frames.

    Attributes:
        target: (n,) long, index of the ground truth within its frame; -1 where there is none.
        label: (n,) long, its class; -1 where there is none.
        iou: (n,) float, IoU of the proposal with it; 0 where there is none.
    """

    target: Tensor
    label: Tensor
    iou: Tensor


@torch.no_grad()
def match_proposals(
    picks: Picks,
    targets: Sequence[FrameTargets],
    assignments: Sequence[Assignment | None],
    match_iou: float,
) -> Matches:
    """Match proposals of m frames with the ground truth.

    A proposal whose anchor SimOTA assigned belongs to that ground truth, with the IoU of the
    assignment; another belongs to the ground truth it overlaps most, from `match_iou` on (the
    public YOLOV implementation's convention).
    """
    frames = zip(range(len(targets)), targets, assignments, strict=True)
    return Matches.stack([_match_frame(picks[i], t, a, match_iou) for i, t, a in frames])


def _match_frame(
    picks: Picks, truth: FrameTargets, assignment: Assignment | None, match_iou: float
) -> Matches:
    none = torch.full_like(picks.index, -1)
    if len(truth.labels) == 0:
        return Matches(none, none, torch.zeros_like(picks.objectness))
    iou, target = box_iou(picks.boxes.float(), truth.boxes.float()).max(dim=1)
    target = torch.where(iou >= match_iou, target, none)
    if assignment is not None and len(assignment.anchors):
        same = picks.index[:, None] == assignment.anchors[None]
        assigned, which = same.max(dim=1)
        target = torch.where(assigned, assignment.targets[which], target)
        iou = torch.where(assigned, assignment.ious[which].to(iou.dtype), iou)
    target = torch.where(picks.valid, target, none)
    matched = target >= 0
    label = torch.where(matched, truth.labels[target.clamp(min=0)], none)
    return Matches(target, label, torch.where(matched, iou, torch.zeros_like(iou)))


def refined_classification_loss(
    logits: Tensor, matches: Matches, refined: Tensor | None = None
) -> Tensor:
    """Binary cross entropy of the refined classes of matched proposals.

    The target is one-hot times IoU. Unmatched proposals do not count: telling them from objects is
    left to the objectness (the public YOLOV implementation's convention). So an object without a
    label is not background either.

    Args:
        logits: (m, n, C) of TICAM.
        matches: of the same proposals, leading dimensions (m, n).
        refined: (C,) bool, the classes that count; None for all.

    Returns:
        Scalar: summed over classes, averaged over matched proposals; 0 where none is matched.
    """
    matched = matches.label >= 0
    chosen = logits[matched]
    soft = F.one_hot(matches.label[matched], logits.shape[-1]) * matches.iou[matched, None]
    if refined is not None:
        chosen, soft = chosen[:, refined], soft[:, refined]
    loss = F.binary_cross_entropy_with_logits(chosen, soft.to(chosen.dtype), reduction="sum")
    return loss / max(len(chosen), 1)


def retention_loss(
    logits: Tensor, picks: Picks | Proposals, matches: Matches, refined: Tensor | None = None
) -> Tensor:
    """What keeps the base detector's knowledge of proposals that match no label.

    Binary cross entropy of the refined classes towards the base detector's scores ("learning
    without forgetting", Li and Hoiem, ECCV 2016). A proposal counts by its objectness.

    Args:
        logits: (m, n, C) of TICAM.
        picks: m frames' proposals.
        matches: of the same.
        refined: (C,) bool, the classes that count; None for all.

    Returns:
        Scalar: summed over classes, the weighted mean of unmatched proposals; 0 where all are
        matched.
    """
    weights = picks.objectness * (picks.valid & (matches.label < 0))
    scores = picks.class_scores
    if refined is not None:
        logits, scores = logits[..., refined], scores[..., refined]
    loss = F.binary_cross_entropy_with_logits(logits, scores.to(logits.dtype), reduction="none")
    return (weights * loss.sum(dim=-1)).sum() / weights.sum().clamp(min=1e-6)


def instance_ids(matches: Matches, targets: Sequence[FrameTargets]) -> Tensor:
    """The object of the video that each proposal belongs to, (m, n) long; -1 for none known."""
    rows = []
    for target, truth in zip(matches.target, targets, strict=True):
        # One more at the end, for the proposals that belong to none.
        known = torch.cat([truth.instance_ids, truth.instance_ids.new_full((1,), -1)])
        rows.append(known[target])
    return torch.stack(rows)


@dataclass(frozen=True)
class IdentityLearning:
    """What a training step learns of objects staying themselves.

    Attributes:
        loss: scalar, 0 where no object is seen in two frames.
        same_object: scalar in [0, 1], the mean share of attention to other frames that goes to the
            same object.
    """

    loss: Tensor
    same_object: Tensor


def identity_loss(attention: Tensor, objects: Tensor) -> IdentityLearning:
    """How far an attention map is from the same object in other frames.

    The negative logarithm of the share that the same object's proposals have of a proposal's
    attention to other frames: InfoNCE with the attention in the place of a similarity, so that what
    is learnt is the map that is used.

    Args:
        attention: (m * n, m * n) float, rows of proposals, positive.
        objects: (m, n) long, the object of each; -1 for none.

    Returns:
        The loss is the mean over proposals whose object is seen in another frame.
    """
    m, n = objects.shape
    frames = torch.arange(m, device=objects.device).repeat_interleave(n)
    flat = objects.flatten()
    elsewhere = frames[:, None] != frames
    same = (flat[:, None] == flat) & (flat >= 0) & elsewhere
    asked = same.any(dim=1)
    if not asked.any():
        nothing = attention.sum() * 0
        return IdentityLearning(nothing, nothing.detach())
    to_others = (attention * elsewhere)[asked].sum(dim=1).clamp(min=1e-12)
    share = (attention * same)[asked].sum(dim=1) / to_others
    return IdentityLearning(-share.clamp(min=1e-6).log().mean(), share.mean().detach())


def crop_masks(masks: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Masks cropped to their boxes and resized.

    Args:
        masks: (r, H, W) bool.
        boxes: (r, 4) float, pixels of the masks.
        size: side of the result.

    Returns:
        (r, size, size) float, 0 or 1.
    """
    index = torch.arange(len(masks), device=masks.device, dtype=torch.float32)[:, None]
    rois = torch.cat([index, boxes.float()], dim=1)
    cropped = roi_align(masks[:, None].float(), rois, size, aligned=True)
    return (cropped[:, 0] >= 0.5).float()


def mask_loss(logits: Tensor, targets: Tensor, kind: str = "bce") -> Tensor:
    """L_mask (FAIM, Eq. II): the mean over proposals of BCE or Dice.

    Args:
        logits: (r, S, S), each the mask of the class that TICAM predicts (Eq. 5).
        targets: (r, S, S) float, 0 or 1.
        kind: "bce" or "dice".

    Returns:
        Scalar; 0 (with a gradient path) where there are no proposals.
    """
    if not len(logits):
        return logits.sum()
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(logits, targets)
    probability = logits.sigmoid().flatten(1)
    truth = targets.flatten(1)
    overlap = 2 * (probability * truth).sum(1)
    return (1 - (overlap + 1) / (probability.sum(1) + truth.sum(1) + 1)).mean()
