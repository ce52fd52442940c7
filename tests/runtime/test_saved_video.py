"""A saved video looks as its source does; a place that takes nothing is told in one sentence."""

from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import supervision as sv

from faim.errors import FaimError
from faim.runtime.results import FrameResult
from faim.runtime.sources import open_source
from faim.runtime.video_sink import VideoSink
from faim.stream.frames import Frame, Look


def _result(index: int, image: Any, look: Look | None = None) -> Any:
    frame = Frame(index, index / 10, image, look or Look())
    return FrameResult(frame, sv.Detections.empty())


def _noise(count: int) -> list[Any]:
    g = np.random.default_rng(0)
    return [g.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize(
    "look",
    [
        Look(Fraction(64, 45)),
        Look(Fraction(1), 1, 1, 1, 1),
        Look(Fraction(4, 3), 2, 9, 16, 9),
        Look(Fraction(1), 1, 6, 6, 6),
    ],
)
def test_shape_of_pixels_and_colour_tags_are_kept(tmp_path: Path, look: Look, ending: str) -> None:
    source, copy = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    flat = np.full((64, 96, 3), (40, 160, 200), np.uint8)
    sink = VideoSink(source, 10)
    for index in range(3):
        sink.write(_result(index, flat, look))
    sink.close()
    sink = VideoSink(copy, 10)
    for frame in open_source(source):
        sink.write(FrameResult(frame, sv.Detections.empty()))
    sink.close()
    for path in (source, copy):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.sample_aspect_ratio == look.pixel_aspect
            picture = next(container.decode(stream))
            tags = picture.color_range, picture.color_primaries, picture.color_trc
            assert (*tags, picture.colorspace) == (
                look.color_range,
                look.primaries,
                look.transfer,
                look.matrix,
            )
            assert picture.format.name in ("yuv420p", "yuvj420p")
        frames = list(open_source(path))
        assert [frame.look for frame in frames] == [look] * 3
        # The matrix and range that the tags name are those of the numbers in the file.
        assert np.abs(frames[2].image[32, 48].astype(int) - flat[0, 0]).max() <= 8


def test_a_tag_that_no_yuv_can_have_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, 10)
    sink.write(_result(0, _noise(1)[0], Look(matrix=0)))
    sink.close()
    assert [frame.look.matrix for frame in open_source(path)] == [2]


def test_names_that_ffmpeg_would_take_for_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sink = VideoSink("2024-01-01T12:00:00.mp4", 10)
    for index, image in enumerate(_noise(3)):
        sink.write(_result(index, image))
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["2024-01-01T12:00:00.mp4"]
    assert len(list(open_source(tmp_path / "2024-01-01T12:00:00.mp4"))) == 3


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _write_noise(path: Path) -> None:
    sink = VideoSink(path, 10)
    try:
        for index, image in enumerate(_noise(80)):
            sink.write(_result(index, image))
    finally:
        sink.close()


@pytest.mark.parametrize(("limit", "frames"), [(0, 0), (100, 0), (60_000, 1), (200_000, 10)])
def test_a_full_disk_ends_in_one_sentence_and_what_is_there_plays(
    tmp_path: Path, limit: int, frames: int
) -> None:
    """From the header, or from any later packet on."""
    path = tmp_path / "out.mp4"
    told = r"out.mp4: cannot be written \(File too large\); expected a writable file in an existing"
    with _largest_file(limit), pytest.raises(FaimError, match=told):
        _write_noise(path)
    gc.collect()
    if frames:
        assert len(list(open_source(path))) >= frames
    assert path.exists() == (limit > 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_that_is_always_full(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.symlink_to("/dev/full")
    with pytest.raises(FaimError, match=r"out.mp4: cannot be written \(No space left on device\)"):
        _write_noise(path)
    gc.collect()
    assert path.is_symlink()
    assert Path("/dev/full").exists()


def test_without_a_frame_an_older_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    VideoSink(path, 10).close()
    assert not path.exists()
    path.write_text("older")
    VideoSink(path, 10).close()
    assert path.read_text() == "older"
    path.unlink()
    path.mkdir()
    with pytest.raises(FaimError, match=r"out.mp4: cannot be written \(Is a directory\)"):
        VideoSink(path, 10)
