"""What a plain COCO checkpoint gives on real video by default."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv

import faim
from faim.postprocess.one_object import OneObjectConfig
from faim.postprocess.post import CausalPost
from faim.runtime.sources import ArraySource

SEQUENCE = "dog-agility"


def test_a_stream_finds_what_single_frames_lose(shared: Path) -> None:
    root = shared / "data" / "davis_train"
    images = [_read(p) for p in sorted((root / "JPEGImages" / "360p" / SEQUENCE).glob("*.jpg"))]
    boxes = [_box(p) for p in sorted((root / "Annotations" / "360p" / SEQUENCE).glob("*.png"))]
    weights = shared / "weights" / "yolox_nano_coco.pth"
    detector = faim.load(weights, size=416, device="cpu", backend="torch", conf=0.3)
    finds = [
        _finds(result.detections, box)
        for result, box in zip(_results(detector, images, "frame"), boxes, strict=True)
    ]
    assert len(boxes) == 25
    assert sum(finds) == 16
    shown = list(_results(detector, images, "stream"))
    # One box an object: at first it looks like a horse, and at the end surely like a person.
    steady = [_finds(result.detections, box) for result, box in zip(shown, boxes, strict=True)]
    assert steady == [False] * 2 + [True] * 17 + [False] * 6
    assert (
        max(_labels(result.detections, box) for result, box in zip(shown, boxes, strict=True)) == 1
    )
    # With all classes of a place it is lost in the first frame, and in the end later.
    detector.post = CausalPost(
        shown=OneObjectConfig(other_iou=1, rest=1, doubt=1, slope=1, shift=0)
    )
    linked = [
        _finds(result.detections, box)
        for result, box in zip(_results(detector, images, "stream"), boxes, strict=True)
    ]
    assert sum(linked) >= 21
    assert sum(a != b for a, b in itertools.pairwise(linked)) <= 4


@pytest.mark.parametrize(
    ("mode", "post"), [("stream", "none"), ("global", "none"), ("global", "repp")]
)
def test_cars_do_not_spread_over_another_scene(shared: Path, mode: Any, post: Any) -> None:
    root = shared / "data" / "davis_train" / "JPEGImages" / "360p"
    names = [*(["car-turn"] * 6), *(["lucia"] * 4)]
    images = [_read(root / name / f"{5 * i:05d}.jpg") for i, name in enumerate(names)]
    size = images[0].shape[1::-1]
    images = [cv2.resize(image, size) for image in images] + [np.full_like(images[0], 114)] * 2
    detector = faim.load(
        shared / "weights" / "yolox_nano_coco.pth", size=416, device="cpu", backend="torch",
        aggregate="affinity", post=post,
    )  # fmt: skip
    cars = [
        "car" in result.detections.data["class_name"] for result in _results(detector, images, mode)
    ]
    assert cars == [True] * 6 + [False] * 6


def _results(detector: Any, images: list[np.ndarray], mode: Any) -> Any:
    return detector.stream(ArraySource(images), mode, images=False)


def _finds(found: sv.Detections, box: np.ndarray) -> bool:
    mine = found[found.data["class_name"] == "dog"]
    return bool(len(mine) and (sv.box_iou_batch(box[None], mine.xyxy) >= 0.5).any())


def _labels(found: sv.Detections, box: np.ndarray) -> int:
    """Names that stand in the place of a box."""
    near = sv.box_iou_batch(box[None], found.xyxy)[0] >= 0.7 if len(found) else np.zeros(0, bool)
    return max(1, len(set(found.data["class_name"][near])))


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image


def _box(path: Path) -> np.ndarray:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32)
