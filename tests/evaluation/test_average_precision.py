from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_cases import MakeData, detections
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.average_precision import MAX_DETECTIONS, evaluate_ap
from faim.structures import Detections

BOX = (10.0, 10.0, 30.0, 30.0)
FAR = (100.0, 50.0, 120.0, 70.0)


def test_perfect_detections_score_100_and_classes_without_truth_do_not_count(
    make_data: MakeData,
) -> None:
    data = make_data([[(0, BOX, 1)], [(1, FAR, 2)]])
    # "cow" has no ground truth: its false detection costs nothing and it is not in the table.
    found = {1: detections((0, 0.9, BOX), (2, 0.8, FAR)), 2: detections((1, 0.4, FAR))}
    result = evaluate_ap(data, found)
    assert (result.ap50, result.ap75, result.ap50_95) == pytest.approx((100, 100, 100))
    assert result.per_class == {"cat": pytest.approx((100, 100)), "dog": pytest.approx((100, 100))}


def test_a_better_scored_false_detection_halves_the_precision(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, FAR), (0, 0.5, BOX))})
    assert result.ap50 == pytest.approx(50)


def test_a_missed_object_ends_the_curve(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)], [(0, BOX, 1)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, BOX))})
    # Recall 0.5 at precision 1: 51 of COCO's 101 recall points.
    assert result.ap50 == pytest.approx(100 * 51 / 101)


def test_thresholds_of_overlap(make_data: MakeData) -> None:
    data = make_data([[(0, (0.0, 0.0, 100.0, 10.0), 1)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, (0.0, 0.0, 72.0, 10.0)))})
    # IoU 0.72 passes 0.50, 0.55, 0.60, 0.65 and 0.70: five of ten thresholds.
    assert (result.ap50, result.ap75, result.ap50_95) == pytest.approx((100, 0, 50))


def test_a_class_never_found_counts_with_zero(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1), (1, FAR, 2)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, BOX))})
    assert result.ap50 == pytest.approx(50)
    assert result.per_class["dog"] == (0, 0)


@pytest.mark.parametrize("found", [{}, {1: detections()}])
def test_nothing_found_scores_zero(make_data: MakeData, found: dict[int, Detections]) -> None:
    result = evaluate_ap(make_data([[(0, BOX, 1)]]), found)
    assert (result.ap50, result.ap75, result.ap50_95) == (0, 0, 0)


def test_only_the_best_100_of_a_frame_count(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)]])
    wrong = [(1, 0.5 + i / 1000, FAR) for i in range(MAX_DETECTIONS - 1)]
    assert evaluate_ap(data, {1: detections(*wrong, (0, 0.1, BOX))}).ap50 == pytest.approx(100)
    one_more = [*wrong, (1, 0.4, FAR)]
    assert evaluate_ap(data, {1: detections(*one_more, (0, 0.1, BOX))}).ap50 == 0


def test_silent_and_nothing_written(
    make_data: MakeData, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = make_data([[(0, BOX, 1)]])
    before = sorted(tmp_path.iterdir())
    evaluate_ap(data, {1: detections((0, 0.9, BOX))})
    evaluate_ap(data, {})
    assert capfd.readouterr() == ("", "")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({1: detections((0, float("nan"), BOX))}, "not finite"),
        ({1: detections((0, 0.5, (0.0, 0.0, float("inf"), 1.0)))}, "not finite"),
        ({1: detections((3, 0.5, BOX))}, "expected 0 to 2"),
        ({9: detections((0, 0.5, BOX))}, "no image 9"),
    ],
)
def test_wrong_detections(make_data: MakeData, found: dict[int, Detections], message: str) -> None:
    with pytest.raises(FaimError, match=message):
        evaluate_ap(make_data([[(0, BOX, 1)]]), found)


def test_without_ground_truth(make_data: MakeData) -> None:
    with pytest.raises(FaimError, match="no annotations"):
        evaluate_ap(make_data([[]]), {})


def test_agrees_with_pycocotools(make_data: MakeData) -> None:
    random = np.random.default_rng(3)
    frames, found = [], {}
    for image_id in range(1, 31):
        corners = random.uniform(0, [120, 50], (3, 2))
        boxes = np.concatenate([corners, corners + random.uniform(10, 50, (3, 2))], axis=1)
        labels = random.integers(0, 3, 3)
        frames.append(
            [
                (int(k), tuple(map(float, b)), i)
                for i, (k, b) in enumerate(zip(labels, boxes, strict=True))
            ]
        )
        noisy = np.concatenate([boxes + random.normal(0, 3, boxes.shape), boxes[::-1]])
        guesses = np.where(random.uniform(size=6) < 0.7, np.tile(labels, 2), 0)
        found[image_id] = Detections(
            torch.from_numpy(noisy).float(),
            torch.from_numpy(random.uniform(0.01, 1, 6)).float(),
            torch.from_numpy(guesses).long(),
        )
    data = make_data(frames)
    result = evaluate_ap(data, found)
    assert (result.ap50, result.ap75, result.ap50_95) == pytest.approx(
        _by_pycocotools(data, found), abs=1e-6
    )
    assert 5 < result.ap75 < result.ap50 < 95  # a case in which something is at stake


def _by_pycocotools(data: CocoVid, found: dict[int, Detections]) -> tuple[float, float, float]:
    rows = [
        {
            "image_id": image_id,
            "category_id": data.category_ids[int(label)],
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "score": float(score),
        }
        for image_id, d in found.items()
        for box, score, label in zip(d.boxes.double().tolist(), d.scores, d.class_ids, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = json.loads(data.annotation_file.read_text())
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    mean, ap50, ap75 = 100 * evaluation.stats[:3]
    return float(ap50), float(ap75), float(mean)
