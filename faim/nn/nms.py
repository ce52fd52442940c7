"""From scored proposals to detections."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from faim.structures import Detections, Proposals, ScoredBoxes


def postprocess(
    proposals: Proposals,
    class_probabilities: Tensor,
    *,
    score_threshold: float = 0.001,
    nms_threshold: float = 0.5,
) -> Detections:
    """The final step: every class of a box is scored, then class-aware NMS.

    `detections_of` of the `scored_boxes`, without the detour: it takes two thirds of the time.

    Args:
        proposals: of one frame, leading dimension (n,).
        class_probabilities: (n, C) float in [0, 1]; a score is objectness times probability.
        score_threshold: scores below it are dropped.
        nms_threshold: IoU in [0, 1].

    Returns:
        Detections in network-input pixels, best score first.
    """
    rows, labels, scores = _survivors(
        proposals, class_probabilities, score_threshold, nms_threshold
    )
    return Detections(proposals.boxes[rows].float(), scores, labels)


def scored_boxes(
    proposals: Proposals,
    class_probabilities: Tensor,
    *,
    score_threshold: float = 0.001,
    nms_threshold: float = 0.5,
) -> ScoredBoxes:
    """The same step, for post-processing that needs the scores of all classes together.

    Arguments are those of `postprocess`.

    Returns:
        The proposals that keep at least one class, in their order, in network-input pixels. Classes
        below the threshold or suppressed by NMS are 0.
    """
    rows, labels, kept = _survivors(proposals, class_probabilities, score_threshold, nms_threshold)
    scores = kept.new_zeros(class_probabilities.shape)
    # What is kept with a score of 0, where that is asked for, is told from what is not.
    scores[rows, labels] = kept.clamp(min=torch.finfo(kept.dtype).tiny)
    some = torch.zeros_like(proposals.valid)
    some[rows] = True
    return ScoredBoxes(proposals.boxes[some].float(), scores[some])


def detections_of(scored: ScoredBoxes, score_threshold: float) -> Detections:
    """Every class of every box that has a score, as a detection of its own; best first.

    Args:
        scored: of one frame.
        score_threshold: scores below it are dropped, and those that are 0 always.
    """
    rows, labels = ((scored.scores >= score_threshold) & (scored.scores > 0)).nonzero(as_tuple=True)
    scores, order = scored.scores[rows, labels].sort(descending=True, stable=True)
    rows = rows[order]
    tracks = None if scored.track_ids is None else scored.track_ids[rows]
    return Detections(scored.boxes[rows], scores, labels[order], tracks)


def _survivors(
    proposals: Proposals, class_probabilities: Tensor, score_threshold: float, nms_threshold: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, classes and scores of what is left after NMS, (k,) each, best first."""
    scores = proposals.objectness[:, None] * class_probabilities
    candidate = (scores >= score_threshold) & proposals.valid[:, None]
    rows, labels = candidate.nonzero(as_tuple=True)
    kept_scores = scores[rows, labels].float()
    keep = batched_nms(proposals.boxes[rows].float(), kept_scores, labels, nms_threshold)
    return rows[keep], labels[keep], kept_scores[keep]
