"""Features in the plane."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

from faim.errors import FaimError
from faim.report.features import MOST_POINTS, neighbours_alike, place, standardised, thin
from faim.report.run_folder import Features


def clusters(rows: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(rows) % 2
    return random.normal(size=(rows, 8)) + apart * labels[:, None], labels


def test_thins_to_a_thousand_rows_that_still_belong_together() -> None:
    rows = np.arange(2500)
    thinned = thin(Features(rows % 7, rows[:, None] * 1.0, rows[:, None] * 2.0))
    assert len(thinned.labels) == MOST_POINTS
    kept = thinned.before[:, 0]
    assert (np.diff(kept) > 0).all()
    assert (thinned.labels == kept % 7).all()
    assert thinned.after is not None
    assert (thinned.after[:, 0] == 2 * kept).all()
    few = Features(rows[:3], rows[:3, None] * 1.0, None)
    assert thin(few) is few


def test_standardised_columns() -> None:
    values = standardised(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert values.tolist() == [[-1.0, 0.0], [1.0, 0.0]]


def test_neighbours_by_hand() -> None:
    line = np.array([[0.0], [1.0], [5.0], [5.5], [9.0]])
    # The last one's nearest is at 5.5, of another class.
    assert neighbours_alike(line, np.array([0, 0, 1, 1, 0])) == pytest.approx(80.0)


def test_tsne_keeps_clusters_apart_and_is_repeatable() -> None:
    values, labels = clusters(60, apart=8.0)
    places = place(values)
    assert places.shape == (60, 2)
    assert neighbours_alike(places, labels) == 100.0
    assert np.array_equal(places, place(values))


def test_tsne_of_equal_or_single_columns_is_finite() -> None:
    assert np.isfinite(place(np.zeros((12, 4)))).all()
    assert np.isfinite(place(np.arange(12.0)[:, None])).all()


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(FaimError, match=r"pip install .*'\.\[report\]'"):
        place(clusters(20, 1.0)[0])
