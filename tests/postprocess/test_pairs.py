from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faim.errors import FaimError
from faim.postprocess.pairs import PairModel, pair_features

SIDE = st.floats(0, 1000, width=32)


def test_features_by_hand() -> None:
    first = np.array([0.0, 0.0, 40.0, 20.0])
    second = np.array([20.0, 0.0, 40.0, 40.0])
    # Centres (20, 10) and (30, 20); 20x20 common of 800 + 800 - 400; heights 20:40, widths 20:40.
    features = pair_features(first, second, (50, 100))
    np.testing.assert_allclose(features, [math.sqrt(200) / 100, 0.5, 400 / 1200, 0.5])
    np.testing.assert_array_equal(features, pair_features(first, second, (100, 50)))


def test_boxes_without_area_have_features() -> None:
    point, line = np.array([5.0, 5, 5, 5]), np.array([5.0, 5, 9, 5])
    np.testing.assert_array_equal(pair_features(point, point, (10, 10)), [0, 1, 0, 1])
    np.testing.assert_array_equal(pair_features(point, line, (10, 10)), [0.2, 1, 0, 0])


@given(st.tuples(*[SIDE] * 8))
@settings(deadline=None)
def test_features_are_symmetric_and_bounded(sides: tuple[float, ...]) -> None:
    first, second = (
        np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])
        for box in np.reshape(sides, (2, 4))
    )
    features = pair_features(first, second, (1000, 1000))
    np.testing.assert_array_equal(features, pair_features(second, first, (1000, 1000)))
    assert ((features >= 0) & (features <= [math.sqrt(2), 1, 1 + 1e-12, 1])).all()


def test_probability_of_the_published_model() -> None:
    same = np.array([[10.0, 10, 50, 50]])
    model = PairModel()
    expected = 1 / (1 + math.exp(-(3.59721623 + 3.27772756 + 2.4299095 - 4.09120981)))
    found = model.probability(same, np.concatenate([same, same + 300]), (400, 500))
    assert found[0, 0] == pytest.approx(expected, abs=1e-12)
    distance = math.sqrt(2) * 300 / 500
    apart = 3.59721623 + 2.4299095 - 4.09120981 - 8.72576943 * distance
    assert found[0, 1] == pytest.approx(1 / (1 + math.exp(-apart)), abs=1e-12)
    assert PairModel(intercept=-1e6).probability(same, same, (9, 9))[0, 0] == pytest.approx(0)


def test_json_keeps_the_model(tmp_path: Path) -> None:
    model = PairModel(-1.25, 2.5, 1 / 3, 0.1, -7)
    model.to_json(tmp_path / "repp.json")
    assert PairModel.from_json(tmp_path / "repp.json") == model


def test_wrong_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "repp.json"
    with pytest.raises(FaimError, match=r"repp.json: no such file"):
        PairModel.from_json(path)
    whole = {"centre_distance": 1, "height_ratio": 1, "iou": 1, "width_ratio": 1, "intercept": 1}
    for wrong in (None, "1", True, [1]):
        path.write_text(json.dumps({**whole, "iou": wrong}))
        with pytest.raises(
            FaimError, match=r"repp.json: iou is .*; expected numbers named centre_"
        ):
            PairModel.from_json(path)
    path.write_text(json.dumps({**whole, "iou": 10**400}))
    with pytest.raises(FaimError, match=r"repp.json: pair model: iou is inf; expected a finite"):
        PairModel.from_json(path)
    with pytest.raises(FaimError, match="width_ratio is inf; expected a finite"):
        PairModel(width_ratio=10**400)
    path.write_text(json.dumps({**whole, "iou": math.nan}))
    with pytest.raises(FaimError, match="iou is nan; expected a finite number"):
        PairModel.from_json(path)
    with pytest.raises(FaimError, match=r"none/repp.json: cannot be written"):
        PairModel().to_json(tmp_path / "none" / "repp.json")
    with pytest.raises(FaimError, match="width_ratio is '1'"):
        PairModel(width_ratio="1")  # type: ignore[arg-type]
