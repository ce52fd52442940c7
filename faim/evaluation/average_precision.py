"""COCO's average precision of boxes, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from faim.data.coco_vid import CocoVid, VideoRecord
from faim.errors import FaimError
from faim.evaluation.matching import RECALLS
from faim.evaluation.tables import MAX_DETECTIONS, Case
from faim.structures import Detections

__all__ = [
    "MAX_DETECTIONS",
    "RECALLS",
    "ApResult",
    "Levels",
    "ap_of",
    "ap_of_splits",
    "evaluate_ap",
]

_IOU_50, _IOU_75 = 0, 5  # places in COCO's thresholds 0.50, 0.55 … 0.95
#: Areas in square pixels, as COCO's; an object on a border belongs to both sizes.
SIZES: dict[str, tuple[float, float]] = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}


@dataclass(frozen=True)
class Levels:
    """Average precision in percent; NaN where there are no objects.

    Attributes:
        ap50: at IoU 0.5.
        ap75: at IoU 0.75.
        ap50_95: mean over the IoUs 0.50, 0.55 … 0.95.
    """

    ap50: float
    ap75: float
    ap50_95: float


@dataclass(frozen=True)
class ApResult(Levels):
    """Average precision: the mean over the classes that have ground truth, and its parts.

    Attributes:
        per_class: by class name, for the classes that have ground truth.
        by_size: by COCO's sizes, measured on the boxes; mean over the classes that have objects of
            the size.
        precision_50: by class name as `per_class`, (101,) precision in [0, 1] at IoU 0.5 and
            `RECALLS`: the best at this recall or beyond, 0 where it is never reached. Its mean is
            the class's AP50.
    """

    per_class: dict[str, Levels] = field(default_factory=dict)
    by_size: dict[str, Levels] = field(default_factory=dict)
    precision_50: dict[str, NDArray[np.float64]] = field(
        default_factory=dict, repr=False, compare=False
    )


def evaluate_ap(data: CocoVid, detections: Mapping[int, Detections]) -> ApResult:
    """Score detections against a dataset. Nothing is printed and nothing written.

    Args:
        data: the ground truth.
        detections: by image id; boxes in pixels of the image, class ids dense indices into
            `data.classes`. Images that are not in it count as images without detections. Of every
            class the 100 best detections of an image count.

    Raises:
        FaimError: no ground truth; detections of an image or class that the dataset does not have,
            or that are not finite.

    Example:
        >>> import tempfile, torch
        >>> from pathlib import Path
        >>> from faim.data.synth import generate
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = CocoVid(
        ...         generate(
        ...             Path(folder), videos=1, frames=2, size=64, classes=2,
        ...             severity="easy", seed=0, progress=False,
        ...         )
        ...     )
        >>> found = {}
        >>> for frame in data.frames:
        ...     boxes = torch.tensor([each.box for each in frame.annotations])
        ...     classes = torch.tensor([each.category_id for each in frame.annotations])
        ...     found[frame.image_id] = Detections(boxes, torch.ones(len(boxes)), classes)
        >>> result = evaluate_ap(data, found)
        >>> round(result.ap50, 1), sorted(result.per_class)
        (100.0, ['checks', 'stripes'])
    """
    return ap_of(Case(data, detections))


def ap_of(case: Case) -> ApResult:
    """As `evaluate_ap`."""
    classes = case.data.classes
    if not len(case.objects.label):
        raise FaimError(f"{case.data.annotation_file}: no annotations; expected at least one")
    curves = _precision(case)
    # (IoU thresholds, classes, sizes); -100 throughout a class without such objects.
    precision = 100 * curves.mean(axis=1)
    present = np.unique(case.objects.label).tolist()
    return ApResult(
        **vars(_levels(precision[:, :, 0])),
        per_class={classes[index]: _levels(precision[:, [index], 0]) for index in present},
        by_size={name: _levels(precision[:, :, i]) for i, name in enumerate(SIZES, start=1)},
        precision_50={classes[index]: curves[_IOU_50, :, index, 0].copy() for index in present},
    )


def ap_of_splits(data: CocoVid, detections: Mapping[int, Detections]) -> dict[str, ApResult]:
    """Of the videos of every split alone; empty where the videos name none.

    Videos without a `split`, and splits without annotations, do not count.
    """
    members: dict[str, list[VideoRecord]] = {}
    for video in data.videos:
        if video.split is not None:
            members.setdefault(video.split, []).append(video)
    return _ap_of_parts(data, detections, members)


def ap_of_degradations(data: CocoVid, detections: Mapping[int, Detections]) -> dict[str, ApResult]:
    """Of the frames of every kind of degradation alone; empty where the frames name none.

    Frames without a `degradation`, and kinds without annotations, do not count.
    """
    members: dict[str, list[VideoRecord]] = {}
    for video in data.videos:
        for kind in {frame.degradation for frame in video.frames} - {None}:
            frames = tuple(frame for frame in video.frames if frame.degradation == kind)
            members.setdefault(str(kind), []).append(replace(video, frames=frames))
    return _ap_of_parts(data, detections, members)


def _ap_of_parts(
    data: CocoVid,
    detections: Mapping[int, Detections],
    members: Mapping[str, Sequence[VideoRecord]],
) -> dict[str, ApResult]:
    results = {}
    for name, videos in sorted(members.items()):
        part = copy(data)
        part.videos = list(videos)
        case = Case(part, detections, strict=False)
        if len(case.objects.label):
            results[name] = ap_of(case)
    return results


def _levels(precision: NDArray[np.float64]) -> Levels:
    """Of (IoU thresholds, classes) percent, where -100 marks classes without such objects."""
    present = precision[0] >= 0
    if not present.any():
        return Levels(*[float("nan")] * 3)
    means = precision[:, present].mean(axis=1)
    return Levels(float(means[_IOU_50]), float(means[_IOU_75]), float(means.mean()))


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
    evaluation.params.recThrs = RECALLS
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = [[0, 1e10], *map(list, SIZES.values())]
    evaluation.params.areaRngLbl = ["all", *SIZES]
    evaluation.evaluate()
    evaluation.accumulate()
    precision: NDArray[np.float64] = evaluation.eval["precision"][..., 0]
    return precision


def _results(case: Case) -> NDArray[np.float64]:
    """(k, 7) place of the image, x, y, width, height, score, class."""
    found = case.found
    low, size = found.box[:, :2], found.box[:, 2:] - found.box[:, :2]
    columns = [found.frame[:, None], low, size, found.score[:, None]]
    return np.concatenate([*columns, found.label[:, None]], axis=1)


def _ground_truth(case: Case) -> dict[str, Any]:
    """The dataset as COCO's dictionary, with dense category ids and places as image ids.

    Results are a table of floats, in which an id above 2^53 would become another.
    """
    both = case.objects, case.crowds
    frame, label, box = (
        np.concatenate([getattr(part, name) for part in both]) for name in ("frame", "label", "box")
    )
    size = box[:, 2:] - box[:, :2]
    rows = zip(
        frame.tolist(),
        label.tolist(),
        np.concatenate([box[:, :2], size], axis=1).tolist(),
        size.prod(axis=1).tolist(),
        [0] * len(case.objects.label) + [1] * len(case.crowds.label),
        strict=True,
    )
    return {
        "images": [
            {"id": place, "width": frame.width, "height": frame.height}
            for place, frame in enumerate(
                sorted(case.data.frames, key=lambda frame: frame.image_id)
            )
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(case.data.classes)],
        "annotations": [
            {
                "id": number,  # from 1: COCO's matching takes id 0 for "no match"
                "image_id": place,
                "category_id": category,
                "bbox": corner_and_size,
                "area": area,
                "iscrowd": crowd,
            }
            for number, (place, category, corner_and_size, area, crowd) in enumerate(rows, start=1)
        ],
    }
