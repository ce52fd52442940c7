"""A saved video plays while it loads, in browsers and on phones, and keeps its source's sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import supervision as sv
from live_helpers import recorded_warnings

from faim.runtime.results import FrameResult
from faim.runtime.sources import open_source
from faim.runtime.video_sink import VideoSink
from faim.stream.frames import Frame

RATE = 48_000


def write_with_sound(
    path: Path, codec: str = "aac", *, frames: int = 50, late: float = 0.0
) -> Path:
    """A video of 25 frames a second with a tone that is loud in its second second alone.

    `late`: seconds by which all of its stamps are off.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"g": "10"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(codec, rate=RATE)
        audio.layout = "mono"
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 2 * index, np.uint8), format="bgr24"
            )
            picture.pts, picture.time_base = index + round(25 * late), Fraction(1, 25)
            container.mux(video.encode(picture))
        times = np.arange(frames * RATE // 25) / RATE
        tone = np.where((times >= 1) & (times < 2), np.sin(2000 * times), 0)
        sound = av.AudioFrame.from_ndarray(
            (20_000 * tone).astype(np.int16)[None], format="s16", layout="mono"
        )
        sound.sample_rate, sound.time_base = RATE, Fraction(1, RATE)
        sound.pts = round(late * RATE)
        context = audio.codec_context
        resampler = av.AudioResampler(context.format, "mono", RATE, context.frame_size or 1024)
        for piece in [*resampler.resample(sound), *resampler.resample(None)]:
            container.mux(audio.encode(piece))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def copy(source: Path, out: Path, **options: Any) -> None:
    """What `faim predict --save-video` does with nothing found."""
    opened = open_source(source)
    sink = VideoSink(out, opened.fps, audio_of=source)
    for frame in opened:
        if options.get("start", 0) <= frame.time < options.get("end", 99):
            sink.write(FrameResult(frame, sv.Detections.empty()))
    sink.close()


def boxes(path: Path) -> list[str]:
    """The names of an MP4's outermost boxes."""
    content, place, names = path.read_bytes(), 0, []
    while place < len(content):
        names.append(content[place + 4 : place + 8].decode())
        place += int.from_bytes(content[place : place + 4], "big")
    return names


def loud_seconds(path: Path) -> tuple[float, float]:
    """When the tone begins and ends."""
    heard = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float)).reshape(-1)
            scale = 1.0 if frame.format.name.startswith("flt") else 32_768.0
            where = np.flatnonzero(samples / scale > 0.2)
            if len(where):
                heard += [frame.time + where[0] / RATE, frame.time + where[-1] / RATE]
    return min(heard), max(heard)


@pytest.mark.parametrize("ending", ["mp4", "m4v", "mov"])
def test_the_index_comes_first_and_players_can_show_it(tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"out.{ending}"
    sink = VideoSink(out, 10)
    times = [0.0, 0.1, 0.15, 0.7, 0.8]
    for index, time in enumerate(times):
        image = np.full((47, 63, 3), 50 * index, np.uint8)
        sink.write(FrameResult(Frame(index, time, image), sv.Detections.empty()))
    sink.close()
    names = boxes(out)
    assert names.index("moov") < names.index("mdat")
    assert "moof" not in names
    with av.open(str(out)) as container:
        [stream] = container.streams
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.width, context.height) == (64, 48)
    assert [frame.time for frame in open_source(out)] == pytest.approx(times, abs=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("codec", "ending", "kept"),
    [
        ("aac", "mp4", "aac"),
        ("aac", "mkv", "aac"),
        ("ac3", "m4v", "ac3"),
        ("pcm_s16le", "mov", "pcm_s16le"),
        ("pcm_s16le", "mp4", "aac"),
    ],
)
@pytest.mark.parametrize("late", [0.0, 3.0])
def test_sound_is_kept_where_it_was(
    tmp_path: Path, codec: str, ending: str, kept: str, late: float
) -> None:
    source = write_with_sound(tmp_path / "in.mkv", codec, late=late)
    out = tmp_path / f"out.{ending}"
    copy(source, out)
    with av.open(str(out)) as container:
        [video], [audio] = container.streams.video, container.streams.audio
        assert audio.codec_context.name == kept
        assert video.codec_context.name == "h264"
        lasts = sum(frame.samples for frame in container.decode(audio)) / RATE
    assert lasts == pytest.approx(2.0, abs=0.1)
    assert loud_seconds(out) == pytest.approx((1.0, 2.0), abs=0.06)
    assert [frame.time for frame in open_source(out)] == pytest.approx(
        [index / 25 for index in range(50)], abs=2e-3
    )
    if ending == "mp4":
        assert boxes(out).index("moov") < boxes(out).index("mdat")


def test_sound_ends_and_begins_with_the_pictures(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "in.mp4", frames=100)
    copy(source, tmp_path / "out.mp4", start=0.8, end=1.4)
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    with av.open(str(tmp_path / "out.mp4")) as container:
        heard = [frame.time for frame in container.decode(audio=0)]
    begin, _ = loud_seconds(tmp_path / "out.mp4")
    assert begin - shown[0] == pytest.approx(0.2, abs=0.06)
    assert shown[-1] - shown[0] == pytest.approx(0.56, abs=0.01)
    assert heard[-1] <= shown[-1] + 0.04
    assert heard[0] >= shown[0] - 0.08


def test_without_sound_there_is_none(tmp_path: Path) -> None:
    silent = tmp_path / "in.mp4"
    sink = VideoSink(silent, 10)
    for index in range(3):
        image = np.zeros((48, 64, 3), np.uint8)
        sink.write(FrameResult(Frame(index, index / 10, image), sv.Detections.empty()))
    sink.close()
    with recorded_warnings() as warnings:
        copy(silent, tmp_path / "out.mp4")
    assert warnings == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_a_source_that_has_gone_leaves_the_pictures(tmp_path: Path) -> None:
    source = write_with_sound(tmp_path / "in.mp4")
    sink = VideoSink(tmp_path / "out.mp4", 25, audio_of=source)
    for frame in open_source(source):
        sink.write(FrameResult(frame, sv.Detections.empty()))
    source.unlink()
    with recorded_warnings() as warnings:
        sink.close()
    assert len(list(open_source(tmp_path / "out.mp4"))) == 50
    assert len(warnings) == 1
    assert "out.mp4: stays as it was written first" in warnings[0]
