"""Convex surrogates of 1 - Jaccard (Berman et al., 2018, the paper's [4])."""

from __future__ import annotations

import torch
from torch import Tensor


def lovasz_sigmoid(logits: Tensor, truth: Tensor) -> Tensor:
    """The Lovász extension of the Jaccard loss at |truth - probability|.

    That is the Lovász-softmax of [4] for a single class.

    Args:
        logits: (N, P) float, one a pixel.
        truth: (N, P) bool.

    Returns:
        (N,) float in [0, 1].
    """
    return _extension((truth.to(logits.dtype) - logits.sigmoid()).abs(), truth)


def lovasz_hinge(logits: Tensor, truth: Tensor) -> Tensor:
    """The same at the hinge errors, which do not saturate where the network is wrong and sure.

    Args:
        logits: (N, P) float, one a pixel.
        truth: (N, P) bool.

    Returns:
        (N,) float, 0 or more.
    """
    signs = 2.0 * truth.to(logits.dtype) - 1.0
    return _extension((1.0 - logits * signs).relu(), truth)


def _extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Errors weighted by how much each pixel, in order of falling error, adds to the Jaccard loss
    of the set of wrong pixels.
    """
    ordered, order = torch.sort(errors, dim=1, descending=True)
    return (ordered * _jaccard_steps(truth.gather(1, order), errors.dtype)).sum(1)


def _jaccard_steps(truth: Tensor, dtype: torch.dtype) -> Tensor:
    """What each of the pixels in order adds to the Jaccard loss when all before it are wrong."""
    # Counts up to 2^24 are exact in float32; half precision would not hold them.
    inside = truth.to(torch.promote_types(dtype, torch.float32))
    total = inside.sum(1, keepdim=True)
    intersection = total - inside.cumsum(1)
    union = total + (1.0 - inside).cumsum(1)
    loss = 1.0 - intersection / union
    return torch.cat([loss[:, :1], loss.diff(dim=1)], 1).to(dtype)
