"""What Python programs have in their hands, given to a detector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from live_helpers import recorded_warnings
from PIL import Image as Pillow
from runtime_helpers import FakeModel, flat_frames, write_lossless, write_video

from faim.errors import FaimError
from faim.runtime.pipeline import Detector
from faim.runtime.sources import open_source
from faim.stream.frames import Frame

LEVELS = (51, 102, 153, 204, 255, 0, 51)
MODES = ("stream", "frame", "global")
#: (h, w, 3) uint8 BGR, every sample another.
BGR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
RGB = np.ascontiguousarray(BGR[..., ::-1])
ALPHA = np.full((4, 6, 1), 9, np.uint8)
CHANNELS_FIRST = torch.from_numpy(RGB).permute(2, 0, 1)


def only(source: Any, **options: Any) -> Frame:
    with open_source(source, **options) as opened:
        [frame] = opened
    return frame


@pytest.mark.parametrize(
    ("given", "order"),
    [
        (BGR, None),
        (BGR, "bgr"),
        (RGB, "rgb"),
        (BGR[..., ::-1], "rgb"),
        (np.concatenate([BGR, ALPHA], 2), None),
        (np.concatenate([RGB, ALPHA], 2), "rgb"),
        ([BGR], None),
        (BGR[None], None),
        (Pillow.fromarray(RGB), None),
        (Pillow.fromarray(RGB), "bgr"),  # it knows its own
        ([Pillow.fromarray(np.concatenate([RGB, ALPHA], 2))], None),
        (CHANNELS_FIRST, None),
        (CHANNELS_FIRST, "rgb"),
        (CHANNELS_FIRST.flip(0), "bgr"),
        (CHANNELS_FIRST / 255, None),
        ((CHANNELS_FIRST / 255).half(), None),
        ((CHANNELS_FIRST / 255).requires_grad_(), None),
        (CHANNELS_FIRST[None], None),
        ((CHANNELS_FIRST / 255)[None], None),
        ((image for image in [BGR]), None),
        (iter([(0.0, RGB)]), "rgb"),
        ([(0.0, CHANNELS_FIRST)], None),
    ],
)
def test_the_same_pixels_from_everything(given: Any, order: Any) -> None:
    frame = only(given, channel_order=order)
    np.testing.assert_array_equal(frame.image, BGR)
    assert (frame.image.dtype, frame.index, frame.time) == (np.uint8, 0, 0.0)


@pytest.mark.parametrize(
    "given",
    [
        BGR[..., 0],
        BGR[..., :1],
        Pillow.fromarray(BGR[..., 0]),
        torch.from_numpy(BGR[..., 0])[None],
        torch.from_numpy(BGR[..., 0])[None] / 255,
    ],
)
def test_grey_is_spread_over_the_channels(given: Any) -> None:
    np.testing.assert_array_equal(only(given).image, np.repeat(BGR[..., :1], 3, 2))


def test_pil_images_are_upright_and_of_any_mode() -> None:
    turned = Pillow.fromarray(RGB)
    turned.getexif()[0x0112] = 6  # to be shown turned by a quarter
    np.testing.assert_array_equal(only(turned).image, np.rot90(BGR, -1))
    palette = Pillow.new("P", (6, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert only(palette).image[0, 0].tolist() == [30, 20, 10]
    assert only(Pillow.new("CMYK", (6, 4), (255, 0, 0, 0))).image[0, 0].tolist() == [255, 255, 0]
    deep = Pillow.fromarray(np.full((4, 6), 0x1234, np.uint16))
    assert only(deep).image[0, 0].tolist() == [0x12] * 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (np.zeros((4, 6, 3)), "frame 0: got a float64 array of shape (4, 6, 3); expected uint8"),
        ([BGR, BGR[..., :2]], "frame 1: got a uint8 array of shape (4, 6, 2)"),
        (np.zeros((3, 4, 6), np.uint8), "frame 0: got a uint8 array of shape (3, 4, 6)"),
        (np.zeros(5, np.uint8), "frame 0: got a uint8 array of shape (5,)"),
        (np.zeros((0, 6, 3), np.uint8), "frame 0: got a uint8 array of shape (0, 6, 3)"),
        (np.zeros((2, 2, 4, 6, 3), np.uint8), "frame 0: got a uint8 array of shape (2, 2,"),
        (torch.zeros(5, 6, 3), "frame 0: got a torch.float32 tensor of shape (5, 6, 3)"),
        (torch.zeros(3, 4, 6).long(), "frame 0: got a torch.int64 tensor of shape (3, 4, 6)"),
        (torch.full((3, 4, 6), 255.0), "from 255 to 255; expected floats in [0, 1], or uint8"),
        (torch.full((3, 4, 6), torch.nan), "from nan to nan; expected floats in [0, 1]"),
        (Pillow.new("F", (6, 4)), "frame 0: the PIL image of mode F cannot be used"),
        ([BGR, None], "frame 1: got NoneType; expected a uint8 (h, w, 3) array"),
        ([BGR, "a.png"], "frame 1: got str; expected a uint8 (h, w, 3) array"),
        ((1.0, BGR), "frame 0: got float; expected"),
        (iter([BGR, 7]), "frame 1: got int; expected a uint8 (h, w, 3) array"),
        ([(1.0, BGR), (0.5, BGR)], "frame 1: its time is 0.5 s, after 1 s of the one before"),
        (iter([(float("nan"), BGR)]), "frame 0: its time is nan s"),
        (["a.png", "b.mp4"], "frame 1: b.mp4 stands in a list of image files"),
        (cv2.VideoCapture(), "cv2.VideoCapture: is not open; expected one whose isOpened()"),
        ({"a.png": 1}, "source: got dict; expected a path"),
        ({"a.png"}, "source: got set; expected a path"),
        (b"a.png", "source: got bytes; expected a path"),
        (None, "source: got NoneType; expected a path"),
        (1.5, "source: got float; expected a path"),
    ],
)
def test_what_is_no_picture_is_one_sentence(detector: Detector, given: Any, sentence: str) -> None:
    with pytest.raises(FaimError) as error:
        list(detector.stream(given))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_channel_order_is_one_sentence(detector: Detector) -> None:
    for given in (BGR, "video.mp4", iter([BGR])):
        with pytest.raises(FaimError, match="channel_order: 'rbg' given; expected bgr or rgb"):
            detector.stream(given, channel_order="rbg")  # type: ignore[arg-type]


def scores(results: Any) -> list[float]:
    return [round(float(result.confidence[0]), 6) for result in results]


@pytest.mark.parametrize("mode", MODES)
def test_a_generator_gives_what_a_list_gives(mode: Any) -> None:
    frames = flat_frames(*LEVELS)

    def found(source: Any, images: bool) -> list[Any]:
        made = Detector(FakeModel(), score_threshold=0.0)
        return list(made.stream(source, mode, images=images))

    expected = scores(found(frames, True))
    assert scores(found(iter(frames), False)) == expected
    given = found((frame for frame in frames), True)
    assert scores(given) == expected
    assert [result.image[0, 0, 0] for result in given] == list(LEVELS)


def test_a_generator_is_asked_for_a_frame_when_it_is_needed(detector: Detector) -> None:
    given: list[int] = []

    def frames() -> Iterator[Any]:
        for place, image in enumerate(flat_frames(*LEVELS)):
            given.append(place)
            yield 10 + place / 2, image

    pictures = frames()
    for result in detector.stream(pictures):
        assert given[-1] == result.index
        assert result.time == 10 + result.index / 2
        if result.index == 2:
            break
    assert given == [0, 1, 2]
    assert next(pictures)[0] == 11.5  # what is left is still the program's
    assert [result.time for result in detector.predict(pictures)] == [12, 12.5, 13]


def test_what_a_generator_raises_comes_out(detector: Detector) -> None:
    def frames() -> Iterator[Any]:
        yield BGR
        raise KeyError("camera")

    results = detector.stream(frames())
    assert next(results).index == 0
    with pytest.raises(KeyError, match="camera"):
        next(results)


def test_repp_works_on_a_generator() -> None:
    made = Detector(FakeModel(), score_threshold=0.0, post="repp")
    frames = flat_frames(255, 51, 153)
    assert scores(made.predict(iter(frames), "frame")) == pytest.approx([0.6] * 3, abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_an_open_capture(tmp_path: Path, mode: Any) -> None:
    path = write_lossless(tmp_path / "a.mkv", flat_frames(*LEVELS))
    expected = Detector(FakeModel(), score_threshold=0.0).predict(path, mode)
    capture = cv2.VideoCapture(str(path))
    made = Detector(FakeModel(), score_threshold=0.0)
    found = list(made.stream(capture, mode))
    assert scores(found) == scores(expected)
    assert [result.time for result in found] == pytest.approx([i / 25 for i in range(7)], abs=2e-3)
    assert [result.image[0, 0, 0] for result in found] == list(LEVELS)
    assert capture.isOpened()  # it is the program's to release


def test_a_capture_of_variable_rate_keeps_its_times(tmp_path: Path, detector: Detector) -> None:
    path = write_video(tmp_path / "a.mp4", flat_frames(1, 2, 3, 4), ticks=[0, 10, 15, 95])
    found = detector.predict(cv2.VideoCapture(str(path)), "stream")
    assert [result.time for result in found] == pytest.approx([0.0, 0.1, 0.15, 0.95])


def test_a_capture_without_an_end_is_a_camera(tmp_path: Path, detector: Detector) -> None:
    """As is one of a file that does not say how long it is."""
    path = write_video(tmp_path / "a.h264", flat_frames(1, 2, 3, 4))
    with pytest.raises(FaimError, match="a live source has no end, so mode global"):
        detector.predict(cv2.VideoCapture(str(path)))
    found = detector.predict(cv2.VideoCapture(str(path)), "stream")
    times = [result.time for result in found]
    assert len(times) == 4
    assert times[0] == pytest.approx(0, abs=1e-3)
    assert sorted(times) == times
    assert times[-1] != pytest.approx(3 / 25)  # of its arrival


@pytest.mark.parametrize("generated", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_a_broken_image_does_not_shift_those_after_it(
    tmp_path: Path, detector: Detector, mode: Any, generated: bool
) -> None:
    paths = [tmp_path / f"{name}.png" for name in "cab"]
    for path, frame in zip(paths, flat_frames(10, 20, 30), strict=True):
        cv2.imwrite(str(path), frame)
    paths[1].write_bytes(b"not a png")
    source: Any = (path for path in paths) if generated else paths
    with recorded_warnings() as warnings:
        found = detector.predict(source, mode, images=True)
    assert [(result.index, result.time) for result in found] == [(0, 0.0), (2, 0.08)]
    assert [Path(str(result.file)).name for result in found] == ["c.png", "b.png"]
    assert [result.image[0, 0, 0] for result in found] == [10, 30]
    assert any(
        "a.png: cannot be decoded" in text and "frame 1 is left" in text for text in warnings
    )


def test_a_generator_of_broken_images_is_an_error(tmp_path: Path, detector: Detector) -> None:
    with (
        recorded_warnings(),
        pytest.raises(FaimError, match="none of its 2 images can be read"),
    ):
        detector.predict(iter([tmp_path / "a.png", tmp_path / "b.png"]))
