from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_cases import MakeData, detections, random_case
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faim.data.coco_vid import CocoVid, VideoRecord
from faim.errors import FaimError
from faim.evaluation.average_precision import (
    MAX_DETECTIONS,
    RECALLS,
    Levels,
    ap_of,
    ap_of_degradations,
    ap_of_splits,
    evaluate_ap,
)
from faim.evaluation.matching import greedy_match, mean_average_precision
from faim.evaluation.tables import Case
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
    assert list(result.per_class) == list(result.precision_50) == ["cat", "dog"]
    for part in result.per_class.values():
        assert (part.ap50, part.ap75, part.ap50_95) == pytest.approx((100, 100, 100))


def test_a_better_scored_false_detection_halves_the_precision(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, FAR), (0, 0.5, BOX))})
    assert result.ap50 == pytest.approx(50)


def test_a_missed_object_ends_the_curve(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)], [(0, BOX, 1)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, BOX))})
    # Recall 0.5 at precision 1: 51 of COCO's 101 recall points.
    assert result.ap50 == pytest.approx(100 * 51 / 101)
    assert result.precision_50["cat"] == pytest.approx((RECALLS <= 0.5).astype(float))


def test_thresholds_of_overlap(make_data: MakeData) -> None:
    data = make_data([[(0, (0.0, 0.0, 100.0, 10.0), 1)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, (0.0, 0.0, 72.0, 10.0)))})
    # IoU 0.72 passes 0.50, 0.55, 0.60, 0.65 and 0.70: five of ten thresholds.
    assert (result.ap50, result.ap75, result.ap50_95) == pytest.approx((100, 0, 50))


def test_a_class_never_found_counts_with_zero(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1), (1, FAR, 2)]])
    result = evaluate_ap(data, {1: detections((0, 0.9, BOX))})
    assert result.ap50 == pytest.approx(50)
    assert result.per_class["dog"] == Levels(0, 0, 0)


@pytest.mark.parametrize("found", [{}, {1: detections()}])
def test_nothing_found_scores_zero(make_data: MakeData, found: dict[int, Detections]) -> None:
    result = evaluate_ap(make_data([[(0, BOX, 1)]]), found)
    assert (result.ap50, result.ap75, result.ap50_95) == (0, 0, 0)


def test_only_the_best_100_of_a_class_and_frame_count(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)]])
    wrong = [(0, 0.5 + i / 1000, FAR) for i in range(MAX_DETECTIONS - 1)]
    last = (0, 0.1, BOX)
    assert evaluate_ap(data, {1: detections(*wrong, last)}).ap50 == pytest.approx(1)
    others = [(1, 0.4, FAR)] * MAX_DETECTIONS  # of another class: in nobody's way
    assert evaluate_ap(data, {1: detections(*wrong, *others, last)}).ap50 == pytest.approx(1)
    assert evaluate_ap(data, {1: detections(*wrong, (0, 0.4, FAR), last)}).ap50 == 0


def test_agrees_with_pycocotools_beyond_100_detections_an_image(make_data: MakeData) -> None:
    """30 boxes of each of 30 classes in every image, and of one class 130."""
    random = np.random.default_rng(0)
    frames, found = [], {}
    for image_id in range(1, 4):
        low = random.uniform(0, [150, 60], (30, 2))
        truth = np.concatenate([low, low + random.uniform(8, 40, (30, 2))], axis=1)
        frames.append([(label, tuple(box), label) for label, box in enumerate(truth.tolist())])
        labels = np.concatenate([np.arange(30).repeat(30), np.zeros(100, np.int64)])
        boxes = truth[labels] + random.normal(0, 4, (len(labels), 4))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        found[image_id] = Detections(
            torch.from_numpy(boxes).float(),
            torch.from_numpy(random.random(len(labels))).float(),
            torch.from_numpy(labels),
        )
    data = make_data(frames, classes=[f"class {i:02}" for i in range(30)])
    result = evaluate_ap(data, found)
    every, classes = _by_pycocotools(data, found)
    assert (result.ap50, result.ap75, result.ap50_95) == pytest.approx(every["all"], abs=1e-9)
    for name, part in result.per_class.items():
        assert (part.ap50, part.ap75, part.ap50_95) == pytest.approx(classes[name], abs=1e-9)
    assert _own_ap50(Case(data, found)) == pytest.approx(result.ap50, abs=1e-9)
    assert 5 < result.ap75 < result.ap50 < 95


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


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_pycocotools(make_data: MakeData, seed: int) -> None:
    frames, found = random_case(seed)
    data = make_data(frames)
    result = evaluate_ap(data, found)
    every, classes = _by_pycocotools(data, found)
    assert (result.ap50, result.ap75, result.ap50_95) == pytest.approx(every["all"], abs=1e-9)
    for size, part in result.by_size.items():
        assert (part.ap50, part.ap75, part.ap50_95) == pytest.approx(every[size], abs=1e-9)
    for name, part in result.per_class.items():
        assert (part.ap50, part.ap75, part.ap50_95) == pytest.approx(classes[name], abs=1e-9)
        assert 100 * result.precision_50[name].mean() == pytest.approx(part.ap50)
    assert 5 < result.ap75 < result.ap50 < 95  # a case in which something is at stake


