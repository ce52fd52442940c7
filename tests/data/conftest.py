"""A small CocoVID set on disk: two videos (5 and 2 frames) of one or two objects."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 60, 100


def rle_of_box(x: int, y: int, w: int, h: int, height: int = HEIGHT, width: int = WIDTH) -> dict:
    mask = np.zeros((height, width), np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    rle = coco_mask.encode(mask)
    return {"size": [height, width], "counts": rle["counts"].decode()}


def small_content() -> dict[str, Any]:
    images, annotations = [], []
    for video_id, count in ((1, 5), (2, 2)):
        for frame_id in range(count):
            image_id = len(images) + 1
            images.append(
                {
                    "id": image_id,
                    "video_id": video_id,
                    "frame_id": frame_id,
                    "file_name": f"v{video_id}/{frame_id}.png",
                    "width": WIDTH,
                    "height": HEIGHT,
                }
            )
            x, y, w, h = 10 + 4 * frame_id, 20, 30, 16
            annotations.append(
                {
                    "id": image_id,
                    "image_id": image_id,
                    "category_id": 7 if video_id == 1 else 3,
                    "instance_id": 100 + video_id,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": rle_of_box(x, y, w, h),
                }
            )
    return {
        "videos": [{"id": 1, "name": "first"}, {"id": 2, "name": "second"}],
        "images": images[::-1],  # frames are to be sorted by the reader
        "annotations": annotations,
        "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    }


def write_images(root: Path, content: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    for image in content["images"]:
        path = root / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (image["height"], image["width"], 3), dtype=np.uint8)
        cv2.imwrite(str(path), pixels)


@pytest.fixture
def content() -> dict[str, Any]:
    return small_content()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    def _write(content: dict[str, Any]) -> Path:
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(content))
        return path

    return _write


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small_set")
    content = small_content()
    write_images(root, content)
    (root / "annotations.json").write_text(json.dumps(content))
    return root / "annotations.json"
