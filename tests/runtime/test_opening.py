"""Several sources open at the same time, a wait that Ctrl-C ends, names without passwords."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_helpers import recorded_warnings
from runtime_helpers import flat_frames, write_video

from faim.errors import FaimError
from faim.runtime import stream
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.interrupt import interrupted_by
from faim.runtime.many import stream_many
from faim.runtime.opening import open_ahead, open_all
from faim.runtime.pipeline import Detector
from faim.runtime.sources import open_source
from faim.runtime.stream import StreamSource, masked

#: A shorter wait than the default of `StreamSource`.
SHORT = {"timeout": 0.4, "retry": None}


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def address(server: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://user:secret@127.0.0.1:{server.getsockname()[1]}/x?token=hidden"


def test_a_silent_one_is_reported_and_the_others_play(
    tmp_path: Path, silent: socket.socket, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.StreamSource.__init__, "__kwdefaults__", SHORT)
    video = write_video(tmp_path / "a.mp4", flat_frames(10, 20, 30))
    sources = open_all([address(silent), video, address(silent, "rtsp"), video])
    counts = [0] * 4

    def run() -> None:
        for number, _ in stream_many(detector, sources):
            counts[number] += 1

    with recorded_warnings() as warnings, pytest.raises(FaimError, match="no answer within"):
        run()
    assert counts == [0, 3, 0, 3]
    assert len(warnings) == 2
    for message in warnings:
        assert "127.0.0.1" in message
        assert message.endswith("the other sources go on")
        assert "secret" not in message
        assert "hidden" not in message


def test_all_open_at_the_same_time(
    tmp_path: Path, silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits until all are waiting."""
    together = threading.Barrier(10)

    def connect(name: str, timeout: float) -> object:
        together.wait(10)
        raise FaimError(f"{name}: not there")

    monkeypatch.setattr(stream, "_connect", connect)
    with pytest.raises(FaimError, match="http://a/0: not there"):
        open_all([f"http://a/{n}" for n in range(10)])


def test_a_file_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", flat_frames(10, 20, 30))
    with pytest.raises(FaimError, match=r"b\.mp4: no such file"):
        open_all([video, tmp_path / "b.mp4"])
    opened = open_ahead(str(video))
    assert isinstance(opened, DecodeAhead)
    assert len(list(opened)) == 3


@pytest.mark.parametrize("call", ["open_source(url)", "open_all([url, url])"])
def test_the_first_ctrl_c_while_a_stream_opens(silent: socket.socket, call: str) -> None:
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from faim.runtime.opening import open_all, open_source\n"
        f"url = {address(silent)!r}\n"
        f"try:\n    {call}\n"
        "except KeyboardInterrupt:\n    print('interrupted')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        silent.settimeout(60)
        connections = [silent.accept()[0]]
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        output, _ = process.communicate(timeout=60)
        assert time.monotonic() - sent < 8.0  # the stream's own time-out is 10 s
        for connection in connections:
            connection.close()
    assert output == "interrupted\n"


def test_handlers_run_after_the_wait_and_are_put_back() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        handler = signal.getsignal(signal.SIGINT)
        with interrupted_by(threading.Event()):
            signal.raise_signal(signal.SIGINT)
            assert came == []
        assert came == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:s3cret@10.0.0.7/live?channel=1", "rtsp://***@10.0.0.7/live?channel=1"),
        ("http://TOKEN@cam/x", "http://***@cam/x"),
        ("rtsp://admin:p@ss@cam:554/x", "rtsp://***@cam:554/x"),
        ("rtsp://admin:p/s?s#s@cam:554/x", "rtsp://***@cam:554/x"),
        ("http://cam/x?token=abc&subtype=0#key=9f8", "http://cam/x?token=***&subtype=0#key=***"),
        ("http://cam/x;jsessionid=A1B2?c0ffee", "http://cam/x;jsessionid=***"),
        ("http://u:p@[::1]:80/x?next=http://a:b@c/", "http://***@[::1]:80/x?next=***"),
        ("ftp://u:p@cam/x", "ftp://***@cam/x"),
        ("http://cam:8080/@user/x", "http://cam:8080/@user/x"),
        ("rtmp://u:p@cam/live/k-1234?x=abc", "rtmp://***@cam/live/***?x=***"),
        ("rtmp://cam/live", "rtmp://cam/live"),
        ("udp://@239.0.0.1:1234", "udp://@239.0.0.1:1234"),
        ("folder/a?b=c.mp4", "folder/a?b=c.mp4"),
    ],
)
def test_what_a_url_is_called(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize("scheme", ["http", "rtsp", "ftp"])
def test_no_password_leaves_in_a_message(silent: socket.socket, scheme: str) -> None:
    url = address(silent, scheme)
    with pytest.raises(FaimError) as raised:
        StreamSource(url, timeout=0.2) if scheme != "ftp" else open_source(url)
    told = "".join(traceback.format_exception(raised.value))
    assert "secret" not in told
    assert "hidden" not in told
