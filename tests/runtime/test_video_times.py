"""When the pictures of a file are shown: joined clips, B-frames, edit lists, several streams."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from live_helpers import recorded_warnings
from runtime_helpers import flat_frames, write_video

from faim.errors import FaimError
from faim.runtime.sources import open_source
from faim.runtime.stamps import PacketClock, PictureClock

SIZE = (48, 64)
#: Ticks a second of a transport stream, and after how many its clock is at 0 again.
TICKS, WRAP = 90_000, 2**33


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    with recorded_warnings() as messages:
        yield messages


def moving_frames(count: int) -> list[np.ndarray]:
    """A white bar that goes to the right, so that every frame differs."""
    frames = flat_frames(*[20] * count, size=SIZE)
    for index, frame in enumerate(frames):
        frame[:, index % SIZE[1] : index % SIZE[1] + 6] = 230
    return frames


def times(path: Path) -> list[float]:
    return [frame.time for frame in open_source(path)]


def even(count: int, step: float = 0.04) -> object:
    return pytest.approx([index * step for index in range(count)], abs=1e-6)


def clip(path: Path, count: int, start: float = 0.0) -> bytes:
    """A transport stream whose clock starts so many seconds late."""
    write_video(path, moving_frames(count), options={"output_ts_offset": str(start)})
    return path.read_bytes()


@pytest.mark.parametrize(
    "starts",
    [(0, 0), (0, 18_000, 0), (18_000, 5), (0, 11), (7, 6.5), (0, 90_000, 3, 40_000)],
)
def test_joined_clips_go_on_evenly(tmp_path: Path, starts: tuple[float, ...]) -> None:
    parts = [clip(tmp_path / f"{n}.ts", 12, start) for n, start in enumerate(starts)]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    assert times(tmp_path / "joined.ts") == even(12 * len(starts))


def test_the_clock_of_a_transport_stream_is_at_zero_again(tmp_path: Path) -> None:
    clip(tmp_path / "a.ts", 30, WRAP / TICKS - 2.0)
    assert times(tmp_path / "a.ts") == even(30)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "flv", "h264", "nut"])
def test_b_frames_in_every_container(tmp_path: Path, suffix: str) -> None:
    assert times(write_video(tmp_path / f"a.{suffix}", moving_frames(20))) == even(20)


def packed_b_frames(path: Path, count: int) -> None:
    """An AVI as DivX wrote it: a B-frame in the packet of the frame that it needs, then a dummy."""
    dummy = b"\x00\x00\x01\xb6" + bytes([0b01010000, 0b01011111])  # a picture "not coded"
    with av.open(str(path), "w") as container:
        options = {"bf": "1", "g": "12", "sc_threshold": "1000000000", "b_strategy": "0"}
        stream = container.add_stream("mpeg4", rate=25, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt, stream.codec_context.codec_tag = "yuv420p", "DX50"
        coded = []
        for image in moving_frames(count):
            coded += stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24"))
        coded += stream.encode(None)
        packed: list[bytes] = []
        for before, packet in pairwise([None, *coded]):
            if before is not None and packet.pts < before.pts:
                packed[-1] += bytes(packet)
                packed.append(dummy)
            else:
                packed.append(bytes(packet))
        start = packed[0].index(b"\x00\x00\x01\xb3")
        name = b"\x00\x00\x01\xb2DivX503b1393p"  # "p" for packed
        packed[0] = packed[0][:start] + name + packed[0][start:]
        for number, content in enumerate(packed):
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = number == 0
            container.mux(packet)


def test_packed_b_frames(tmp_path: Path) -> None:
    packed_b_frames(tmp_path / "a.avi", 25)
    assert times(tmp_path / "a.avi") == even(25)


def test_a_variable_frame_rate_is_kept(tmp_path: Path) -> None:
    ticks = [0, 4, 5, 30, 31, 4000, 4004, 500_000]
    for suffix in ("mp4", "mkv"):
        path = write_video(tmp_path / f"a.{suffix}", moving_frames(8), ticks=ticks)
        assert times(path) == pytest.approx([tick / 100 for tick in ticks], abs=1e-3)


def test_a_jump_within_one_transport_stream(tmp_path: Path) -> None:
    """B-frames bring the stamps of one packet to different sides of the jump."""
    ticks = [4 * n + (1_800_000 if n >= 9 else 0) for n in range(20)]
    path = write_video(tmp_path / "a.ts", moving_frames(20), ticks=ticks)
    read = times(path)
    assert (np.diff(read) > 0).all()
    assert read[-1] == pytest.approx(19 * 0.04, abs=0.1)


def trimmed(path: Path, whole: Path, start: float, end: float) -> Path:
    """A cut without coding anew: packets from the key frame before, and an edit list."""
    with av.open(str(whole)) as source, av.open(str(path), "w") as container:
        stream = source.streams.video[0]
        copy = container.add_stream_from_template(stream)
        source.seek(int(start / stream.time_base), stream=stream)
        shift = round(start / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts < end / stream.time_base:
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copy
                container.mux(packet)
    return path


def test_what_an_edit_list_cuts_is_no_damage(tmp_path: Path, warnings: list[str]) -> None:
    options = {"movflags": "faststart"}
    whole = write_video(tmp_path / "whole.mp4", moving_frames(60), options=options)
    path = trimmed(tmp_path / "a.mp4", whole, 0.52, 1.2)  # key frames are 0.2 s apart
    source = open_source(path)
    read = list(source)
    assert len(read) < 25
    assert source.frame_count == len(read)
    assert [frame.time for frame in read] == even(len(read))
    first = open_source(whole)
    expected = {round(frame.time, 2): frame.image for frame in first}
    np.testing.assert_array_equal(read[0].image, expected[0.52])
    assert warnings == []


def with_streams(path: Path, *streams: tuple[tuple[int, int], int, int]) -> Path:
    """A file of several video streams: size, grey level and disposition of each."""
    with av.open(str(path), "w") as container:
        made = []
        for size, _, disposition in streams:
            stream = container.add_stream("mjpeg", rate=25)
            stream.height, stream.width = size
            stream.pix_fmt = "yuvj420p"
            stream.disposition = disposition
            made.append(stream)
        for _ in range(3):
            for stream, (size, level, _) in zip(made, streams, strict=True):
                [image] = flat_frames(level, size=size)
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                container.mux(stream.encode(frame))
    return path


DEFAULT, ATTACHED = int(av.stream.Disposition.default), int(av.stream.Disposition.attached_pic)


@pytest.mark.parametrize(
    ("streams", "level"),
    [
        ([((48, 64), 40, 0), ((48, 64), 90, DEFAULT)], 90),
        ([((48, 64), 40, DEFAULT), ((96, 128), 90, 0)], 40),
        ([((48, 64), 40, 0), ((96, 128), 90, 0)], 90),
        ([((48, 64), 40, 0), ((48, 64), 90, 0)], 40),
    ],
)
def test_the_stream_that_ffmpeg_takes(
    tmp_path: Path, streams: list[tuple[tuple[int, int], int, int]], level: int
) -> None:
    source = open_source(with_streams(tmp_path / "a.mkv", *streams))
    means = [float(frame.image.mean()) for frame in source]
    assert means == pytest.approx([level] * 3, abs=2)


def test_packet_clock_in_closed_form() -> None:
    def mended(restarts: bool, *stamps: int) -> list[int | None]:
        clock = PacketClock(Fraction(1, 100), 25.0, restarts=restarts)
        packets = [SimpleNamespace(pts=dts + 8, dts=dts, duration=0) for dts in stamps]
        for packet in packets:
            clock.mend(packet)
        return [packet.dts for packet in packets]

    assert mended(True, 0, 4, 8, 12, 0, 4, 8) == [0, 4, 8, 12, 16, 20, 24]
    assert mended(True, 0, 4, 8, 360_000, 360_004) == [0, 4, 8, 12, 16]
    assert mended(True, 0, 4, 900, 904) == [0, 4, 900, 904]  # nine seconds without a picture
    assert mended(True, 0, 4, 0, 8) == [0, 4, 0, 8]  # less than a tenth of a second: damage
    assert mended(False, 0, 4, 360_000, 4) == [0, 4, 360_000, 4]
    assert mended(False, 0, 4, 20_000_000, 12) == [0, 4, None, 12]


def test_picture_clock_believes_the_better_stamps() -> None:
    packed = PictureClock()
    found = [packed.stamp(pts, dts) for pts, dts in [(0, 0), (2, 1), (1, 2), (4, 3), (3, 4)]]
    assert found == [0, 2, 2, 3, 4]
    good = PictureClock()
    assert [good.stamp(n, dts) for n, dts in enumerate([0, 0, 1, 1])] == [0, 1, 2, 3]
    assert PictureClock().stamp(None, None) is None


@pytest.mark.parametrize("beside", ["libx264", "aac"])
def test_a_cover_is_no_video(tmp_path: Path, beside: str) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        cover = container.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = *SIZE, "yuvj420p"
        cover.disposition = ATTACHED
        other = container.add_stream(beside, rate=25 if beside == "libx264" else 16000)
        if beside == "libx264":
            other.height, other.width, other.pix_fmt = *SIZE, "yuv420p"
        [image] = flat_frames(40, size=SIZE)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        if beside == "libx264":
            frames = [av.VideoFrame.from_ndarray(f, format="bgr24") for f in moving_frames(5)]
        else:
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            sound.sample_rate = 16000
            frames = [sound]
        for frame in (*frames, None):
            container.mux(other.encode(frame))
    if beside == "libx264":
        assert times(tmp_path / "a.mp4") == even(5)
        return
    with pytest.raises(FaimError, match=r"a\.mp4: has no video stream; expected a video"):
        open_source(tmp_path / "a.mp4")
