from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from faim.stream.scene_cut import SIZE, THRESHOLD, dissimilarity, is_scene_cut, thumbnail


def scene(hue: int, seed: int, height: int = 180, width: int = 320) -> np.ndarray:
    """Smooth clouds around one hue (0 to 179)."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    clouds = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), height / 9), None, 0, 1, cv2.NORM_MINMAX)
    hsv = np.empty((height, width, 3), np.uint8)
    hsv[..., 0] = (hue + 20 * clouds[..., 0]).astype(int) % 180
    hsv[..., 1] = 120 + 100 * clouds[..., 1]
    hsv[..., 2] = 60 + 120 * clouds[..., 2]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7681), (7681, 3), (36, 64), (1080, 1920)])
def test_thumbnail_of_any_size(shape: tuple[int, int]) -> None:
    small = thumbnail(np.full((*shape, 3), (10, 120, 240), np.uint8))
    assert small.shape == (*SIZE[::-1], 3)
    assert small.dtype == np.uint8
    assert (small == (10, 120, 240)).all()


def test_first_frame_is_no_cut() -> None:
    assert not is_scene_cut(None, thumbnail(scene(20, 0)))


def test_another_scene_is_a_cut_and_another_size_is_none() -> None:
    first, other = scene(20, 0), scene(100, 1)
    assert is_scene_cut(thumbnail(first), thumbnail(other))
    for size in ((854, 480), (213, 120), (640, 480)):
        resized = cv2.resize(first, size, interpolation=cv2.INTER_AREA)
        assert dissimilarity(thumbnail(first), thumbnail(resized)) < THRESHOLD / 2
        assert is_scene_cut(thumbnail(resized), thumbnail(other))


def test_histogram_distance_in_closed_form() -> None:
    red = np.full((36, 64, 3), (0, 0, 200), np.uint8)
    half = red.copy()
    half[:, :32] = (200, 0, 0)
    # Half of every band overlaps. Equal pixels correlate by 1, red and blue ones by -0.5.
    expected = np.sqrt(1 - np.sqrt(0.5)) + 0.2 * (1 - 0.25)
    assert dissimilarity(red, half) == pytest.approx(expected, abs=1e-6)
    blue = np.full((36, 64, 3), (200, 0, 0), np.uint8)
    assert dissimilarity(red, blue) == pytest.approx(1 + 0.2 * 1.5)
    # The same colours at other places: the halves change sides.
    assert dissimilarity(half, half[:, ::-1].copy()) == pytest.approx(0.2 * 1.5, abs=1e-3)


@pytest.mark.parametrize("gain", [0.8, 1.2])
def test_exposure_is_no_cut(gain: float) -> None:
    image = scene(60, 2)
    other = cv2.convertScaleAbs(image, alpha=gain)
    assert not is_scene_cut(thumbnail(image), thumbnail(other))


def test_grey_frames_are_compared_by_what_they_show() -> None:
    first, other = grey(scene(20, 0)), grey(255 - scene(20, 0))
    assert is_scene_cut(thumbnail(first), thumbnail(other))
    assert not is_scene_cut(thumbnail(first), thumbnail(cv2.convertScaleAbs(first, alpha=0.8)))
    # A flat frame shows nothing, whatever its brightness, and is unlike one that shows something.
    flat = np.zeros_like(first)
    assert not is_scene_cut(thumbnail(flat), thumbnail(flat + 200))
    assert is_scene_cut(thumbnail(flat), thumbnail(first))


def test_grey_frames_of_one_layout_and_other_brightness() -> None:
    """Both are bright above and dark below, which the stamps alone take for the same."""
    ramp = np.linspace(1.0, 0.0, 180, dtype=np.float32)[:, None]
    clouds = cv2.cvtColor(scene(20, 3), cv2.COLOR_BGR2GRAY) / 255.0
    sky, street = 0.75 * ramp + 0.25 * clouds, ramp**4 + 0.1 * clouds[:, ::-1]
    frames = [thumbnail(cv2.merge([(220 * grey).astype(np.uint8)] * 3)) for grey in (sky, street)]
    assert is_scene_cut(*frames)
    moved = thumbnail(cv2.merge([(220 * np.roll(sky, 12, axis=1)).astype(np.uint8)] * 3))
    assert not is_scene_cut(frames[0], moved)


@settings(max_examples=60, deadline=None)
@given(npst.arrays(np.uint8, (2, 36, 64, 3), elements=st.integers(0, 255)))
def test_dissimilarity_is_symmetric_and_bounded(pair: np.ndarray) -> None:
    first, second = pair
    value = dissimilarity(first, second)
    assert 0 <= value <= 1.62 + 1e-6
    assert value == pytest.approx(dissimilarity(second, first), abs=1e-6)
    assert dissimilarity(first, first) < 2e-3


def ends(sequence: Path, frames: int, colour: bool) -> list[np.ndarray]:
    """Thumbnails of the first `frames` frames, and of the last."""
    files = sorted(sequence.glob("*.jpg"))
    images = [cv2.imread(str(path)) for path in (*files[:frames], files[-1])]
    return [thumbnail(image if colour else grey(image)) for image in images]


@pytest.mark.parametrize(("colour", "missed"), [(True, 0), (False, 2)])
def test_cuts_of_real_video(shared: Path, colour: bool, missed: int) -> None:
    """The training sequences' joins; DAVIS' own 14 are left to the benchmark."""
    folder = shared / "data/davis_train/JPEGImages/360p"
    sequences = [ends(path, 6, colour) for path in sorted(folder.iterdir())]
    within = [
        is_scene_cut(first, second)
        for *frames, _ in sequences
        for first, second in pairwise(frames)
    ]
    joins = [
        is_scene_cut(one[-1], other[0])
        for one in sequences
        for other in sequences
        if one is not other
    ]
    assert (len(within), sum(within)) == (150, 0)
    assert (len(joins), sum(joins)) == (870, 870 - missed)
