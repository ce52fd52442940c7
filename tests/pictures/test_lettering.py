"""Text of any script on pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import supervision as sv

from faim.pictures import lettering as module
from faim.pictures.lettering import Labels, lettering, put_text, text_size


@pytest.fixture
def dejavu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without fonts."""
    monkeypatch.setattr(module, "_system_fonts", lambda: ())
    lettering.cache_clear()


@pytest.mark.parametrize("text", ["кошка", "γάτα", "Ñandú", "قطة", "გ", "naïve café"])
def test_scripts_that_need_no_other_font(text: str, dejavu_alone: None) -> None:
    drawn = lettering(text)
    assert drawn.text == text
    assert drawn.font is not None


def test_what_no_font_has_is_readable(dejavu_alone: None) -> None:
    assert lettering("кошка 猫").text == r"кошка \u732b"
    assert lettering("\U0001f9a9!").text == r"\U0001f9a9!"


def test_what_steers_is_never_drawn() -> None:
    assert lettering("a\x1b[2J\n\u202eb").text == r"a\x1b[2J\n\u202eb"
    assert len(lettering("x" * 5000).text) == 200


def test_ascii_is_drawn_by_opencv() -> None:
    assert lettering("dog 0.91").font is None
    assert text_size("dog", 0.5) == cv2.getTextSize("dog", 0, 0.5, 1)[0]


def test_letters_lie_where_their_size_says() -> None:
    image = np.zeros((60, 200, 3), np.uint8)
    width, height = text_size("кошка", 1.0)
    put_text(image, "кошка", (10, 40), 1.0, (10, 200, 30))
    rows, columns = np.nonzero(image.max(axis=2))
    assert 10 <= columns.min() < 14
    assert 10 + width - 3 <= columns.max() + 1 <= 10 + width
    assert 40 - height <= rows.min() < 30
    assert rows.max() < 42
    assert image.reshape(-1, 3).max(axis=0).tolist() == [10, 200, 30]


@pytest.mark.parametrize("origin", [(-50, 5), (190, 60), (400, 400), (5, -9)])
def test_what_lies_outside_is_cut_off(origin: tuple[int, int]) -> None:
    image = np.zeros((60, 200, 3), np.uint8)
    put_text(image, "длинное имя класса", origin, 1.0, (255, 255, 255))
    assert image.shape == (60, 200, 3)


def test_labels_of_any_script_do_not_cover_each_other() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    found = sv.Detections(
        xyxy=np.array([[20.0, 80, 90, 150]] * 3), class_id=np.array([0, 1, 2]),
    )  # fmt: skip
    ground = sv.ColorPalette([sv.Color(200, 0, 0), sv.Color(0, 200, 0), sv.Color(0, 0, 200)])
    letters = sv.ColorPalette([sv.Color.WHITE])
    labels = Labels(ground, letters, scale=0.5, padding=4)
    drawn = labels.annotate(image, found, ["кошка", "dog", "γάτα"])
    width, height = text_size("dog", 0.5)
    for colour in ([0, 0, 200], [0, 200, 0], [200, 0, 0]):
        assert (drawn == colour).all(axis=2).sum() > width * height
