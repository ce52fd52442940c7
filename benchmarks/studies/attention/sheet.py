"""Key proposals and their top references, drawn (FAIM, Fig. I)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from faim.data.coco_vid import read_frame
from faim.data.contact_sheet import Image
from faim.pictures.lettering import Color, put_text, text_size
from studies.attention.keys import Key
from studies.attention.references import (
    BACKGROUND,
    OTHER_CLASS,
    PART,
    SAME,
    SAME_CLASS,
    Box,
    View,
    Views,
    Weights,
)

CELL, MARGIN, LINE, HEADING = 132, 8, 22, 34
#: A model's name, crops, what is written below them, and a gap.
ROW = LINE + CELL + LINE + MARGIN
#: The widest that a key frame is shown, and what the legend takes.
KEY_WIDTH, LEAST_WIDTH = 480, 880
#: Context around a box: the crop's side to the box's longer one.
CONTEXT = 1.7
#: Side of an object too small to be looked at, to the frame's (square roots of areas).
SMALL = 0.1
_LETTERS = 0.45
_BEYOND, _RULE = (90, 90, 90), (70, 70, 70)
_BACKDROP, _TEXT, _DIM = (32, 32, 32), (235, 235, 235), (165, 165, 165)
_KEY = (77, 210, 255)
#: BGR by kind.
COLORS = {
    SAME: (90, 220, 60),
    SAME_CLASS: (60, 160, 255),
    OTHER_CLASS: (220, 90, 235),
    PART: (255, 200, 80),
    BACKGROUND: (70, 70, 255),
}
_MEANT: dict[Weights, str] = {
    "first": "first round",
    "class": "first round, class map alone",
    "instance": "first round, instance map alone",
    "second": "second round",
}
_LEGEND = {
    SAME: "the same object (IoU from 0.5)",
    SAME_CLASS: "another of its class",
    OTHER_CLASS: "of another class",
    PART: "part of an object (IoU 0.3 to 0.5)",
    BACKGROUND: "background (below 0.3)",
}


@dataclass(frozen=True)
class Block:
    """A key object, and what each model, by its name, takes for it."""

    key: Key
    views: Mapping[str, Views]

    @property
    def key_boxes(self) -> list[Box]:
        """The models' key proposals, those that are not the same to half a pixel."""
        found: list[Box] = []
        for views in self.views.values():
            box = views["first"].box
            if not any(np.allclose(box, known, rtol=0, atol=0.5) for known in found):
                found.append(box)
        return found


def pick_blocks(blocks: Sequence[Block], count: int, seed: int) -> list[Block]:
    """At most `count`, of different videos, by chance; small objects where there are no others."""
    shuffled = list(blocks)
    random.Random(seed).shuffle(shuffled)
    shuffled.sort(key=lambda block: _is_small(block.key))
    of_videos: dict[int, Block] = {}
    for block in shuffled:
        of_videos.setdefault(block.key.video.video_id, block)
    return list(of_videos.values())[:count]


def draw_sheet(
    blocks: Sequence[Block], classes: Sequence[str], weights: Weights, references: int
) -> Image:
    """One block below the other, a legend above: (h, w, 3) uint8 BGR.

    Args:
        blocks: at least one.
        classes: the dataset's.
        weights: those that order the references.
        references: places for them in a row.

    Raises:
        FaimError: an image cannot be read.
    """
    left = [_key_frame(block) for block in blocks]
    place = max(frame.shape[1] for frame in left) + 3 * MARGIN
    width = max(place + references * (CELL + MARGIN), LEAST_WIDTH)
    parts = [_legend(width, weights)]
    for block, frame in zip(blocks, left, strict=True):
        canvas = _empty(HEADING + frame.shape[0] + MARGIN, width)
        canvas[:4] = _RULE
        _write(canvas, (MARGIN, 21), _title(block.key, classes))
        _paste(canvas, frame, HEADING, MARGIN)
        for row, (name, views) in enumerate(block.views.items()):
            _draw_row(canvas, (HEADING + row * ROW, place), name, views[weights], block.key)
        parts.append(canvas)
    return np.vstack(parts)


