"""Detections as a file: COCO's list of results.

Detections of classes that the dataset does not have stand among them, with a category id that it
does not have and the class's name as `category_name`; COCO's own evaluation passes over them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faim.data.coco_vid import CocoVid
from faim.data.rules import is_finite
from faim.errors import FaimError
from faim.evaluation.classes import OtherClasses
from faim.files import write_whole
from faim.reading import read_json_list, shown
from faim.structures import Detections

_BOX_DECIMALS, _SCORE_DECIMALS = 2, 5
#: Pixels; far beyond every image, while areas of such boxes are still numbers.
_FARTHEST = 1e9


def write_detections(
    path: Path,
    data: CocoVid,
    detections: Mapping[int, Detections],
    others: OtherClasses | None = None,
) -> None:
    """Write COCO's list of results, whole or not at all.

    Category ids are the annotation file's; boxes are x, y, width, height in pixels of the image,
    rounded to 0.01; scores are rounded to 0.00001.

    Args:
        path: the file.
        data: whose images and categories they are.
        detections: by image id.
        others: what is shown beyond the dataset's classes.

    Raises:
        FaimError: the file cannot be written.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as file:
            separator = "["
            for row in _all_rows(data, detections, others or OtherClasses()):
                file.write(separator + json.dumps(row, allow_nan=False))
                separator = ",\n"
            file.write("[]\n" if separator == "[" else "]\n")

    try:
        write_whole(path, write)
    except ValueError as error:
        raise FaimError(
            f"{path}: cannot be written ({error}); expected boxes and scores that are finite"
        ) from error


def _all_rows(
    data: CocoVid, detections: Mapping[int, Detections], others: OtherClasses
) -> Iterator[dict[str, Any]]:
    for image_id, found in detections.items():
        yield from _rows(image_id, found, data.category_ids)
    first = 1 + max(data.category_ids, default=0)
    ids = (*data.category_ids, *range(first, first + len(others.names)))
    names = dict(zip(ids[len(data.category_ids) :], others.names, strict=True))
    for image_id, found in others.detections.items():
        for row in _rows(image_id, found, ids):
            yield {**row, "category_name": names[row["category_id"]]}


def _rows(
    image_id: int, found: Detections, category_ids: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    boxes = found.boxes.double().numpy().copy()
    boxes[:, 2:] -= boxes[:, :2]
    boxes = boxes.round(_BOX_DECIMALS)
    scores = found.scores.double().numpy().round(_SCORE_DECIMALS)
    for box, score, label in zip(
        boxes.tolist(), scores.tolist(), found.class_ids.tolist(), strict=True
    ):
        category = category_ids[label]
        yield {"image_id": image_id, "category_id": category, "bbox": box, "score": score}


def read_detections(path: Path, data: CocoVid) -> dict[int, Detections]:
    """Read COCO's list of results, as this package or any other tool writes it.

    Returns:
        By image id, as `evaluate_ap` takes them; images without detections are absent.

    Raises:
        FaimError: the file is missing or no such list, or names an image or category that the
            dataset does not have.
    """
    return read_results(path, data)[0]


def read_results(path: Path, data: CocoVid) -> tuple[dict[int, Detections], OtherClasses]:
    """`read_detections`, and what the file holds of classes that the dataset does not have."""
    content = read_json_list(
        Path(path), "detections, each with image_id, category_id, bbox and score"
    )
    dense = {number: index for index, number in enumerate(data.category_ids)}
    images = {frame.image_id for frame in data.frames}
    grouped: dict[int, list[tuple[float, ...]]] = {}
    strange: dict[int, list[tuple[float, ...]]] = {}
    names: dict[str, int] = {}
    for number, row in enumerate(content):
        problem = _problem(row, images, dense, data)
        if problem:
            raise FaimError(f"{path}: entry {number} {problem}")
        x, y, width, height = row["bbox"]
        known = row["category_id"] in dense
        if known:
            label = dense[row["category_id"]]
        else:
            label = names.setdefault(row["category_name"], len(dense) + len(names))
        values = (x, y, x + width, y + height, row["score"], label)
        (grouped if known else strange).setdefault(row["image_id"], []).append(values)
    others = OtherClasses(tuple(names), {key: _together(rows) for key, rows in strange.items()})
    return {key: _together(rows) for key, rows in grouped.items()}, others


def _together(rows: Sequence[tuple[float, ...]]) -> Detections:
    """Of corners, score and class of one image's detections."""
    table = np.array(rows, np.float64)
    # Stable, so that of equal scores the file's order stays.
    table = table[np.argsort(-table[:, 4], kind="stable")]
    return Detections(
        torch.from_numpy(table[:, :4].copy()),
        torch.from_numpy(table[:, 4].copy()),
        torch.from_numpy(table[:, 5].astype(np.int64)),
    )


def _problem(row: Any, images: set[int], dense: Mapping[int, int], data: CocoVid) -> str | None:
    """What is wrong with one entry of the list; None if nothing."""
    if not isinstance(row, dict):
        return f"is a {type(row).__name__}; expected an object"
    missing = [key for key in ("image_id", "category_id", "bbox", "score") if key not in row]
    if missing:
        return f"has no {missing[0]}; expected image_id, category_id, bbox and score"
    for key, known in (("image_id", images), ("category_id", dense)):
        another = key == "category_id" and _is_other(row, data)
        if type(row[key]) is not int or (row[key] not in known and not another):
            return f"has {key} {shown(row[key])}; expected one of {data.annotation_file}"
    bbox = row["bbox"]
    sound = isinstance(bbox, list) and len(bbox) == 4 and all(map(is_finite, bbox))
    if not sound or bbox[2] < 0 or bbox[3] < 0:
        return (
            f"has bbox {shown(bbox)}; expected finite x, y, width and height, the sides not "
            "negative"
        )
    if max(map(abs, bbox)) > _FARTHEST:
        return f"has bbox {shown(bbox)}; expected pixels, up to {_FARTHEST:.0f}"
    if not is_finite(row["score"]):
        return f"has score {shown(row['score'])}; expected a finite number"
    return None


def _is_other(row: Mapping[str, Any], data: CocoVid) -> bool:
    """Whether it is named as of a class that the dataset does not have."""
    name = row.get("category_name")
    return isinstance(name, str) and name not in data.classes
