"""From scored proposals to detections."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from faim.structures import Detections, Proposals


def postprocess(
    proposals: Proposals,
    class_probabilities: Tensor,
    *,
    score_threshold: float = 0.001,
    nms_threshold: float = 0.5,
) -> Detections:
    """The final step: every class of a box is scored, then class-aware NMS.

    Args:
        proposals: of one frame, leading dimension (n,).
        class_probabilities: (n, C) float in [0, 1]; a score is objectness times probability.
        score_threshold: scores below it are dropped.
        nms_threshold: IoU in [0, 1].

    Returns:
        Detections in network-input pixels, best score first.
    """
    scores = proposals.objectness[:, None] * class_probabilities
    candidate = (scores >= score_threshold) & proposals.valid[:, None]
    rows, labels = candidate.nonzero(as_tuple=True)
    boxes, kept_scores = proposals.boxes[rows].float(), scores[rows, labels].float()
    keep = batched_nms(boxes, kept_scores, labels, nms_threshold)
    return Detections(boxes[keep], kept_scores[keep], labels[keep])


def empty_detections() -> Detections:
    """Nothing found."""
    return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
