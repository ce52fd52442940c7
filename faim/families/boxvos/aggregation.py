"""Spatio-temporal aggregation S: one filter that explains the embeddings of all frames (Eq. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

#: Below this a gradient is a zero one: the filter is as good as it gets.
_TINY = 1e-12


def apply_filter(features: Tensor, filters: Tensor) -> Tensor:
    """x * z for every frame, with zero padding.

    Args:
        features: (B, T, D, H, W).
        filters: (B, C, D, K, K), one a sequence.

    Returns:
        (B, T, C, H, W).
    """
    batch, frames, _, height, width = features.shape
    grouped = features.transpose(0, 1).flatten(1, 2)
    found = F.conv2d(grouped, filters.flatten(0, 1), padding=filters.shape[-1] // 2, groups=batch)
    return found.view(frames, batch, -1, height, width).transpose(0, 1)


def apply_transposed(features: Tensor, residuals: Tensor, kernel: int) -> Tensor:
    """The adjoint of `apply_filter` in the filter.

    Args:
        features: (B, T, D, H, W).
        residuals: (B, T, C, H, W).
        kernel: K.

    Returns:
        (B, C, D, K, K): sums over frames and places of features times residuals.
    """
    batch, _, dim, _, _ = features.shape
    channels = residuals.shape[2]
    found = conv2d_weight(
        features.transpose(0, 1).flatten(1, 2),
        [batch * channels, dim, kernel, kernel],
        residuals.transpose(0, 1).flatten(1, 2),
        padding=kernel // 2,
        groups=batch,
    )
    return found.view(batch, channels, dim, kernel, kernel)


def objective(
    filters: Tensor,
    features: Tensor,
    embedding: Tensor,
    weight: Tensor,
    regularization: Tensor,
) -> Tensor:
    """Eq. 2b of each sequence, (B,); for arguments see `solve`."""
    residuals = weight * (apply_filter(features, filters) - embedding)
    fit = residuals.square().flatten(1).sum(1) / features.shape[1]
    return fit + regularization * filters.square().flatten(1).sum(1)


def solve(
    features: Tensor,
    embedding: Tensor,
    weight: Tensor,
    regularization: Tensor,
    iterations: int,
    kernel: int = 3,
) -> Tensor:
    """The filter z of Eq. 2b by steepest descent from zero, each step of the exact length.

    Every operation is differentiable, so the gradient flows through all steps (section 3.2).

    Args:
        features: x, (B, T, D, H, W).
        embedding: e, (B, T, C, H, W).
        weight: w, (B, T, C, H, W).
        regularization: λ, a scalar of 0 or more.
        iterations: number of steps.
        kernel: K.

    Returns:
        (B, C, D, K, K).
    """
    batch, frames, dim, _, _ = features.shape
    channels = embedding.shape[2]
    squared = weight.square() / frames
    filters = features.new_zeros(batch, channels, dim, kernel, kernel)
    response = torch.zeros_like(embedding)
    for _ in range(iterations):
        # Half of the gradient, and half of the curvature along it: the halves cancel in the step.
        residuals = squared * (response - embedding)
        gradient = apply_transposed(features, residuals, kernel) + regularization * filters
        along = apply_filter(features, gradient)
        length_squared = gradient.square().flatten(1).sum(1)
        curvature = (squared * along.square()).flatten(1).sum(1)
        curvature = curvature + regularization * length_squared
        step = (length_squared / curvature.clamp_min(_TINY)).view(batch, 1, 1, 1, 1)
        filters = filters - step * gradient
        # The filter is linear, so its response follows without another convolution.
        response = response - step * along
    return filters


class SpatioTemporalAggregation(nn.Module):
    """S: finds z for the frames of a window, and encodes each frame with it (Eq. 2).

    λ is learnt, as the square of a parameter, so that it stays positive.
    """

    def __init__(self, kernel: int = 3, regularization: float = 0.01) -> None:
        """`regularization` is where λ starts."""
        super().__init__()
        self.kernel = kernel
        self.root = nn.Parameter(torch.tensor(regularization).sqrt())

    @property
    def regularization(self) -> Tensor:
        """λ."""
        return self.root.square()

    def forward(
        self,
        features: Tensor,
        embedding: Tensor,
        weight: Tensor,
        iterations: int,
    ) -> Tensor:
        """s, (B, T, C, H, W).

        Args:
            features: x, (B, T, D, H, W).
            embedding: e, (B, T, C, H, W).
            weight: w, of the same shape.
            iterations: of the descent.
        """
        # In half precision the steps would not be exact any more.
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            filters = solve(
                features,
                embedding.float(),
                weight.float(),
                self.regularization,
                iterations,
                self.kernel,
            )
            return apply_filter(features, filters)
