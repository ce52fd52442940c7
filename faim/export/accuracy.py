"""What a quantized model loses, measured against the float one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchvision.ops import box_iou

from faim.data.coco_vid import CocoVid
from faim.detector import VideoDetector
from faim.evaluation.average_precision import ApResult, evaluate_ap
from faim.evaluation.modes import ModeRunner
from faim.export.quantize import CalibrationFrames
from faim.pictures.writing import write_image
from faim.runtime.pipeline import DISPLAY_THRESHOLD
from faim.structures import Detections

#: Detections of the float model from this score on stand in for annotations: weak ones too, since
#: what int8 loses first are not the objects that are plain to see.
TRUSTED_SCORE = 0.1


#: Detections from this score on are shown to users, and two of a class that overlap so are one.
SHOWN_SCORE, _SAME = DISPLAY_THRESHOLD, 0.5


@dataclass(frozen=True)
class AccuracyLoss:
    """Average precision of both models, in mode stream.

    Attributes:
        measured_on: what the detections were compared with, for people to read.
        floating: of the model in float32.
        quantized: of the quantized one.
        shown: detections of the float model from 0.3 on, which is what users see.
        lost: of those, how many the quantized model does not show.
        worst: largest difference of a score between a shown detection and its match.
    """

    measured_on: str
    floating: ApResult
    quantized: ApResult
    shown: int
    lost: int
    worst: float


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
    return _loss(measured_on, data, one, other)


def agreement(
    floating: VideoDetector,
    quantized: VideoDetector,
    frames: CalibrationFrames,
    folder: Path,
    on_frame: Callable[[], None] = lambda: None,
) -> AccuracyLoss | None:
    """Compare two models on frames without annotations.

    The float model's detections of score 0.1 and more stand in for them, so that its own AP is 100.

    Args:
        floating: the model in float32.
        quantized: the quantized one.
        frames: the held-out ones are looked at.
        folder: for temporary files.
        on_frame: called twice for every frame.

    Returns:
        None where the float model finds nothing in any frame.

    Raises:
        FaimError: the folder cannot be written.
    """
    data = _dataset(folder, frames, floating.traits.class_names)
    one = _detect(floating, data, on_frame)
    trusted = _annotated(data, one)
    if not any(frame.annotations for frame in trusted.frames):
        return None
    other = _detect(quantized, data, on_frame)
    objects = sum(len(frame.annotations) for frame in trusted.frames)
    measured_on = (
        f"{len(frames.held_out)} frames of the calibration video that it was not calibrated with, "
        f"where the float model finds {objects} objects from a score of {TRUSTED_SCORE:g} on"
    )
    return _loss(measured_on, trusted, one, other)


def _loss(
    measured_on: str,
    data: CocoVid,
    one: Mapping[int, Detections],
    other: Mapping[int, Detections],
) -> AccuracyLoss:
    changes = [change for image in one for change in _changes(one[image], other[image])]
    kept = [change for change in changes if change is not None]
    return AccuracyLoss(
        measured_on,
        evaluate_ap(data, one),
        evaluate_ap(data, other),
        shown=len(changes),
        lost=len(changes) - len(kept),
        worst=max(kept, default=0.0),
    )


def _changes(one: Detections, other: Detections) -> list[float | None]:
    """Of every detection shown the change of its score; None where it is shown no longer."""
    one, other = one[one.scores >= SHOWN_SCORE], other[other.scores > 0]
    overlap = box_iou(one.boxes, other.boxes)
    same = one.class_ids[:, None] == other.class_ids
    found: list[float | None] = []
    for score, matches in zip(one.scores, (overlap >= _SAME) & same, strict=True):
        best = float(other.scores[matches].max()) if matches.any() else 0.0
        found.append(abs(float(score) - best) if best >= SHOWN_SCORE else None)
    return found


def _detect(
    model: VideoDetector, data: CocoVid, on_frame: Callable[[], None]
) -> dict[int, Detections]:
    return ModeRunner(model, data, ("stream",)).run(on_frame)["stream"].detections


def _dataset(folder: Path, frames: CalibrationFrames, classes: Sequence[str]) -> CocoVid:
    """The held-out frames as videos without annotations."""
    clips = frames.clips or [len(frames.held_out)]
    videos = [video for video, count in enumerate(clips, 1) for _ in range(count)]
    images: list[dict[str, Any]] = []
    for index, (video, frame) in enumerate(zip(videos, frames.held_out, strict=True)):
        name = f"{index}.png"
        write_image(folder / name, frame)
        height, width = frame.shape[:2]
        place = {"id": index, "video_id": video, "frame_id": index, "file_name": name}
        images.append({**place, "width": width, "height": height})
    content = {
        "videos": [{"id": k, "name": f"calibration {k}"} for k in sorted(set(videos))],
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
