"""Small videos whose objects GrabCut finds to the pixel, and methods that do as they are told."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from faim.data.records import Annotation, read_mask
from faim.masks.protocol import ObjectMask
from faim.masks.run import MaskRequest, run_masks

HEIGHT, WIDTH = 60, 80


def disc(center, radius, size=(HEIGHT, WIDTH)):
    yy, xx = np.mgrid[: size[0], : size[1]]
    return (yy - center[1]) ** 2 + (xx - center[0]) ** 2 <= radius**2


def picture(mask, seed=0):
    """A green object in front of grey, with a little noise."""
    rng = np.random.default_rng(seed)
    image = np.full((*mask.shape, 3), (110, 100, 105), np.int64)
    image[mask] = (40, 200, 60)
    return np.clip(image + rng.integers(-6, 7, image.shape), 0, 255).astype(np.uint8)


def box_around(mask):
    ys, xs = np.nonzero(mask)
    return [int(v) for v in (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)]


def content(frames=(3, 2)) -> dict[str, Any]:
    """Videos of one disc that moves, without masks."""
    images, annotations = [], []
    for video, count in enumerate(frames, 1):
        for frame in range(count):
            number = len(images) + 1
            images.append({"id": number, "video_id": video, "frame_id": frame, "x": "kept",
                           "file_name": f"v{video}/{frame}.png", "width": WIDTH,
                           "height": HEIGHT})  # fmt: skip
            annotations.append({"bbox": box_around(truth(number)), "id": 10 * number,
                                "image_id": number, "category_id": 4, "instance_id": video,
                                "iscrowd": 0})  # fmt: skip
    videos = [{"id": video, "name": f"v{video}"} for video in range(1, len(frames) + 1)]
    return {"extra": [1], "videos": videos, "annotations": annotations, "images": images,
            "categories": [{"id": 4, "name": "disc"}]}  # fmt: skip


def truth(number):
    """The disc of an image id."""
    return disc((20 + 3 * number, 30), 12)


def write(folder: Path, entries: dict[str, Any]) -> Path:
    for image in entries["images"]:
        if isinstance(image.get("file_name"), str):
            path = folder / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture(truth(image["id"]), image["id"]))
    path = folder / "ann.json"
    path.write_text(json.dumps(entries))
    return path


def masks_of(path: Path) -> dict[int, np.ndarray]:
    """By annotation id."""
    entries = json.loads(path.read_text())["annotations"]
    found = {e["id"]: e["segmentation"] for e in entries if e.get("segmentation")}
    return {number: decoded(rle, (HEIGHT, WIDTH)) for number, rle in found.items()}


def decoded(segmentation, size):
    return read_mask(Annotation((0, 0, 1, 1), 0, -1, segmentation), *size)


@dataclass
class ToldMasks:
    """`says` of each box: "object", "none" (no mask), "empty", "skip" (not yielded).

    Each video leaves its frames' ids in a file of `log`, if that is set; `stop_after` videos raise
    Ctrl-C's exception.
    """

    says: str = "object"
    log: str = ""
    stop_after: int = -1
    seconds: float = 0.0
    seen: list[Any] = field(default_factory=list)

    name: ClassVar[str] = "told"
    version: ClassVar[int] = 3
    needs_frames: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    @property
    def parameters(self):
        return {"says": self.says}

    def generate(self, frames, boxes, track_ids):
        time.sleep(self.seconds)
        if self.stop_after == 0:
            raise KeyboardInterrupt
        self.stop_after -= 1
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{list(frames.image_ids)}\n")
        self.seen.append((list(frames.image_ids), [b.tolist() for b in boxes],
                          [t.tolist() for t in track_ids]))  # fmt: skip
        for index in reversed(range(len(frames))):
            for number in range(len(boxes[index])):
                shape = frames[index].shape[:2]
                masks = {"object": truth(frames.image_ids[index]), "none": None,
                         "empty": np.zeros(shape, bool)}  # fmt: skip
                if self.says != "skip":
                    yield ObjectMask(index, number, masks[self.says])


def run(path, method=None, out="out.json", **options):
    request = MaskRequest(path, path.parent / out, method or ToldMasks(), workers=1, **options)
    return run_masks(request)