@given(seed=st.integers(0, 10_000))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_own_matching_agrees_with_coco(make_data: MakeData, seed: int) -> None:
    """Motion speed and the error split do their own matching; it must be COCO's."""
    frames, found = random_case(seed, frames=10)
    case = Case(make_data(frames), found)
    assert _own_ap50(case) == pytest.approx(ap_of(case).ap50, abs=1e-9)


def _own_ap50(case: Case) -> float:
    hit = greedy_match(case) >= 0
    positives = np.bincount(case.objects.label, minlength=len(case.data.classes))
    return mean_average_precision(
        case.found.label,
        case.found.score,
        hit,
        np.ones(len(hit)),
        positives.astype(float),
        np.flatnonzero(positives),
    )


def test_sizes_by_hand(make_data: MakeData) -> None:
    small, large = (0.0, 0.0, 30.0, 30.0), (50.0, 0.0, 150.0, 99.0)
    data = make_data([[(0, small, 1), (0, large, 2)]])
    by_size = evaluate_ap(data, {1: detections((0, 0.9, large))}).by_size
    assert (by_size["small"].ap50, by_size["large"].ap50) == (0, pytest.approx(100))
    assert np.isnan(by_size["medium"].ap50)


def test_the_splits_alone(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)], [(0, BOX, 1)], [(0, BOX, 1)]])
    frames = data.videos[0].frames
    data.videos = [
        VideoRecord(number, f"{number}", (frame,), split)
        for number, (frame, split) in enumerate(zip(frames, ("S2", "S1", None), strict=True))
    ]
    found = {1: detections((0, 0.9, FAR), (0, 0.8, BOX)), 2: detections((0, 0.1, BOX))}
    splits = ap_of_splits(data, found)
    assert {name: part.ap50 for name, part in splits.items()} == {
        "S1": pytest.approx(100),
        "S2": pytest.approx(50),
    }
    assert ap_of_splits(make_data([[(0, BOX, 1)]]), {}) == {}


def test_each_degradation_alone(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1)], [(0, BOX, 1)], [(0, BOX, 1)], []])
    kinds = ("clear", "defocus", None, "pose")
    (video,) = data.videos
    frames = tuple(replace(f, degradation=k) for f, k in zip(video.frames, kinds, strict=True))
    data.videos = [replace(video, frames=frames)]
    found = {1: detections((0, 0.9, FAR), (0, 0.8, BOX)), 2: detections((0, 0.1, BOX))}
    parts = ap_of_degradations(data, found)
    assert {name: part.ap50 for name, part in parts.items()} == {
        "clear": pytest.approx(50),
        "defocus": pytest.approx(100),
    }
    assert ap_of_degradations(make_data([[(0, BOX, 1)]]), {}) == {}


def test_the_split_of_a_video_is_read(make_data: MakeData) -> None:
    file = make_data([[(0, BOX, 1)]]).annotation_file
    content = json.loads(file.read_text())
    assert CocoVid(file).videos[0].split is None
    content["videos"][0]["split"] = "S1"
    file.write_text(json.dumps(content))
    assert CocoVid(file).videos[0].split == "S1"
    content["videos"][0]["split"] = 1
    file.write_text(json.dumps(content))
    with pytest.raises(FaimError, match="video 1 has split 1; expected a name"):
        CocoVid(file)


Three = tuple[float, float, float]


def _by_pycocotools(
    data: CocoVid, found: dict[int, Detections]
) -> tuple[dict[str, Three], dict[str, Three]]:
    """AP50, AP75 and AP50:95 of all and each size, and of each class."""
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
    precision = evaluation.eval["precision"][..., -1]

    def levels(values: np.ndarray) -> Three:
        known = [part[part > -1] for part in (values[0], values[5], values)]
        means = [100 * float(part.mean()) if part.size else np.nan for part in known]
        return means[0], means[1], means[2]

    sizes = ("all", "small", "medium", "large")
    return (
        {size: levels(precision[..., index]) for index, size in enumerate(sizes)},
        {name: levels(precision[:, :, index, 0]) for index, name in enumerate(data.classes)},
    )


def test_image_ids_beyond_what_floats_tell_apart(make_data: MakeData) -> None:
    box = (10.0, 10.0, 50.0, 50.0)
    data = make_data([[(0, box, 1)], [(1, box, 2)]])
    first = 2**53
    for video in data.videos:
        frames = tuple(replace(f, image_id=first + i) for i, f in enumerate(video.frames))
        data.videos = [replace(video, frames=frames)]
    found = {first: detections((0, 0.9, box)), first + 1: detections((1, 0.9, box))}
    assert evaluate_ap(data, found).ap50 == 100.0
    assert evaluate_ap(data, {first + 1: detections((0, 0.9, box))}).ap50 == 0.0
