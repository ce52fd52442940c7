"""Crowds: regions in which detections are not wrong, as pycocotools has them."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from faim.data.coco_vid import CocoVid
from faim.evaluation.figures import measure
from faim.evaluation.results_file import read_detections
from faim.evaluation.tables import Case
from faim.report.frames import FrameDetections

Box = list[float]


def _annotation(image: int, box: Box, category: int = 1, **more: Any) -> dict[str, Any]:
    area = box[2] * box[3]
    return {"image_id": image, "category_id": category, "bbox": box, "area": area, **more}


def _found(image: int, box: Box, score: float, category: int = 1) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def _write(
    folder: Path, annotations: list[dict[str, Any]], results: list[dict[str, Any]], images: int = 1
) -> tuple[Path, Path]:
    content = {
        "images": [
            {"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 150}
            for i in range(1, images + 1)
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"iscrowd": 0, **entry, "id": number} for number, entry in enumerate(annotations, 1)
        ],
    }
    truth, found = folder / "truth.json", folder / "found.json"
    truth.write_text(json.dumps(content))
    found.write_text(json.dumps(results))
    return truth, found


def _pycocotools(truth: Path, found: Path) -> list[float]:
    """AP50:95, AP50, AP75, and AP50:95 of small, medium and large objects, in percent."""
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO(str(truth))
        evaluation = COCOeval(dataset, dataset.loadRes(str(found)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values: list[float] = [100 * value if value >= 0 else np.nan for value in evaluation.stats[:6]]
    return values


def _random(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Objects of all sizes, crowds over some, and up to 150 detections of a class in an image."""
    random = np.random.default_rng(seed)

    def box(low: float, high: float) -> list[float]:
        size = random.uniform(low, high, 2)
        corner = random.uniform(0, np.array([200, 150]) - size)
        return [float(value) for value in (*corner, *size)]

    annotations, results = [], []
    for image in range(1, 5):
        for _ in range(int(random.integers(1, 6))):
            category = int(random.integers(1, 3))
            crowd = int(random.random() < 0.4)
            own = box(5, 140) if not crowd else box(50, 150)
            annotations.append(_annotation(image, own, category, iscrowd=crowd))
            for _ in range(int(random.integers(0, 4))):
                near = np.array(own) + random.normal(0, 4, 4)
                near[2:] = np.maximum(near[2:], 1)
                score = round(float(random.random()), 2)  # with ties
                results.append(_found(image, near.tolist(), score, category))
        for _ in range(int(random.choice([3, 150]))):
            results.append(_found(image, box(3, 60), float(random.random()) * 0.9))
    return annotations, results


@pytest.mark.parametrize("seed", range(12))
def test_average_precision_is_that_of_pycocotools(tmp_path: Path, seed: int) -> None:
    truth, found = _write(tmp_path, *_random(seed), images=4)
    data = CocoVid(truth)
    ap = measure(data, read_detections(found, data)).ap
    sizes = [ap.by_size[name].ap50_95 for name in ("small", "medium", "large")]
    ours = [ap.ap50_95, ap.ap50, ap.ap75, *sizes]
    assert ours == pytest.approx(_pycocotools(truth, found), abs=1e-9, nan_ok=True)


def test_a_crowd_excuses_many_detections_in_every_figure(tmp_path: Path) -> None:
    inside = [_found(1, [70.0 + 20 * i, 10, 20, 40], 0.9) for i in range(5)]
    truth, found = _write(
        tmp_path,
        [
            _annotation(1, [10, 10, 30, 30], instance_id=1),
            _annotation(1, [60, 0, 140, 100], iscrowd=1, instance_id=2),
        ],
        [*inside, _found(1, [10, 10, 30, 30], 0.6)],
    )
    data = CocoVid(truth)
    detections = read_detections(found, data)
    figures = measure(data, detections)
    assert figures.ap.ap50 == pytest.approx(100)
    assert set(figures.errors.values()) == {0.0}
    assert figures.stability.found_share == 100  # the crowd is no object to be found
    assert figures.speeds is not None
    assert figures.speeds.ap50["fast"] == pytest.approx(100)
    assert figures.speeds.objects["fast"] == 1
    judged = FrameDetections(Case(data, detections)).judge(data.frames[0])
    assert (judged.found, judged.wrong, judged.objects) == (1, 0, 1)


@pytest.mark.parametrize(
    ("box", "category", "ap50"),
    [
        ([50, 0, 20, 20], 1, 100),  # half of it within
        ([49, 0, 20, 20], 1, 50),  # less than half
        ([60, 0, 20, 20], 2, 50),  # of another class
    ],
)
def test_only_its_own_class_and_only_within(
    tmp_path: Path, box: Box, category: int, ap50: float
) -> None:
    truth, found = _write(
        tmp_path,
        [
            _annotation(1, [0, 50, 20, 20], category),
            _annotation(1, [60, 0, 140, 100], iscrowd=1),
        ],
        [_found(1, box, 0.9, category), _found(1, [0, 50, 20, 20], 0.5, category)],
    )
    data = CocoVid(truth)
    figures = measure(data, read_detections(found, data))
    assert figures.ap.ap50 == pytest.approx(ap50)
    assert figures.errors["background"] == pytest.approx(100 - ap50)


def test_a_model_that_finds_nothing_loses_everything_to_missed(tmp_path: Path) -> None:
    truth, found = _write(
        tmp_path,
        [_annotation(1, [0, 50, 20, 20]), _annotation(1, [50, 50, 20, 20], 2)],
        [_found(1, [150, 100, 20, 20], 0.9), _found(1, [50, 50, 20, 20], 0.5, 2)],
    )
    data = CocoVid(truth)
    errors = measure(data, read_detections(found, data)).errors
    assert errors["missed"] == pytest.approx(50)  # all of class 1, although it has a false alarm
    assert sum(errors.values()) == pytest.approx(50)
