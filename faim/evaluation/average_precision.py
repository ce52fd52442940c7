"""COCO's average precision of boxes, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.structures import Detections

#: Detections of a frame that count, best first, all classes together.
MAX_DETECTIONS = 100
_IOU_50, _IOU_75 = 0, 5  # places in COCO's thresholds 0.50, 0.55 … 0.95


@dataclass(frozen=True)
class ApResult:
    """Average precision in percent.

    Attributes:
        ap50: at IoU 0.5, mean over the classes that have ground truth.
        ap75: at IoU 0.75.
        ap50_95: mean over the IoUs 0.50, 0.55 … 0.95.
        per_class: (ap50, ap50_95) by class name, for the classes that have ground truth.
    """

    ap50: float
    ap75: float
    ap50_95: float
    per_class: dict[str, tuple[float, float]]


def evaluate_ap(data: CocoVid, detections: Mapping[int, Detections]) -> ApResult:
    """Score detections against a dataset. Nothing is printed and nothing written.

    Args:
        data: the ground truth.
        detections: by image id; boxes in pixels of the image, class ids dense indices into
            `data.classes`. Images that are not in it count as images without detections. Of every
            image the 100 best detections count.

    Raises:
        FaimError: no ground truth; detections of an image or class that the dataset does not have,
            or that are not finite.
    """
    truth = _ground_truth(data)
    if not truth["annotations"]:
        raise FaimError(f"{data.annotation_file}: no annotations; expected at least one")
    known = {frame.image_id for frame in data.frames}
    rows = [_rows(image_id, found, data, known) for image_id, found in detections.items()]
    results = np.concatenate(rows) if rows else np.zeros((0, 7))
    ground_truth = COCO(truth)
    evaluation = COCOeval_faster(
        ground_truth,
        ground_truth.loadRes(results if len(results) else []),
        iouType="bbox",
        print_function=lambda *_: None,
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = evaluation.params.areaRng[:1]
    evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
    evaluation.evaluate()
    evaluation.accumulate()
    # (IoU thresholds, recalls, classes, areas, limits); -1 throughout a class without ground truth.
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    present = {annotation["category_id"] for annotation in truth["annotations"]}
    by_class = {index: 100 * precision[:, :, index].mean(axis=1) for index in sorted(present)}
    means = np.mean(list(by_class.values()), axis=0)
    return ApResult(
        ap50=float(means[_IOU_50]),
        ap75=float(means[_IOU_75]),
        ap50_95=float(means.mean()),
        per_class={
            data.classes[index]: (float(values[_IOU_50]), float(values.mean()))
            for index, values in by_class.items()
        },
    )


def _ground_truth(data: CocoVid) -> dict[str, Any]:
    """The dataset as COCO's dictionary, with dense category ids."""
    frames = data.frames
    boxes = [(frame.image_id, a.category_id, a.box) for frame in frames for a in frame.annotations]
    return {
        "images": [{"id": f.image_id, "width": f.width, "height": f.height} for f in frames],
        "categories": [{"id": index, "name": name} for index, name in enumerate(data.classes)],
        "annotations": [
            {
                "id": number,  # from 1: COCO's matching takes id 0 for "no match"
                "image_id": image_id,
                "category_id": category,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            for number, (image_id, category, (x1, y1, x2, y2)) in enumerate(boxes, start=1)
        ],
    }


def _rows(image_id: int, found: Detections, data: CocoVid, known: set[int]) -> np.ndarray:
    """(k, 7) float64: image id, x, y, width, height, score, class; the best of one image."""
    if image_id not in known:
        raise FaimError(f"{data.annotation_file}: no image {image_id}, which detections were given")
    scores = found.scores.detach().double().cpu().numpy()
    boxes = found.boxes.detach().double().cpu().numpy().reshape(-1, 4)
    labels = found.class_ids.detach().cpu().numpy()
    if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
        raise FaimError(
            f"detections of image {image_id} have scores or boxes that are not finite; expected "
            "numbers"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(data.classes):
        raise FaimError(
            f"detections of image {image_id} have class ids {labels.min()} to {labels.max()}; "
            f"expected 0 to {len(data.classes) - 1}"
        )
    best = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
    sizes = boxes[:, 2:] - boxes[:, :2]
    columns = [np.full((len(scores), 1), image_id), boxes[:, :2], sizes, scores[:, None]]
    return np.concatenate([*columns, labels[:, None]], axis=1)[best]
