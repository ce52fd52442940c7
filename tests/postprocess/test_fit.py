from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faim.cli import main
from faim.errors import FaimError
from faim.postprocess import fit
from faim.postprocess.fit import fit_pair_model, logistic_regression
from faim.postprocess.pairs import PairModel


def overlapping(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    features = random.normal(0, 1, (rows, 4))
    logits = features @ [-3.0, 1.0, 2.0, 0.1] - 0.7
    return features, (random.random(rows) < 1 / (1 + np.exp(-logits))).astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_regression_is_scikit_learns(seed: int) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    features, labels = overlapping(seed)
    expected = linear.LogisticRegression(tol=1e-12, max_iter=10_000).fit(features, labels)
    weights, intercept = logistic_regression(features, labels)
    np.testing.assert_allclose(weights, expected.coef_[0], atol=1e-5)
    assert intercept == pytest.approx(expected.intercept_[0], abs=1e-5)


def test_regression_by_hand() -> None:
    # One feature of 0 or 1: the intercept is the log odds at 0, plus the weight those at 1.
    features = np.array([[0.0]] * 4 + [[1.0]] * 5)
    labels = np.array([1.0, 0, 0, 0, 1, 1, 1, 1, 0])
    weights, intercept = logistic_regression(features, labels, penalty=1e-12)
    assert intercept == pytest.approx(math.log(1 / 3), abs=1e-8)
    assert weights[0] == pytest.approx(math.log(4) - math.log(1 / 3), abs=1e-8)


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 100.0])
def test_separable_classes_have_a_solution_too(penalty: float) -> None:
    features = np.array([[0.0, 1], [0.1, 1], [0.9, 1], [1.0, 1]])
    labels = np.array([0.0, 0, 1, 1])
    weights, intercept = logistic_regression(features, labels, penalty)
    probable = 1 / (1 + np.exp(-(features @ weights + intercept)))
    # Where the loss is least its slope is 0.
    np.testing.assert_allclose(features.T @ (probable - labels) + penalty * weights, 0, atol=1e-8)
    assert (probable - labels).sum() == pytest.approx(0, abs=1e-8)


def annotations(path: Path, videos: list[list[list[tuple[int, list[float]]]]]) -> Path:
    """Videos of frames of (instance id, x y w h); id -1 is unknown."""
    content: dict[str, Any] = {
        "videos": [{"id": k, "name": str(k)} for k in range(len(videos))],
        "categories": [{"id": 1, "name": "dog"}],
        "images": [],
        "annotations": [],
    }
    for place, frames in enumerate(videos):
        for index, objects in enumerate(frames):
            image = len(content["images"]) + 1
            content["images"].append(
                {"id": image, "video_id": place, "frame_id": index, "file_name": f"{image}.png",
                 "width": 200, "height": 100}
            )  # fmt: skip
            for instance, box in objects:
                identity = {"instance_id": instance} if instance >= 0 else {}
                content["annotations"].append(
                    {"id": len(content["annotations"]) + 1, "image_id": image, "category_id": 1,
                     "bbox": box, "area": box[2] * box[3], "iscrowd": 0, **identity}
                )  # fmt: skip
    path.write_text(json.dumps(content))
    return path


def two_objects(path: Path, frames: int = 8) -> Path:
    """Two that stand still, and one without an id."""
    frame = [(7, [10.0, 10, 40, 40]), (9, [120.0, 30, 20, 50]), (-1, [60.0, 60, 10, 10])]
    return annotations(path, [[list(frame) for _ in range(frames)]])


def test_pairs_and_model_of_two_objects(tmp_path: Path) -> None:
    found = fit_pair_model(two_objects(tmp_path / "a.json"), jitter=0)
    assert (found.positives, found.negatives, found.accuracy) == (14, 14, 1.0)
    # All pairs of a kind are alike: (0, 1, 1, 1) against these.
    other = [math.hypot(100, 25) / 200, 40 / 50, 0, 20 / 40]
    features = np.array([[0, 1, 1, 1]] * 14 + [other] * 14)
    weights, intercept = logistic_regression(features, np.repeat([1.0, 0.0], 14))
    assert list(vars(found.model).values()) == pytest.approx([*weights, intercept], abs=1e-9)
    assert weights[0] < 0 < weights[2]
    wider = fit_pair_model(tmp_path / "a.json", max_gap=3, jitter=0)
    widest = fit_pair_model(tmp_path / "a.json", max_gap=10**9, jitter=0)  # ends with the videos
    assert widest.positives >= wider.positives
    assert wider.positives == 2 * (7 + 6 + 5)


def test_negatives_come_from_another_video_where_there_is_one_object(tmp_path: Path) -> None:
    left, right = [(1, [10.0, 10, 40, 40])], [(1, [120.0, 30, 20, 50])]
    path = annotations(tmp_path / "a.json", [[left] * 3, [right] * 4])
    found = fit_pair_model(path, jitter=0)
    assert (found.positives, found.accuracy) == (2 + 3, 1.0)
    assert found == fit_pair_model(path, jitter=0, seed=1)


def test_negatives_come_from_the_video_before_others(tmp_path: Path) -> None:
    first, second = [(1, [10.0, 10, 40, 40])], [(2, [12.0, 12, 40, 40])]
    other = [(1, [150.0, 50, 8, 8])]
    boxes = fit._known_boxes(
        fit.CocoVid(annotations(tmp_path / "a.json", [[first, first, second], [other, other]]))
    )
    random = np.random.default_rng(0)
    assert {fit._other(boxes, 0, 1, random) for _ in range(20)} == {2}
    assert {fit._other(boxes, 3, 4, random) for _ in range(50)} == {0, 1, 2}


def test_pairs_are_limited_and_choices_repeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = two_objects(tmp_path / "a.json")
    noisy = fit_pair_model(path, seed=3)
    assert noisy == fit_pair_model(path, seed=3) != fit_pair_model(path, seed=4)
    monkeypatch.setattr(fit, "MOST_PAIRS", 5)
    assert fit_pair_model(path).positives == 5


def test_wrong_datasets_and_options(tmp_path: Path) -> None:
    path = two_objects(tmp_path / "a.json", frames=1)
    with pytest.raises(FaimError, match=r"a.json: no object with an instance id stands in two"):
        fit_pair_model(path)
    single = annotations(tmp_path / "b.json", [[[(1, [10.0, 10, 40, 40])]] * 3])
    with pytest.raises(FaimError, match=r"b.json: all boxes are of one object"):
        fit_pair_model(single)
    with pytest.raises(FaimError, match="max gap: 0 given; expected 1 or more"):
        fit_pair_model(path, max_gap=0)
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(FaimError, match=r"jitter: .* given; expected a number from 0 on"):
            fit_pair_model(path, jitter=wrong)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = two_objects(tmp_path / "a.json"), tmp_path / "repp.json"
    assert main(["repp", "fit", str(path), "--out", str(out), "--jitter", "0"]) == 0
    shown = capsys.readouterr().out
    assert "14 pairs of one object and 14 of two; 100.00% told rightly" in shown
    assert PairModel.from_json(out) == fit_pair_model(path, jitter=0).model
    assert main(["repp", "fit", str(tmp_path / "none.json"), "--out", str(out)]) == 2
    assert "none.json: no such file" in capsys.readouterr().err
