"""What a quantized model loses, measured against the float one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faim.data.coco_vid import CocoVid
from faim.evaluation.average_precision import ApResult, evaluate_ap
from faim.evaluation.modes import ModeRunner
from faim.models.faim import VideoDetector
from faim.pictures.writing import write_image
from faim.structures import Detections

Image = NDArray[np.uint8]

#: Detections of the float model from this score on stand in for annotations.
TRUSTED_SCORE = 0.3


@dataclass(frozen=True)
class AccuracyLoss:
    """Average precision of both models, in mode stream.

    Attributes:
        measured_on: what the detections were compared with, for people to read.
        floating: of the model in float32.
        quantized: of the quantized one.
    """

    measured_on: str
    floating: ApResult
    quantized: ApResult


def loss_on_data(
    floating: VideoDetector,
    quantized: VideoDetector,
    data: CocoVid,
    on_frame: Callable[[], None] = lambda: None,
) -> AccuracyLoss:
    """Compare two models on annotated videos; `on_frame` is called twice for every frame.

    Raises:
        FaimError: see `ModeRunner` and `evaluate_ap`.
    """
    one, other = (_detect(model, data, on_frame) for model in (floating, quantized))
    measured_on = f"{data.annotation_file.name}, {len(data.frames)} frames"
    return AccuracyLoss(measured_on, evaluate_ap(data, one), evaluate_ap(data, other))


def agreement(
    floating: VideoDetector,
    quantized: VideoDetector,
    frames: Sequence[Image],
    folder: Path,
    on_frame: Callable[[], None] = lambda: None,
) -> AccuracyLoss | None:
    """Compare two models on frames without annotations.

    The float model's detections of score 0.3 and more stand in for them, so that its own AP is 100.

    Args:
        floating: the model in float32.
        quantized: the quantized one.
        frames: letterboxed frames of a video in order, not used for the quantization.
        folder: for temporary files.
        on_frame: called twice for every frame.

    Returns:
        None where the float model finds nothing in any frame.

    Raises:
        FaimError: the folder cannot be written.
    """
    data = _dataset(folder, frames, floating.config.class_names)
    one = _detect(floating, data, on_frame)
    trusted = _annotated(data, one)
    if not any(frame.annotations for frame in trusted.frames):
        return None
    other = _detect(quantized, data, on_frame)
    measured_on = (
        f"{len(frames)} frames of the calibration video that it was not calibrated with, "
        f"where the float model finds {sum(len(f.annotations) for f in trusted.frames)} objects"
    )
    return AccuracyLoss(measured_on, evaluate_ap(trusted, one), evaluate_ap(trusted, other))


def _detect(
    model: VideoDetector, data: CocoVid, on_frame: Callable[[], None]
) -> dict[int, Detections]:
    return ModeRunner(model, data, ("stream",)).run(on_frame)["stream"].detections


def _dataset(folder: Path, frames: Sequence[Image], classes: Sequence[str]) -> CocoVid:
    """The frames as one video without annotations."""
    images: list[dict[str, Any]] = []
    for index, frame in enumerate(frames):
        name = f"{index}.png"
        write_image(folder / name, frame)
        height, width = frame.shape[:2]
        place = {"id": index, "video_id": 1, "frame_id": index, "file_name": name}
        images.append({**place, "width": width, "height": height})
    content = {
        "videos": [{"id": 1, "name": "calibration"}],
        "images": images,
        "annotations": [],
        "categories": [{"id": index, "name": name} for index, name in enumerate(classes)],
    }
    return _read(folder, content)


def _annotated(data: CocoVid, detections: Mapping[int, Detections]) -> CocoVid:
    """The same frames with detections for annotations."""
    content = json.loads(data.annotation_file.read_text(encoding="utf-8"))
    for frame in data.frames:
        found = detections[frame.image_id]
        found = found[found.scores >= TRUSTED_SCORE]
        for box, label in zip(found.boxes, found.class_ids.tolist(), strict=True):
            x1, y1, x2, y2 = box.tolist()
            x1, x2 = (min(max(x, 0.0), float(frame.width)) for x in (x1, x2))
            y1, y2 = (min(max(y, 0.0), float(frame.height)) for y in (y1, y2))
            if x1 < x2 and y1 < y2:
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1,
                        "image_id": frame.image_id,
                        "category_id": label,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                    }
                )
    return _read(data.annotation_file.parent, content)


def _read(folder: Path, content: dict[str, Any]) -> CocoVid:
    path = folder / "frames.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return CocoVid(path)
