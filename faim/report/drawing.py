"""A frame with one column's boxes, as a small JPEG inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from faim.data.coco_vid import FrameRecord, read_frame
from faim.errors import FaimError
from faim.pictures.image import Image
from faim.pictures.lettering import Rectangle, put_label
from faim.report.frames import Judged

WIDEST = 480
_QUALITY = 78
_GREEN, _RED, _WHITE, _BLACK = (80, 200, 60), (60, 60, 240), (255, 255, 255), (0, 0, 0)
_BLANK = 96  # grey
_DASH = 6  # pixels
_BEYOND = 8  # pixels
_LETTERS = 0.4  # their scale


def frame_image(frame: FrameRecord) -> tuple[Image, bool]:
    """The frame, at most 480 pixels wide, and whether its image is there; a grey one if not."""
    scale = min(1.0, WIDEST / frame.width)
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    try:
        image = read_frame(frame)
    except FaimError:
        return np.full((size[1], size[0], 3), _BLANK, dtype=np.uint8), False
    if scale == 1.0:
        return np.ascontiguousarray(image), True
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8), True


def draw(image: Image, frame: FrameRecord, judged: Judged, classes: Sequence[str]) -> Image:
    """A copy with the ground truth in dashed white, right boxes in green and wrong ones in red.

    Args:
        image: (h, w, 3) uint8 BGR, the frame at any scale.
        frame: for its size and annotations.
        judged: the boxes, in pixels of the frame.
        classes: their names.
    """
    scene = image.copy()
    scale = image.shape[1] / frame.width
    for annotation in frame.annotations:
        _dashed(scene, np.array(annotation.box) * scale)
    # A wild box would leave the range of OpenCV's coordinates.
    corners = np.clip(judged.boxes * scale, -_BEYOND, max(image.shape[:2]) + _BEYOND)
    boxes = np.round(corners).astype(int).tolist()
    colours = [_GREEN if right else _RED for right in judged.right]
    # Wrong ones last and thinner, so that a right and a wrong one in one place are both seen.
    for row in np.argsort(~judged.right, kind="stable").tolist():
        (x1, y1, x2, y2), thickness = boxes[row], 3 if judged.right[row] else 2
        cv2.rectangle(scene, (x1, y1), (x2, y2), colours[row], thickness)
    taken: list[Rectangle] = []
    for row, box in enumerate(boxes):
        name = f"{classes[judged.classes[row]]} {judged.scores[row]:.2f}"
        taken.append(put_label(scene, name, box[:2], _LETTERS, (colours[row], _BLACK), taken))
    return scene


def as_jpeg(image: Image) -> str:
    """The image as a `data:` address."""
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _dashed(scene: Image, box: npt.NDArray[np.float64]) -> None:
    x1, y1, x2, y2 = np.round(box).astype(int).tolist()
    for start, end in (
        ((x1, y1), (x2, y1)),
        ((x2, y1), (x2, y2)),
        ((x2, y2), (x1, y2)),
        ((x1, y2), (x1, y1)),
    ):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        cv2.line(scene, start, end, _BLACK, 2)
        for offset in range(0, length, 2 * _DASH):
            ends = [
                tuple(
                    round(a + (b - a) * min(step, length) / length)
                    for a, b in zip(start, end, strict=True)
                )
                for step in (offset, offset + _DASH)
            ]
            cv2.line(scene, ends[0], ends[1], _WHITE, 2)
