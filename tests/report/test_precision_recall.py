"""Curves: a hand-computed one, and their mean against the evaluation's AP50."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from report_cases import FRAMES, HEIGHT, WIDTH, Row, as_boxes, perfect, truth_box

from faim.data.coco_vid import CocoVid
from faim.evaluation.average_precision import evaluate_ap
from faim.report.precision_recall import ground_truth, precision_curve
from faim.structures import Detections


def test_perfect_and_nothing(annotations: Path) -> None:
    truth = ground_truth(CocoVid(annotations))
    assert precision_curve(truth, as_boxes(perfect())).tolist() == [1.0] * 101
    assert precision_curve(truth, as_boxes([])).tolist() == [0.0] * 101


def test_a_curve_by_hand(annotations: Path) -> None:
    """Half the cats at 0.9, 24 wrong ones at 0.8, the other half at 0.7; no dogs."""
    cats = range(1, FRAMES + 1)
    rows: list[Row] = [(n, 4, truth_box(n), 0.9 if n <= FRAMES // 2 else 0.7) for n in cats]
    rows += [(n, 4, (60.0, 50.0, 10.0, 10.0), 0.8) for n in cats]
    curve = precision_curve(ground_truth(CocoVid(annotations)), as_boxes(rows))
    # Dogs have 0 throughout; cats 1 up to recall 0.5, then 24 of 48 at best.
    np.testing.assert_allclose(curve[:51], 0.5)
    np.testing.assert_allclose(curve[51:], 0.25)


@pytest.mark.parametrize("seed", [0, 1])
def test_mean_of_the_curve_is_ap50(annotations: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = CocoVid(annotations)
    rows: list[Row] = []
    for number in range(1, 2 * FRAMES + 1):
        # Beyond 100 an image's worst do not count.
        for _ in range(130 if number % 7 == 0 else 4):
            x, y, w, h = np.array(truth_box(number)) + random.normal(0, 5, 4)
            box = (float(np.clip(x, 0, WIDTH - 20)), float(np.clip(y, 0, HEIGHT - 20)))
            category = int(random.choice([4, 9]))
            rows.append((number, category, (*box, float(w), float(h)), float(random.random())))
    found = as_boxes(rows)
    by_image = {}
    for number in range(1, 2 * FRAMES + 1):
        mine = found.where(found.image_ids == number)
        by_image[number] = Detections(
            torch.tensor(mine.boxes), torch.tensor(mine.scores), torch.tensor(mine.categories == 9)
        )
    by_image = {n: Detections(d.boxes, d.scores, d.class_ids.long()) for n, d in by_image.items()}
    expected = evaluate_ap(data, by_image).ap50
    assert 1 < expected < 90
    curve = precision_curve(ground_truth(data), found)
    assert 100 * curve.mean() == pytest.approx(expected, abs=1e-9)
