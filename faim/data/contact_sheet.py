"""Frames of a data set side by side, with what is annotated in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv

from faim.data.records import Annotation, FrameRecord, VideoRecord, read_frame, read_mask
from faim.errors import FaimError
from faim.pictures.image import Image
from faim.pictures.lettering import Labels, put_text
from faim.text import printable

#: Pixels of a frame's place, and of the line of text below it.
CELL_WIDTH, CELL_HEIGHT, CAPTION = 480, 300, 26
_MARGIN = 6
_BACKGROUND = 32
#: Width of the sheet over its height, about a screen's.
_SHAPE = 16 / 9
#: Light colours, on which black text can be read.
_COLORS = sv.ColorPalette(
    [
        sv.Color(*rgb)
        for rgb in (
            (255, 128, 128),
            (255, 210, 77),
            (127, 229, 127),
            (102, 217, 255),
            (255, 153, 230),
            (255, 173, 92),
            (179, 255, 102),
            (77, 255, 210),
            (153, 179, 255),
            (217, 166, 255),
        )
    ]
)


def pick_frames(videos: Sequence[VideoRecord], count: int) -> list[tuple[VideoRecord, FrameRecord]]:
    """Frames spread over the videos and over each video's time, those with boxes where there are.

    With fewer places than videos, evenly spaced videos give one frame each; else each gives as many
    as the others, or one more.
    """
    if not videos:
        return []
    places = min(count, len(videos))
    chosen = [videos[k * len(videos) // places] for k in range(places)]
    share, rest = divmod(count, len(chosen))
    picked = []
    for place, video in enumerate(chosen):
        frames = [frame for frame in video.frames if frame.annotations] or list(video.frames)
        wanted = min(share + (place < rest), len(frames))
        middles = ((2 * k + 1) * len(frames) // (2 * wanted) for k in range(wanted))
        picked += [(video, frames[middle]) for middle in middles]
    return picked


def draw_sheet(
    picked: Sequence[tuple[VideoRecord, FrameRecord]], classes: Sequence[str]
) -> tuple[Image, list[str]]:
    """The sheet (h, w, 3) uint8 BGR, and what was wrong with images that could not be drawn."""
    wide_enough = math.ceil(math.sqrt(len(picked) * _SHAPE * CELL_HEIGHT / CELL_WIDTH))
    columns = min(wide_enough, len(picked)) or 1
    rows = math.ceil(len(picked) / columns) or 1
    high, wide = CELL_HEIGHT + CAPTION + _MARGIN, CELL_WIDTH + _MARGIN
    size = (rows * high + _MARGIN, columns * wide + _MARGIN, 3)
    sheet = np.full(size, _BACKGROUND, np.uint8)
    problems = []
    for place, (video, frame) in enumerate(picked):
        row, column = divmod(place, columns)
        top, left = _MARGIN + row * high, _MARGIN + column * wide
        try:
            cell = _cell(frame, classes)
        except FaimError as error:
            problems.append(str(error))
            cell = np.zeros((CELL_HEIGHT, CELL_WIDTH, 3), np.uint8)
        sheet[top : top + CELL_HEIGHT, left : left + CELL_WIDTH] = cell
        text = f"{printable(video.name)[-40:]}  frame {frame.frame_id}"
        caption = sheet[top + CELL_HEIGHT : top + CELL_HEIGHT + CAPTION, left : left + CELL_WIDTH]
        put_text(caption, text, (4, CAPTION - 9), 0.45, (220, 220, 220))
    return sheet, problems


def _cell(frame: FrameRecord, classes: Sequence[str]) -> Image:
    """The frame with its boxes, in the middle of its place.

    It is made small before it is drawn on, so that the text keeps its size.
    """
    image = read_frame(frame)
    scale = min(CELL_WIDTH / frame.width, CELL_HEIGHT / frame.height)
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    shown = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    if frame.annotations:
        shown = _annotate(shown, frame, classes)
    cell = np.zeros((CELL_HEIGHT, CELL_WIDTH, 3), np.uint8)
    top, left = (CELL_HEIGHT - height) // 2, (CELL_WIDTH - width) // 2
    cell[top : top + height, left : left + width] = shown
    return cell


def _annotate(image: Image, frame: FrameRecord, classes: Sequence[str]) -> Image:
    height, width = image.shape[:2]
    stretch = np.array([width / frame.width, height / frame.height] * 2)
    found = sv.Detections(
        xyxy=np.array([each.box for each in frame.annotations]) * stretch,
        class_id=np.array([each.category_id for each in frame.annotations]),
        mask=np.stack([_small_mask(each, frame, (width, height)) for each in frame.annotations]),
    )
    labels = [_label(each, classes) for each in frame.annotations]
    image = sv.MaskAnnotator(_COLORS, opacity=0.45).annotate(image, found)
    image = sv.BoxAnnotator(_COLORS, thickness=2).annotate(image, found)
    black = sv.ColorPalette([sv.Color.BLACK])
    return Labels(_COLORS, black, scale=0.4, padding=3).annotate(image, found, labels)


def _small_mask(
    annotation: Annotation, frame: FrameRecord, size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """The mask at the size (width, height) it is shown in; empty where there is none."""
    try:
        mask = read_mask(annotation, frame.height, frame.width)
    except FaimError:
        return np.zeros(size[::-1], bool)
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def _label(annotation: Annotation, classes: Sequence[str]) -> str:
    track = f" #{annotation.instance_id}" if annotation.instance_id >= 0 else ""
    return classes[annotation.category_id] + track
