"""Images of every kind reach a detector as a person sees them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from runtime_helpers import FakeModel

from faim.cli import main
from faim.runtime.pipeline import Detector
from faim.runtime.sources import open_source

#: What all of them show: a wide picture, red on the left and dark blue on the right; BGR.
RED, BLUE = (0, 0, 240), (120, 0, 0)


def picture() -> np.ndarray:
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, :48], image[:, 48:] = RED, BLUE
    return image


def pillow() -> Image.Image:
    return Image.fromarray(picture()[..., ::-1])


def turned(path: Path) -> None:
    stored = Image.fromarray(np.rot90(picture()[..., ::-1]).copy())  # a quarter to the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    stored.save(path, exif=exif, quality=95)


def mirrored(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 2
    Image.fromarray(picture()[:, ::-1, ::-1].copy()).save(path, exif=exif)


def deep(path: Path) -> None:
    cv2.imwrite(str(path), picture().astype(np.uint16) * 257)


def deep_with_alpha(path: Path) -> None:
    alpha = np.full((48, 96, 1), 30_000, np.uint16)
    cv2.imwrite(str(path), np.concatenate([picture().astype(np.uint16) * 257, alpha], -1))


def inks(path: Path) -> None:
    pillow().convert("CMYK").save(path, quality=95)


def palette_with_alpha(path: Path) -> None:
    quantized = pillow().quantize(4)
    quantized.save(path, transparency=bytes([255, 40, 0, 255]))


def one_colour_is_clear(path: Path) -> None:
    pillow().quantize(4).save(path, transparency=0)


def with_alpha(path: Path) -> None:
    shown = pillow().convert("RGBA")
    shown.putalpha(90)
    shown.save(path)


KINDS: dict[str, Any] = {
    "turned.jpg": turned,
    "mirrored.png": mirrored,
    "deep.png": deep,
    "deep.tif": deep,
    "deep_alpha.png": deep_with_alpha,
    "inks.jpg": inks,
    "inks.tif": lambda path: pillow().convert("CMYK").save(path),
    "palette.png": palette_with_alpha,
    "palette.gif": one_colour_is_clear,
    "palette.webp": with_alpha,
    "alpha.png": with_alpha,
    "ycc.jpg": lambda path: pillow().convert("YCbCr").save(path, quality=95),
}


@pytest.mark.parametrize("name", KINDS)
def test_they_look_as_they_are_meant(tmp_path: Path, name: str) -> None:
    KINDS[name](tmp_path / name)
    [frame] = open_source(tmp_path / name)
    assert frame.image.shape == (48, 96, 3)
    for column, colour in ((20, RED), (76, BLUE)):
        seen = frame.image[24, column].astype(int)
        assert np.abs(seen - colour).max() <= 12, (name, seen)


def test_through_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes as seen, and scores by brightness: nothing is dark for its depth."""
    model = FakeModel()
    monkeypatch.setattr(
        "faim.runtime.predict.load_grouped",
        lambda *_args, **_rest: Detector(model, score_threshold=0.0),  # type: ignore[arg-type]
    )
    kinds = ["turned.jpg", "deep.png", "inks.jpg", "palette.png", "alpha.png"]
    found = {}
    for name in kinds:
        KINDS[name](tmp_path / name)
        out = tmp_path / f"{name}.jsonl"
        assert main(["predict", str(tmp_path / name), "--weights", "w", "--jsonl", str(out)]) == 0
        found[name] = json.loads(out.read_text())
    assert {(row["width"], row["height"]) for row in found.values()} == {(96, 48)}
    scores = [row["detections"][0]["score"] for row in found.values()]
    assert scores == pytest.approx([scores[1]] * 5, abs=0.01)
