"""Detections drawn onto a frame."""

from __future__ import annotations

import cv2
import numpy as np
import supervision as sv

from faim.pictures.lettering import Labels
from faim.runtime.frames import Image

# Black on light class colours, white on dark ones (luma of ITU-R BT.601).
_READABLE = sv.ColorPalette(
    [
        sv.Color.BLACK if 0.299 * c.r + 0.587 * c.g + 0.114 * c.b > 128 else sv.Color.WHITE
        for c in sv.ColorPalette.DEFAULT.colors
    ]
)


class Annotator:
    """Boxes and labels in one steady colour a class, as large as the frame asks for.

    Example:
        >>> import numpy as np, supervision as sv
        >>> found = sv.Detections(
        ...     xyxy=np.array([[10.0, 10.0, 40.0, 40.0]]), confidence=np.array([0.9]),
        ...     class_id=np.array([0]), data={"class_name": np.array(["dog"])})
        >>> Annotator().draw(np.zeros((64, 64, 3), np.uint8), found).shape
        (64, 64, 3)
    """

    def __init__(self) -> None:
        """See the class."""
        self._made: dict[tuple[int, int], tuple[sv.BoxAnnotator, Labels]] = {}

    def draw(self, image: Image, detections: sv.Detections) -> Image:
        """A copy of `image` (h, w, 3) uint8 BGR with the detections of that image."""
        scene = np.ascontiguousarray(image).copy()
        if not len(detections):
            return scene
        labels = [
            f"{name} {score:.2f}"
            for name, score in zip(
                detections.data["class_name"], detections.confidence, strict=True
            )
        ]
        boxes, text = self._for_size(image.shape[1], image.shape[0])
        return text.annotate(boxes.annotate(scene, detections), detections, labels)

    def _for_size(self, width: int, height: int) -> tuple[sv.BoxAnnotator, Labels]:
        if (width, height) not in self._made:
            # Below 0.35 OpenCV's letters lose their shape.
            scale = max(0.35, sv.calculate_optimal_text_scale((width, height)))
            thickness = sv.calculate_optimal_line_thickness((width, height))
            self._made[width, height] = (
                sv.BoxAnnotator(thickness=thickness, color_lookup=sv.ColorLookup.CLASS),
                Labels(
                    sv.ColorPalette.DEFAULT,
                    _READABLE,
                    scale=scale,
                    padding=max(2, round(scale * 8)),
                    thickness=max(1, round(scale * 1.5)),
                ),
            )
        return self._made[width, height]


def fit(image: Image, height: int, width: int) -> Image:
    """The image, aspect kept, in the middle of a black canvas (height, width, 3).

    An image of that size, or one pixel short of it, is not resized: its border is repeated.
    """
    high, wide = image.shape[:2]
    if height - high in (0, 1) and width - wide in (0, 1):
        return cv2.copyMakeBorder(image, 0, height - high, 0, width - wide, cv2.BORDER_REPLICATE)
    return sv.letterbox_image(image, (width, height), sv.Color.BLACK)
