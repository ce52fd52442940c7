"""Which frames are looked at: stride, start and end, with the numbers and times of the source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from grouped import make_detector
from live_helpers import recorded_warnings
from runtime_helpers import FakeModel, flat_frames, write_video

from faim.errors import FaimError
from faim.runtime import images as images_module
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.excerpt import Excerpt, Span, parse_seconds
from faim.runtime.many import stream_many
from faim.runtime.pipeline import Detector
from faim.runtime.sources import ArraySource, open_source
from faim.stream.frames import Frame

MODES = ("stream", "frame", "global")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """30 frames of 25 a second, most of them B-frames."""
    path = write_video(tmp_path / "in.mp4", flat_frames(*range(0, 240, 8)))
    with av.open(str(path)) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert kinds.count(av.video.frame.PictureType.B) > 10
    return path


def numbers_and_times(frames: Any) -> list[tuple[int, float]]:
    return [(frame.index, round(frame.time, 6)) for frame in frames]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((), list(range(30))),
        ((7,), [0, 7, 14, 21, 28]),
        ((1, 1), [25, 26, 27, 28, 29]),
        # A frame of just the start is in, one of just the end is out.
        ((1, 0.2, 0.32), [5, 6, 7]),
        ((2, "0:00:00.2", "0:00.4"), [5, 7, 9]),
        ((3, 0.21, None), [6, 9, 12, 15, 18, 21, 24, 27]),
        ((1, 0, 0.04), [0]),
        ((100, 0.5, None), [13]),
    ],
)
@pytest.mark.parametrize("kind", ["video", "folder", "arrays"])
def test_the_same_frames_of_everything(
    tmp_path: Path, video: Path, kind: str, span: tuple[Any, ...], expected: list[int]
) -> None:
    full: list[Frame] = list(open_source(video))
    source: Any = video
    if kind == "folder":
        for frame in full:
            cv2.imwrite(str(tmp_path / f"{frame.index}.png"), frame.image)
        source = tmp_path
    elif kind == "arrays":
        source = [frame.image for frame in full]
    excerpt = Span.parse(*span).of(open_source(source))
    for _ in range(2):  # global mode reads it twice
        found = list(excerpt)
        assert numbers_and_times(found) == [(k, round(k / 25, 6)) for k in expected]
        for frame in found:
            np.testing.assert_array_equal(frame.image, full[frame.index].image)
    assert excerpt.frame_count == len(expected)
    assert excerpt.fps == 25 / (span[0] if span else 1)


def test_a_variable_frame_rate_and_the_gap_of_a_lost_image(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", flat_frames(*range(6)), ticks=[0, 10, 15, 95, 96, 130])
    excerpt = Span.parse(2, 0.1, 1.3).of(open_source(path))
    assert numbers_and_times(excerpt) == [(1, 0.1), (3, 0.95)]
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, image in enumerate(flat_frames(*range(9))):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    for lost in (1, 4):
        (folder / f"{lost}.png").write_bytes(b"no image")
    excerpt = Span.parse(2).of(open_source(folder))
    with recorded_warnings() as warnings:
        assert numbers_and_times(excerpt) == [(0, 0), (2, 0.08), (6, 0.24), (8, 0.32)]
    assert DecodeAhead(excerpt).unread == excerpt.unread == 1  # nobody asked for number 1
    assert warnings[-1].endswith("1 of 5 images could not be read")


def test_what_nobody_looks_at_is_not_made_into_pixels(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    from faim.runtime.video import VideoReader

    to_image = VideoReader.to_image
    monkeypatch.setattr(
        VideoReader, "to_image", lambda self, picture: made.append(1) or to_image(self, picture)
    )
    assert len(list(Span.parse(10, 0.4).of(open_source(video)))) == len(made) == 2
    read_image = images_module.read_image
    monkeypatch.setattr(
        images_module, "read_image", lambda path: made.append(path.name) or read_image(path)
    )
    for number, image in enumerate(flat_frames(*range(9))):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    made.clear()
    list(Span.parse(3, 0.04, 0.3).of(open_source(tmp_path)))
    assert made == ["1.png", "4.png", "7.png"]


@pytest.mark.parametrize("mode", MODES)
def test_a_detector_in_every_mode(video: Path, mode: Any) -> None:
    detector = make_detector(FakeModel(), score_threshold=0.0, bank_policy="recent")
    results = list(detector.stream(video, mode, stride=4, start=0.2, end="0:01", limit=3))
    assert numbers_and_times(result.frame for result in results) == [
        (5, 0.2),
        (9, 0.36),
        (13, 0.52),
    ]
    images = [frame.image for frame in open_source(video)]
    alone = detector.predict([images[k] for k in (5, 9, 13)], mode)
    again = detector.predict(video, mode, stride=4, start=0.2, limit=3)
    for result, same, one in zip(results, again, alone, strict=True):
        np.testing.assert_array_equal(result.frame.image, images[result.frame.index])
        np.testing.assert_array_equal(result.detections.confidence, one.confidence)
        np.testing.assert_array_equal(same.confidence, one.confidence)


def test_several_sources_at_once(video: Path) -> None:
    detector = Detector(FakeModel(), score_threshold=0.0)
    span = Span.parse(5, 0.1)
    sources = [span.of(open_source(video)), span.of(ArraySource(flat_frames(*range(12)), fps=10))]
    found: dict[int, list[Frame]] = {0: [], 1: []}
    for number, result in stream_many(detector, sources, limit=3):
        found[number].append(result.frame)
    assert numbers_and_times(found[0]) == [(3, 0.12), (8, 0.32), (13, 0.52)]
    assert numbers_and_times(found[1]) == [(1, 0.1), (6, 0.6), (11, 1.1)]


class Camera(ArraySource):
    """Live, and told when it is closed."""

    live = realtime = True
    closed = False

    def __iter__(self) -> Iterator[Frame]:
        yield from super().__iter__()

    def close(self) -> None:
        self.closed = True


def test_a_camera_has_strides_but_no_beginning() -> None:
    ahead = DecodeAhead(Excerpt(Camera(flat_frames(*range(10))), Span.parse(3)), depth=9)
    assert numbers_and_times(ahead) == [(0, 0), (3, 0.12), (6, 0.24), (9, 0.36)]
    detector = Detector(FakeModel())
    for wrong in ({"start": 1}, {"end": "0:05"}):
        [name] = wrong
        with pytest.raises(FaimError, match=f"^{name}: given with 10 arrays, which is live"):
            detector.stream(Camera(flat_frames(*range(10))), **wrong)
    assert len(detector.predict(Camera(flat_frames(*range(10))), "stream", start=0)) == 10


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90.0),
        (np.float32(1.5), 1.5),
        ("90", 90.0),
        (" .5 ", 0.5),
        ("1:30", 90.0),
        ("90:00", 5400.0),
        ("1:02:03.25", 3723.25),
        ("00:00:07.", 7.0),
    ],
)
def test_times(given: Any, seconds: float) -> None:
    assert parse_seconds("start", given) == seconds


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"stride": 0}, "stride: 0 given; expected a whole number from 1 on"),
        ({"stride": 1.5}, "stride: 1.5 given"),
        ({"stride": True}, "stride: True given"),
        ({"start": "1:75"}, "start: '1:75' given; expected seconds from 0 on, as in 90"),
        ({"start": "1:60:00"}, "start: '1:60:00' given"),
        ({"start": "soon"}, "start: 'soon' given"),
        ({"start": ""}, "start: '' given"),
        ({"start": -1}, "start: -1 given"),
        ({"end": float("nan")}, "end: nan given"),
        ({"end": "1e400"}, "end: '1e400' given"),
        ({"end": 10**400}, "end: 1000"),
        ({"end": 0}, "end: 0 s given with start 0 s; expected an end after the start"),
        ({"start": "0:05", "end": 3}, "end: 3 s given with start 5 s; expected an end after the"),
        ({"start": 1.2}, "in.mp4: has no frame from 1.2 s on; expected a start and an end within"),
        ({"start": 0.05, "end": 0.07}, "has no frame from 0.05 s on and before 0.07 s"),
        ({"limit": 0}, "limit: 0 given; expected 1 or more frames"),
        ({"limit": "3"}, "limit: '3' given"),
    ],
)
def test_one_sentence(video: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence.replace(".", r"\.")):
        Detector(FakeModel()).predict(video, "stream", **given)
