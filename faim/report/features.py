"""Proposal features in the plane, before and after aggregation (FAIM, Fig. 5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from faim.extras import missing_package
from faim.report.run_folder import Features

#: Points that are placed; of more, so many drawn by chance.
MOST_POINTS = 1000
#: Fewer say nothing about clusters.
FEWEST_POINTS = 10
_SEED = 0
_PERPLEXITY = 30.0


def thin(features: Features) -> Features:
    """At most 1,000 of the proposals, drawn at random but always the same."""
    rows = len(features.labels)
    if rows <= MOST_POINTS:
        return features
    kept = np.sort(np.random.default_rng(_SEED).choice(rows, MOST_POINTS, replace=False))
    after = None if features.after is None else features.after[kept]
    return Features(features.labels[kept], features.before[kept], after)


def standardised(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, D) with mean 0 and deviation 1 in every column; constant columns become 0."""
    spread = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)


def place(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """t-SNE of rows (N, D), N >= 10, by scikit-learn: (N, 2), the same for the same rows.

    The perplexity is 30, or a third of the points where there are fewer than 90.

    Raises:
        FaimError: scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE  # type: ignore[import-untyped]
    except ImportError as error:
        raise missing_package("the map of features", "scikit-learn", "report") from error
    perplexity = min(_PERPLEXITY, (len(values) - 1) / 3)
    # Principal axes need two columns, and rows that are not all the same.
    init = "pca" if (values.std(axis=0) > 0).sum() > 1 else "random"
    return TSNE(perplexity=perplexity, init=init, random_state=_SEED).fit_transform(values)


def neighbours_alike(values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """Share of rows, in percent, whose nearest other row is of the same class; N >= 2."""
    squares = (values**2).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * values @ values.T
    np.fill_diagonal(distances, np.inf)
    return 100 * float((labels[distances.argmin(axis=1)] == labels).mean())
