"""COCO's average precision of boxes, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from faim.data.coco_vid import CocoVid, VideoRecord
from faim.errors import FaimError
from faim.evaluation.tables import MAX_DETECTIONS, Case
from faim.structures import Detections

__all__ = ["MAX_DETECTIONS", "ApResult", "SizeAp", "ap_of", "ap_of_splits", "evaluate_ap"]

_IOU_50, _IOU_75 = 0, 5  # places in COCO's thresholds 0.50, 0.55 … 0.95
#: Areas in square pixels, as COCO's; an object on a border belongs to both sizes.
SIZES: dict[str, tuple[float, float]] = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}


@dataclass(frozen=True)
class SizeAp:
    """Average precision in percent of the objects of one size; NaN where there are none.

    Attributes:
        ap50: at IoU 0.5, mean over the classes that have objects of the size.
        ap75: at IoU 0.75.
        ap50_95: mean over the IoUs 0.50, 0.55 … 0.95.
    """

    ap50: float
    ap75: float
    ap50_95: float


@dataclass(frozen=True)
class ApResult:
    """Average precision in percent.

    Attributes:
        ap50: at IoU 0.5, mean over the classes that have ground truth.
        ap75: at IoU 0.75.
        ap50_95: mean over the IoUs 0.50, 0.55 … 0.95.
        per_class: (ap50, ap50_95) by class name, for the classes that have ground truth.
        per_class_75: ap75 of the same.
        by_size: by COCO's sizes, measured on the boxes.
    """

    ap50: float
    ap75: float
    ap50_95: float
    per_class: dict[str, tuple[float, float]]
    per_class_75: dict[str, float] = field(default_factory=dict)
    by_size: dict[str, SizeAp] = field(default_factory=dict)


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
    return ap_of(Case(data, detections))


def ap_of(case: Case) -> ApResult:
    """As `evaluate_ap`."""
    classes = case.data.classes
    if not len(case.objects.label):
        raise FaimError(f"{case.data.annotation_file}: no annotations; expected at least one")
    # (IoU thresholds, classes, sizes); -1 throughout a class without such objects.
    precision = 100 * _precision(case).mean(axis=1)
    present = np.unique(case.objects.label)
    everything = precision[:, present, 0]
    means = everything.mean(axis=1)
    return ApResult(
        ap50=float(means[_IOU_50]),
        ap75=float(means[_IOU_75]),
        ap50_95=float(means.mean()),
        per_class={
            classes[index]: (float(values[_IOU_50]), float(values.mean()))
            for index, values in zip(present.tolist(), everything.T, strict=True)
        },
        per_class_75={
            classes[index]: float(values[_IOU_75])
            for index, values in zip(present.tolist(), everything.T, strict=True)
        },
        by_size={name: _of_size(precision[:, :, i]) for i, name in enumerate(SIZES, start=1)},
    )


def ap_of_splits(data: CocoVid, detections: Mapping[int, Detections]) -> dict[str, ApResult]:
    """Of the videos of every split alone; empty where the videos name none.

    Videos without a `split`, and splits without annotations, do not count.
    """
    members: dict[str, list[VideoRecord]] = {}
    for video in data.videos:
        if video.split is not None:
            members.setdefault(video.split, []).append(video)
    results = {}
    for split, videos in sorted(members.items()):
        part = copy(data)
        part.videos = videos
        case = Case(part, detections, strict=False)
        if len(case.objects.label):
            results[split] = ap_of(case)
    return results


def _of_size(precision: NDArray[np.float64]) -> SizeAp:
    """Of (IoU thresholds, classes) percent, where -100 marks classes without such objects."""
    present = precision[0] >= 0
    if not present.any():
        return SizeAp(*[float("nan")] * 3)
    means = precision[:, present].mean(axis=1)
    return SizeAp(float(means[_IOU_50]), float(means[_IOU_75]), float(means.mean()))


def _precision(case: Case) -> NDArray[np.float64]:
    """COCO's precision: (IoU thresholds, recalls, classes, all and each size)."""
    ground_truth = COCO(_ground_truth(case))
    results = _results(case)
    evaluation = COCOeval_faster(
        ground_truth,
        ground_truth.loadRes(results if len(results) else []),
        iouType="bbox",
        print_function=lambda *_: None,
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = [[0, 1e10], *map(list, SIZES.values())]
    evaluation.params.areaRngLbl = ["all", *SIZES]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: NDArray[np.float64] = evaluation.eval["precision"][..., 0]
    return precision


def _results(case: Case) -> NDArray[np.float64]:
    """(k, 7) image id, x, y, width, height, score, class."""
    found = case.found
    low, size = found.box[:, :2], found.box[:, 2:] - found.box[:, :2]
    columns = [case.image_ids[found.frame][:, None], low, size, found.score[:, None]]
    return np.concatenate([*columns, found.label[:, None]], axis=1)


def _ground_truth(case: Case) -> dict[str, Any]:
    """The dataset as COCO's dictionary, with dense category ids."""
    objects = case.objects
    size = objects.box[:, 2:] - objects.box[:, :2]
    rows = zip(
        case.image_ids[objects.frame].tolist(),
        objects.label.tolist(),
        np.concatenate([objects.box[:, :2], size], axis=1).tolist(),
        size.prod(axis=1).tolist(),
        strict=True,
    )
    return {
        "images": [
            {"id": f.image_id, "width": f.width, "height": f.height} for f in case.data.frames
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(case.data.classes)],
        "annotations": [
            {
                "id": number,  # from 1: COCO's matching takes id 0 for "no match"
                "image_id": image_id,
                "category_id": category,
                "bbox": box,
                "area": area,
                "iscrowd": 0,
            }
            for number, (image_id, category, box, area) in enumerate(rows, start=1)
        ],
    }
