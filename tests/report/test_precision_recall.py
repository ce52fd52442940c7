"""Curves: hand-computed ones, and others against pycocotools."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from report_cases import FRAMES, HEIGHT, WIDTH, Row, as_case, perfect, truth_box

from faim.data.coco_vid import CocoVid
from faim.report.sections import precision_curve


def test_perfect_and_nothing(annotations: Path) -> None:
    data = CocoVid(annotations)
    assert precision_curve(as_case(data, perfect())).tolist() == [1.0] * 101
    assert precision_curve(as_case(data, [])).tolist() == [0.0] * 101


def test_a_curve_by_hand(annotations: Path) -> None:
    """Half the cats at 0.9, 24 wrong ones at 0.8, the other half at 0.7; no dogs."""
    cats = range(1, FRAMES + 1)
    rows: list[Row] = [(n, 4, truth_box(n), 0.9 if n <= FRAMES // 2 else 0.7) for n in cats]
    rows += [(n, 4, (60.0, 50.0, 10.0, 10.0), 0.8) for n in cats]
    curve = precision_curve(as_case(CocoVid(annotations), rows))
    # Dogs have 0 throughout; cats 1 up to recall 0.5, then 24 of 48 at best.
    np.testing.assert_allclose(curve[:51], 0.5)
    np.testing.assert_allclose(curve[51:], 0.25)


def by_pycocotools(annotations: Path, rows: list[Row]) -> tuple[list[float], float]:
    """The curve and AP50."""
    keys = ("image_id", "category_id", "bbox", "score")
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        results = [dict(zip(keys, (*ids, list(box), s), strict=True)) for *ids, box, s in rows]
        found = truth.loadRes(results)
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    curve: list[float] = evaluation.eval["precision"][0, :, :, 0, 2].mean(axis=1).tolist()
    return curve, 100 * float(evaluation.stats[1])


@pytest.mark.parametrize("seed", [0, 1])
def test_the_curve_of_pycocotools(annotations: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for number in range(1, 2 * FRAMES + 1):
        # Beyond 100 of a class an image's worst do not count.
        for _ in range(250 if number % 7 == 0 else 4):
            x, y, w, h = np.array(truth_box(number)) + random.normal(0, 5, 4)
            box = (float(np.clip(x, 0, WIDTH - 20)), float(np.clip(y, 0, HEIGHT - 20)))
            category = int(random.choice([4, 9]))
            rows.append((number, category, (*box, float(w), float(h)), float(random.random())))
    curve = precision_curve(as_case(CocoVid(annotations), rows))
    expected, ap50 = by_pycocotools(annotations, rows)
    assert 1 < ap50 < 90
    np.testing.assert_allclose(curve, expected, atol=1e-9)
    assert 100 * curve.mean() == pytest.approx(ap50, abs=1e-9)
