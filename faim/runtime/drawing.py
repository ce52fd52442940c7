"""Detections drawn onto a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv

from faim.choices import WIDEST_LINE, ColorBy
from faim.errors import FaimError
from faim.pictures.image import Image
from faim.pictures.lettering import Labels
from faim.pictures.palette import distinct_colors, readable_on
from faim.runtime.found import names_of, tracks_of

#: Classes from here on begin with the colours anew; tracks earlier, as only the first colours are
#: far from each other, and those that are seen together have numbers that are near.
_CLASS_COLORS, _TRACK_COLORS = 128, 32
_COLORS = (*distinct_colors(_CLASS_COLORS), sv.Color(200, 200, 200))
#: Of a box that has no track (yet) where the others' colours are by track.
_NO_TRACK = _CLASS_COLORS
_PALETTE = sv.ColorPalette(list(_COLORS))
_READABLE = sv.ColorPalette([readable_on(color) for color in _COLORS])
#: Frames whose places make the path of a track.
TRACE_FRAMES = 30


@dataclass(frozen=True)
class DrawStyle:
    """How detections are drawn.

    Attributes:
        line_width: of boxes and paths, in pixels; by the size of the frame by default.
        hide_labels: boxes alone, without text.
        hide_scores: labels without scores.
        trace: the path of each track over its last 30 frames.
        color_by: one steady colour a class, or a track; by default a track where there are any.

    Raises:
        FaimError: an option out of its range.
    """

    line_width: int | None = None
    hide_labels: bool = False
    hide_scores: bool = False
    trace: bool = False
    color_by: ColorBy | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        width = self.line_width
        if width is not None and (type(width) is not int or not 1 <= width <= WIDEST_LINE):
            raise FaimError(
                f"line_width: {width!r} given; expected a whole number from 1 to {WIDEST_LINE}"
            )
        if self.color_by not in (None, *get_args(ColorBy)):
            raise FaimError(f"color_by: {self.color_by!r} given; expected class or track")


class Annotator:
    """Boxes and labels in steady colours, as large as the frame asks for.

    With `trace` it remembers where tracks were, so each video needs an annotator of its own.

    Example:
        >>> import numpy as np, supervision as sv
        >>> found = sv.Detections(
        ...     xyxy=np.array([[10.0, 10.0, 40.0, 40.0]]), confidence=np.array([0.9]),
        ...     class_id=np.array([0]), data={"class_name": np.array(["dog"])})
        >>> Annotator().draw(np.zeros((64, 64, 3), np.uint8), found).shape
        (64, 64, 3)
    """

    def __init__(self, style: DrawStyle | None = None) -> None:
        self._style = DrawStyle() if style is None else style
        self._made: dict[tuple[int, int], tuple[sv.BoxAnnotator, Labels]] = {}
        self._paths: sv.TraceAnnotator | None = None

    def draw(self, image: Image, detections: sv.Detections) -> Image:
        """A copy of `image` (h, w, 3) uint8 BGR with the detections of that image."""
        scene = np.ascontiguousarray(image).copy()
        colors = self._colors_of(detections)
        boxes, text = self._for_size(image.shape[1], image.shape[0])
        if self._style.trace:
            self._draw_paths(scene, detections, colors, boxes.thickness)
        if not len(detections):
            return scene
        scene = boxes.annotate(scene, detections, custom_color_lookup=colors)
        if self._style.hide_labels:
            return scene
        return text.annotate(scene, detections, self._labels_of(detections), colors)

    def _colors_of(self, detections: sv.Detections) -> npt.NDArray[np.int_]:
        """Places in the palette, (k,)."""
        tracks = detections.tracker_id
        if self._style.color_by == "class" or (tracks is None and self._style.color_by is None):
            return np.asarray(detections.class_id, int) % _CLASS_COLORS
        if tracks is None:
            return np.full(len(detections), _NO_TRACK)
        return np.where(tracks < 0, _NO_TRACK, (tracks - 1) % _TRACK_COLORS)

    def _labels_of(self, detections: sv.Detections) -> list[str]:
        """As in "dog #3 0.91"."""
        rows = zip(
            names_of(detections),
            tracks_of(detections),
            detections.confidence,
            strict=True,
        )
        return [
            f"{name}{f' #{track}' if track >= 0 else ''}"
            + ("" if self._style.hide_scores else f" {score:.2f}")
            for name, track, score in rows
        ]

    def _draw_paths(
        self,
        scene: Image,
        detections: sv.Detections,
        colors: npt.NDArray[np.int_],
        thickness: int,
    ) -> None:
        if self._paths is None:
            self._paths = sv.TraceAnnotator(
                _PALETTE, trace_length=TRACE_FRAMES, thickness=thickness
            )
        if detections.tracker_id is None:
            detections = sv.Detections.empty()  # a frame has passed all the same
        self._paths.annotate(scene, detections, custom_color_lookup=colors[: len(detections)])

    def _for_size(self, width: int, height: int) -> tuple[sv.BoxAnnotator, Labels]:
        if (width, height) not in self._made:
            # Below 0.35 OpenCV's letters lose their shape.
            scale = max(0.35, sv.calculate_optimal_text_scale((width, height)))
            thickness = self._style.line_width or sv.calculate_optimal_line_thickness(
                (width, height)
            )
            self._made[width, height] = (
                sv.BoxAnnotator(_PALETTE, thickness=thickness),
                Labels(
                    _PALETTE,
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
