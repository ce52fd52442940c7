from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_helpers import (
    FakeClock,
    endless,
    file_of,
    recorded_warnings,
    refuse,
    web_server,
)
from runtime_helpers import flat_frames, write_video

from faim.errors import FaimError
from faim.runtime.sources import open_source
from faim.runtime.stream import StreamSource

SIZE = (48, 64)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    with recorded_warnings() as messages:
        yield messages


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def noise_video(path: Path, count: int) -> Path:
    generator = np.random.default_rng(0)
    frames = [generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for _ in range(count)]
    return write_video(path, frames)


def motion_jpeg(*levels: int) -> bytes:
    parts = []
    for image in flat_frames(*levels, size=SIZE):
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        parts.append(head.encode() + jpeg + b"\r\n")
    return b"".join(parts)


MOTION_JPEG = "multipart/x-mixed-replace; boundary=frame"


@pytest.mark.parametrize("scheme", ["http", "tcp", "rtsp", "rtmp", "udp"])
def test_stream_that_never_answers(silent_port: int, scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{silent_port}/x"
    with pytest.raises(FaimError, match=r"/x: .*no answer within 0\.2 s.*a stream that answers"):
        StreamSource(url, timeout=0.2)


def test_file_on_a_web_server_is_read_as_the_local_one(tmp_path: Path, warnings: list[str]) -> None:
    path = write_video(tmp_path / "a.mp4", flat_frames(1, 50, 100, 150), ticks=[0, 10, 15, 95])
    with web_server(file_of(path.read_bytes())) as url, open_source(url) as source:
        assert source.live
        assert not source.realtime
        assert source.frame_count == 4
        read = list(source)
    for frame, expected in zip(read, open_source(path), strict=True):
        assert (frame.index, frame.time) == (expected.index, pytest.approx(expected.time))
        np.testing.assert_array_equal(frame.image, expected.image)
    assert warnings == []


def test_broken_download_is_resumed(tmp_path: Path, warnings: list[str]) -> None:
    path = write_video(
        tmp_path / "a.mp4",
        noise_frames := list(
            np.random.default_rng(1).integers(0, 256, (40, 96, 128, 3), dtype=np.uint8)
        ),
        options={"movflags": "faststart"},
    )
    content = path.read_bytes()
    with web_server(file_of(content, cut_at=len(content) // 2), file_of(content)) as url:
        read = list(StreamSource(url))
    assert len(read) == len(noise_frames)
    for frame, expected in zip(read, open_source(path), strict=True):
        np.testing.assert_array_equal(frame.image, expected.image)
    assert warnings == []


def test_camera_stream_that_is_cut_and_returns(warnings: list[str]) -> None:
    clock = FakeClock()
    with web_server(
        endless(motion_jpeg(10, 20, 30, 40, 50), MOTION_JPEG),
        refuse,
        endless(motion_jpeg(60, 70, 80, 90), MOTION_JPEG),
        refuse,
    ) as url:
        source = StreamSource(url, retry=clock.retry(patience=20.0))
        assert source.live
        assert source.realtime
        assert source.frame_count is None
        read = list(source)
    levels = [round(float(frame.image.mean()) / 10) * 10 for frame in read]
    assert levels == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert [frame.index for frame in read] == list(range(9))
    # Multipart JPEG has no time stamps: the clock of arrival, which only the naps moved.
    assert [frame.time for frame in read] == pytest.approx([0.0] * 5 + [1.5] * 4)
    assert clock.naps == pytest.approx([0.5, 1.0, 0.5, 1, 2, 4, 8, 4.5])
    assert sum("is back after 1.5 s" in message for message in warnings) == 1
    assert warnings[-1].endswith("no frame for 20 s; given up")


def test_transport_stream_that_falls_silent_and_returns(
    tmp_path: Path, warnings: list[str]
) -> None:
    content = noise_video(tmp_path / "a.ts", 15).read_bytes()
    clock = FakeClock()
    with web_server(endless(content, then=4.0), endless(content), refuse) as url:
        source = StreamSource(url, timeout=1.0, retry=clock.retry(patience=9.0))
        assert source.realtime
        read = list(source)
    assert [frame.index for frame in read] == list(range(30))
    times = np.array([frame.time for frame in read])
    np.testing.assert_allclose(np.diff(times)[np.arange(29) != 14], 0.04, atol=1e-6)
    assert np.diff(times)[14] == pytest.approx(0.5)  # the gap on the wall
    np.testing.assert_array_equal(read[0].image, read[15].image)
    assert warnings[0].endswith("lost; trying again in 0.5 s")


def test_damage_in_a_stream_costs_its_frames_alone(tmp_path: Path, warnings: list[str]) -> None:
    content = bytearray(noise_video(tmp_path / "a.ts", 40).read_bytes())
    clean = list(open_source(tmp_path / "a.ts"))
    middle = len(content) // 2
    noise = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8)
    content[middle : middle + 3000] = noise.tobytes()
    clock = FakeClock()
    with web_server(endless(bytes(content)), refuse) as url:
        read = list(StreamSource(url, retry=clock.retry(patience=1.0)))
    assert 34 <= len(read) <= 40
    assert [frame.index for frame in read] == list(range(len(read)))
    assert (np.diff([frame.time for frame in read]) >= 0).all()
    # What lies before the damage, and from the next key frame on, is as it was.
    by_time = {round(frame.time, 3): frame.image for frame in clean}
    same = [np.array_equal(frame.image, by_time[round(frame.time, 3)]) for frame in read]
    assert all(same[:15])
    assert all(same[-10:])
    assert not any("given up" in message for message in warnings[:-1])


def test_an_address_that_serves_no_video(tmp_path: Path) -> None:
    with (
        web_server(file_of(b"<html>no film</html>")) as url,
        pytest.raises(FaimError, match=r"/video: cannot be opened as a video .*expected a stream"),
    ):
        open_source(url)


def test_frames_arrive_before_a_stream_ends() -> None:
    with web_server(endless(motion_jpeg(*range(0, 200, 10)), MOTION_JPEG, then=1.0)) as url:
        source = StreamSource(url)
        assert [frame.index for frame in islice(source, 3)] == [0, 1, 2]
        source.close()
