"""Colours, labels and paths on frames."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
from writer_helpers import Row, result

from faim.errors import FaimError
from faim.pictures.palette import distinct_colors, readable_on
from faim.runtime.drawing import Annotator, DrawStyle
from faim.runtime.sinks import Drawing, LineSink

BOX: Row = (1, 0, 0.9, (10, 20, 50, 60))


def drawn(*rows: Row, tracks: bool = True, **style: Any) -> np.ndarray:
    image = np.full((100, 140, 3), 90, np.uint8)
    given = result(0, rows, tracks=tracks, image=image)
    return Annotator(DrawStyle(**style)).draw(image, given.detections)


def line(track: int, class_id: int, **style: Any) -> tuple[int, ...]:
    """Colour of the lower side of a box."""
    rows: list[Row] = [(track, class_id, 0.9, (10, 20, 50, 60))]
    return tuple(drawn(*rows, **style)[60, 30].tolist())


def test_any_two_of_the_first_colours_are_far_apart() -> None:
    """In CIELAB, which the palette was not made with; 20 is plainly another colour."""
    colors = np.array([color.as_rgb() for color in distinct_colors(80)], np.uint8)
    lab = cv2.cvtColor(colors[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e3 * np.eye(80)
    assert apart[:24, :24].min() > 20
    assert apart.min() > 7
    assert apart[0, 21] > 50  # COCO's person and bear


def test_letters_are_readable_on_every_colour() -> None:
    def luminance(color: sv.Color) -> float:
        parts = np.array(color.as_rgb()) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    for ground in distinct_colors(128):
        one, other = sorted((luminance(ground), luminance(readable_on(ground))))
        assert (other + 0.05) / (one + 0.05) > 4.5  # WCAG's bound for text


def test_a_track_keeps_its_colour_whatever_its_class() -> None:
    assert line(1, 0) == line(1, 1) != line(2, 0)
    assert line(1, 0) == tuple(distinct_colors(1)[0].as_bgr())
    assert len({line(track, 0) for track in range(1, 33)}) == 32
    assert line(-1, 0) == line(-1, 1) == (200, 200, 200)
    assert line(1, 0, color_by="class") == line(2, 0, color_by="class")
    assert line(1, 0, color_by="class") != line(1, 1, color_by="class")


def test_without_tracks_the_class_has_the_colour() -> None:
    one, other = (drawn((-1, n, 0.9, (10, 20, 50, 60)), tracks=False)[60, 30] for n in (0, 2))
    assert (one != other).any()
    grey = drawn((-1, 0, 0.9, (10, 20, 50, 60)), tracks=False, color_by="track")
    assert grey[60, 30].tolist() == [200, 200, 200]


def test_line_width_and_labels() -> None:
    def widths(image: np.ndarray) -> int:
        return int((image[30:, 30] != 90).any(axis=1).sum())

    assert widths(drawn(BOX, line_width=1)) == 1
    assert 7 <= widths(drawn(BOX, line_width=7)) <= 9  # OpenCV's corners are round
    assert (drawn(BOX, hide_labels=True)[:17] == 90).all()
    assert (drawn(BOX)[:17] != 90).any()


def test_labels_say_class_track_and_score(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[list[str]] = []
    monkeypatch.setattr(
        "faim.runtime.drawing.Labels.annotate",
        lambda self, image, detections, labels, numbers: said.append(labels) or image,
    )
    rows: list[Row] = [(7, 0, 0.912, (10, 20, 50, 60)), (-1, 1, 0.5, (60, 20, 90, 60))]
    drawn(*rows)
    drawn(*rows, hide_scores=True)
    drawn(*rows, hide_labels=True)
    drawn(*rows, tracks=False)
    assert said == [
        ["dog #7 0.91", "cat 0.50"],
        ["dog #7", "cat"],
        ["dog 0.91", "cat 0.50"],
    ]
    lines: list[str] = []
    LineSink(lines.append).write(result(0, rows))
    assert lines == ["frame     0      0.00 s  dog #7 0.91, cat 0.50"]


def test_a_trace_is_the_path_of_its_track() -> None:
    annotator = Annotator(DrawStyle(trace=True, hide_labels=True, line_width=1))
    image = np.full((100, 140, 3), 90, np.uint8)
    for index in range(40):
        rows: list[Row] = [(5, 0, 0.9, (index, 30, index + 20, 50)), (-1, 0, 0.5, (90, 60, 99, 69))]
        given = result(index, rows if index != 20 else [], tracks=index != 20, image=image)
        scene = annotator.draw(image, given.detections)
    colour = distinct_colors(5)[4].as_bgr()
    inside = [x for x in range(140) if tuple(scene[40, x].tolist()) == colour]
    # Centres of the last 30 frames, 10 to 39, and the two sides of the last box.
    assert inside == [*range(20, 50), 59]
    assert (scene[64, 91:98] == 90).all()


def test_frames_are_drawn_once_for_all_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = Drawing(DrawStyle(trace=True))
    one, other = result(0, [BOX]), result(1, [BOX])
    first = drawing.of(one)
    assert drawing.of(one) is first
    assert drawing.of(other) is not first


@pytest.mark.parametrize(
    ("style", "sentence"),
    [
        ({"line_width": 0}, "line_width: 0 given; expected a whole number from 1 to 100"),
        ({"line_width": 2.5}, "line_width: 2.5 given"),
        ({"color_by": "size"}, "color_by: 'size' given; expected class or track"),
    ],
)
def test_wrong_styles_are_one_sentence(style: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        DrawStyle(**style)
