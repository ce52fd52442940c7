"""Batch norms that keep the statistics they have."""

from __future__ import annotations

from torch import nn


def keep_statistics(module: nn.Module) -> None:
    """Put every batch norm of a module in eval mode; its scale and shift train all the same.

    A training step of the second stage sees the frames of one video, which all look alike: their
    statistics are not those of other videos. What was copied from a trained detector, and so relies
    on the statistics of many images, is another network when it is normalised by them.
    """
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