def crop(image: Image, box: Sequence[float], color: Color) -> Image:
    """A square around a box, with the box in it: (CELL, CELL, 3); grey beyond the image."""
    x1, y1, x2, y2 = box
    side = max(16, round(CONTEXT * max(x2 - x1, y2 - y1)))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    height, width = image.shape[:2]
    inside = image[max(0, top) : top + side, max(0, left) : left + side]
    cut = cv2.copyMakeBorder(
        inside,
        max(0, -top),
        max(0, top + side - height),
        max(0, -left),
        max(0, left + side - width),
        cv2.BORDER_CONSTANT,
        value=_BEYOND,
    )
    shrinks = cv2.INTER_AREA if side > CELL else cv2.INTER_LINEAR
    cut = cv2.resize(cut, (CELL, CELL), interpolation=shrinks)
    scale = CELL / side
    corners = (x1 - left, y1 - top, x2 - left, y2 - top)
    _draw_box(cut, [value * scale for value in corners], color)
    return cut


def _draw_box(image: Image, box: Sequence[float], color: Color) -> None:
    left, top, right, bottom = (round(value) for value in box)
    cv2.rectangle(image, (left, top), (right, bottom), color, 2, cv2.LINE_AA)


def _legend(width: int, weights: Weights) -> Image:
    bar = _empty(52, width)
    title = (
        "Left: a key proposal. Right: the proposals of other frames that have the largest weight "
        f"in TICAM's {_MEANT[weights]}; largest first."
    )
    _write(bar, (MARGIN, 18), title)
    left = MARGIN
    for kind, color in COLORS.items():
        cv2.rectangle(bar, (left, 28), (left + 14, 42), color, -1)
        _write(bar, (left + 20, 40), _LEGEND[kind])
        left += 20 + _width(_LEGEND[kind]) + 24
    return bar


def _title(key: Key, classes: Sequence[str]) -> str:
    what = f"{classes[key.annotation.category_id]} #{key.annotation.instance_id}"
    if key.frame.degradation:
        what += f", {key.frame.degradation.replace('_', ' ')}"
    return f"{what}: {key.video.name}, frame {key.frame.frame_id}"


def _key_frame(block: Block) -> Image:
    """As high as the rows beside it, with the key proposals."""
    image, height = read_frame(block.key.frame), len(block.views) * ROW - MARGIN
    scale = min(KEY_WIDTH / image.shape[1], height / image.shape[0])
    shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=shrinks)
    small = cv2.copyMakeBorder(
        small, 0, height - small.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=_BACKDROP
    )
    for box in block.key_boxes:
        _draw_box(small, [value * scale for value in box], _KEY)
    return small


def _draw_row(canvas: Image, corner: tuple[int, int], name: str, view: View, key: Key) -> None:
    top, left = corner
    right = sum(each.kind == SAME for each in view.top)
    _write(canvas, (left, top + 14), f"{name}: {right} of {len(view.top)} show the same object")
    for each in view.top:
        frame = key.video.frames[each.place]
        cell = crop(read_frame(frame), each.box, COLORS[each.kind])
        cell[-4:] = COLORS[each.kind]
        _paste(canvas, cell, top + LINE, left)
        text = f"{100 * each.weight:.1f}%  frame {frame.frame_id}"
        _write(canvas, (left, top + LINE + CELL + 15), text, _DIM)
        left += CELL + MARGIN


def _is_small(key: Key) -> bool:
    x1, y1, x2, y2 = key.annotation.box
    return (x2 - x1) * (y2 - y1) < SMALL**2 * key.frame.width * key.frame.height


def _empty(height: int, width: int) -> Image:
    return np.full((height, width, 3), _BACKDROP, np.uint8)


def _paste(canvas: Image, image: Image, top: int, left: int) -> None:
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image


def _write(canvas: Image, origin: tuple[int, int], text: str, color: Color = _TEXT) -> None:
    put_text(canvas, text, origin, _LETTERS, color)


def _width(text: str) -> int:
    return text_size(text, _LETTERS)[0]
