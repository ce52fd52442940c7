"""Key proposals and their top references, drawn (FAIM, Fig. I)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from attention_keys import Key
from attention_references import BACKGROUND, KINDS, OTHER_CLASS, PART, SAME, SAME_CLASS, View

from faim.data.coco_vid import read_frame
from faim.data.contact_sheet import Image

CELL, MARGIN, LINE = 132, 8, 22
KEY_WIDTH = 400
#: Context around a box: the crop's side to the box's longer one.
CONTEXT = 1.7
#: Side of an object too small to be looked at, to the frame's (square roots of areas).
SMALL = 0.1
Color = tuple[int, int, int]
_FONT, _LETTERS = cv2.FONT_HERSHEY_SIMPLEX, 0.45
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
_LEGEND = {
    SAME: "the same object",
    SAME_CLASS: "another of its class",
    OTHER_CLASS: "of another class",
    PART: "part of an object",
    BACKGROUND: "background",
}


@dataclass(frozen=True)
class Block:
    """A key object, and what each model, by its name, takes for it."""

    key: Key
    views: Mapping[str, View]


def pick_blocks(blocks: Sequence[Block], count: int, seed: int) -> list[Block]:
    """At most `count`, of different videos, by chance; small objects where there are no others."""
    shuffled = list(blocks)
    random.Random(seed).shuffle(shuffled)
    shuffled.sort(key=lambda block: _is_small(block.key))
    of_videos: dict[int, Block] = {}
    for block in shuffled:
        of_videos.setdefault(block.key.video.video_id, block)
    return list(of_videos.values())[:count]


def draw_sheet(blocks: Sequence[Block], classes: Sequence[str], references: int) -> Image:
    """One block below the other, a legend above: (h, w, 3) uint8 BGR.

    Raises:
        FaimError: an image cannot be read.
    """
    width = KEY_WIDTH + references * (CELL + MARGIN) + 3 * MARGIN
    parts = [_legend(width), *(_draw_block(block, classes, width) for block in blocks)]
    return np.vstack(parts)


def crop(image: Image, box: Sequence[float], color: Color) -> Image:
    """A square around a box, with the box in it: (CELL, CELL, 3); grey beyond the image."""
    x1, y1, x2, y2 = box
    side = max(16, round(CONTEXT * max(x2 - x1, y2 - y1)))
    left, top = round((x1 + x2 - side) / 2), round((y1 + y2 - side) / 2)
    height, width = image.shape[:2]
    beyond = (-top, top + side - height, -left, left + side - width)
    inside = image[max(0, top) : top + side, max(0, left) : left + side]
    border = [max(0, pixels) for pixels in beyond]
    cut = cv2.copyMakeBorder(inside, *border, cv2.BORDER_CONSTANT, value=_BEYOND)
    shrinks = cv2.INTER_AREA if side > CELL else cv2.INTER_LINEAR
    cut = cv2.resize(cut, (CELL, CELL), interpolation=shrinks)
    scale = CELL / side
    return _draw_box(cut, [(x1 - left) * scale, (y1 - top) * scale,
                           (x2 - left) * scale, (y2 - top) * scale], color)  # fmt: skip


def _draw_box(image: Image, box: Sequence[float], color: Color) -> Image:
    left, top, right, bottom = (round(value) for value in box)
    cv2.rectangle(image, (left, top), (right, bottom), color, 2, cv2.LINE_AA)
    return image


def _legend(width: int) -> Image:
    bar = _empty(2 * LINE + MARGIN, width)
    _write(bar, (MARGIN, 16), "Left: a key proposal. Right: the proposals of other frames that it "
           "takes most from, largest weight first.")  # fmt: skip
    left = MARGIN
    for kind in range(len(KINDS)):
        cv2.rectangle(bar, (left, 26), (left + 14, 40), COLORS[kind], -1)
        _write(bar, (left + 20, 38), _LEGEND[kind])
        left += 20 + _width(_LEGEND[kind]) + 24
    return bar


def _draw_block(block: Block, classes: Sequence[str], width: int) -> Image:
    """The key frame on the left, a row of references a model on the right."""
    key = block.key
    row = LINE + CELL + LINE
    height = len(block.views) * row
    canvas = _empty(LINE + height + 2 * MARGIN, width)
    canvas[: MARGIN // 2] = _RULE
    shown = (key.frame.degradation or "").replace("_", " ")
    title = f"{classes[key.annotation.category_id]} #{key.annotation.instance_id}"
    place = f"{key.video.name}, frame {key.frame.frame_id}"
    _write(canvas, (MARGIN, 20), "   ".join(filter(None, (title, shown, place))))
    image = read_frame(key.frame)
    top = LINE + MARGIN
    _paste(canvas, _key_frame(image, block, height), top, MARGIN)
    for name, view in block.views.items():
        _draw_row(canvas, top, name, view, key)
        top += row
    return canvas


def _key_frame(image: Image, block: Block, height: int) -> Image:
    """The frame with the key proposals, which are one where the models' base detector is."""
    scale = min(KEY_WIDTH / image.shape[1], height / image.shape[0])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for box in {view.box for view in block.views.values()}:
        small = _draw_box(small, [value * scale for value in box], _KEY)
    return small


def _draw_row(canvas: Image, top: int, name: str, view: View, key: Key) -> None:
    left = KEY_WIDTH + 2 * MARGIN
    right = sum(each.kind == SAME for each in view.top)
    _write(canvas, (left, top + 15), f"{name}: {right} of {len(view.top)} show the same object")
    for each in view.top:
        frame = key.video.frames[each.place]
        cell = crop(read_frame(frame), each.box, COLORS[each.kind])
        _paste(canvas, cell, top + LINE, left)
        cv2.rectangle(canvas, (left, top + LINE + CELL - 4), (left + CELL - 1, top + LINE + CELL),
                      COLORS[each.kind], -1)  # fmt: skip
        text = f"{100 * each.weight:.2f}%  frame {frame.frame_id}"
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
    shown = text.encode("ascii", "replace").decode()  # OpenCV's letters are ASCII
    cv2.putText(canvas, shown, origin, _FONT, _LETTERS, color, 1, cv2.LINE_AA)


def _width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, _LETTERS, 1)
    return int(width)
