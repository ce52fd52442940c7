"""Precision against recall, by faster-coco-eval."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster

from faim.data.coco_vid import CocoVid
from faim.evaluation.average_precision import MAX_DETECTIONS
from faim.report.run_folder import Boxes

#: The recalls at which COCO reads precision off: 0.00, 0.01 … 1.00.
RECALLS: npt.NDArray[np.float64] = np.linspace(0.0, 1.0, 101)
_IOU = 0.5


def ground_truth(data: CocoVid) -> dict[str, Any]:
    """The dataset as COCO's dictionary, under the file's own category ids."""
    frames = data.frames
    boxes = [(frame.image_id, a.category_id, a.box) for frame in frames for a in frame.annotations]
    return {
        "images": [{"id": f.image_id, "width": f.width, "height": f.height} for f in frames],
        "categories": [
            {"id": number, "name": name}
            for number, name in zip(data.category_ids, data.classes, strict=True)
        ],
        "annotations": [
            {
                "id": number,  # from 1: COCO's matching takes id 0 for "no match"
                "image_id": image_id,
                "category_id": data.category_ids[category],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            for number, (image_id, category, (x1, y1, x2, y2)) in enumerate(boxes, start=1)
        ],
    }


def precision_curve(truth: dict[str, Any], detections: Boxes) -> npt.NDArray[np.float64]:
    """Precision at IoU 0.5, mean over the classes that have ground truth.

    Precision is COCO's: the best at this recall or beyond, 0 where the recall is never reached. The
    mean of the curve is AP50.

    Args:
        truth: see `ground_truth`; with at least one annotation.
        detections: of the same images and categories.

    Returns:
        (101,) in [0, 1], at `RECALLS`.
    """
    truth_index = COCO(truth)
    evaluation = COCOeval_faster(
        truth_index,
        truth_index.loadRes(_rows(detections) if len(detections) else []),
        iouType="bbox",
        print_function=lambda *_: None,
    )
    evaluation.params.iouThrs = np.array([_IOU])
    evaluation.params.recThrs = RECALLS
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = evaluation.params.areaRng[:1]
    evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
    evaluation.evaluate()
    evaluation.accumulate()
    # (1, recalls, classes, 1, 1); -1 throughout a class without ground truth.
    precision = evaluation.eval["precision"][0, :, :, 0, 0]
    return precision[:, (precision >= 0).all(axis=0)].mean(axis=1)


def _rows(detections: Boxes) -> npt.NDArray[np.float64]:
    """(k, 7): image id, x, y, width, height, score, category; each image's best, best first."""
    order = np.argsort(-detections.scores, kind="stable")
    order = order[np.argsort(detections.image_ids[order], kind="stable")]
    _, first, counts = np.unique(detections.image_ids[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, counts)
    best = detections.where(order[place < MAX_DETECTIONS])
    columns = (
        best.image_ids[:, None],
        best.boxes[:, :2],
        best.boxes[:, 2:] - best.boxes[:, :2],
        best.scores[:, None],
        best.categories[:, None],
    )
    return np.concatenate(columns, axis=1)
