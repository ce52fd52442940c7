"""HLS playlists over HTTP: one without an end is live, a complete one is a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from live_helpers import FakeClock, recorded_warnings
from runtime_helpers import flat_frames, write_video

from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.sources import open_source
from faim.runtime.stream import StreamSource

#: Frames of a segment of one second.
SECOND = 25


class Broadcast:
    """A server of segments, whose playlist tells of the latest three that were published."""

    def __init__(self, folder: Path, segments: int) -> None:
        self.published, self.ended = 3, False
        levels = [10 + number % 200 for number in range(segments * SECOND)]
        write_video(
            folder / "all.m3u8",
            flat_frames(*levels, size=(48, 64)),
            options={"hls_time": "1", "hls_list_size": "0"},
        )
        self.segments = [(folder / f"all{n}.ts").read_bytes() for n in range(segments)]

    def playlist(self) -> bytes:
        first = self.published - 3
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:1"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        for n in range(first, self.published):
            lines += ["#EXTINF:1.0,", f"{n}.ts"]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if self.ended else []), ""]).encode()

    @contextmanager
    def served(self) -> Iterator[str]:
        broadcast = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                listed = name == "live.m3u8"
                content = broadcast.playlist() if listed else broadcast.segments[int(name[:-3])]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                kind = "application/vnd.apple.mpegurl" if listed else "video/mp2t"
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_words: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/live.m3u8"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def test_a_complete_playlist_is_a_file(tmp_path: Path) -> None:
    broadcast = Broadcast(tmp_path, 3)
    broadcast.ended = True
    with broadcast.served() as url, open_source(url) as source:
        assert not source.realtime
        assert source.frame_count == 3 * SECOND
        read = list(source)
    np.testing.assert_allclose([frame.time for frame in read], np.arange(75) / 25, atol=1e-6)


def test_a_playlist_without_an_end_is_live(tmp_path: Path) -> None:
    broadcast = Broadcast(tmp_path, 5)
    with broadcast.served() as url, DecodeAhead(open_source(url)) as source:
        assert source.live
        assert source.realtime
        assert source.frame_count is None
        frames = iter(source)
        read = [next(frames)]
        time.sleep(0.5)  # a late reader loses what came meanwhile
        broadcast.published = 5
        read += list(islice(frames, 10))
    assert source.dropped > 0
    assert (np.diff([frame.time for frame in read]) > 0).all()


def test_a_broadcast_that_is_over_has_ended(tmp_path: Path) -> None:
    broadcast = Broadcast(tmp_path, 3)
    clock = FakeClock()
    with recorded_warnings() as warnings, broadcast.served() as url:
        source = StreamSource(url, timeout=3.0, retry=clock.retry())
        frames = iter(source)
        read = [next(frames)]
        broadcast.ended = True
        read += list(frames)
    np.testing.assert_allclose([frame.time for frame in read], np.arange(75) / 25, atol=1e-6)
    assert not source.lost
    assert [message for message in warnings if "given up" in message] == []


def test_a_broadcast_that_falls_silent_is_tried_again_and_given_up(tmp_path: Path) -> None:
    broadcast = Broadcast(tmp_path, 3)
    clock = FakeClock()
    with recorded_warnings() as warnings:
        with broadcast.served() as url:
            source = StreamSource(url, timeout=1.0, retry=clock.retry(patience=5.0))
            frames = iter(source)
            read = [next(frames)]
        read += list(frames)
    assert 3 * SECOND >= len(read) >= 1
    assert source.lost
    assert warnings[0] == f"{url}: lost; trying again in 0.5 s"
    assert warnings[-1] == f"{url}: no frame for 5 s; given up"


@pytest.mark.parametrize("count", [1, 2])
def test_a_live_playlist_that_goes_on_after_a_gap(tmp_path: Path, count: int) -> None:
    """Segments that a reader missed leave a gap in time as long as they are."""
    broadcast = Broadcast(tmp_path, 3 + count + 3)
    with broadcast.served() as url, open_source(url) as source:
        frames = iter(source)
        read = list(islice(frames, 3 * SECOND - 5))
        broadcast.published = 3 + count + 3
        read += list(islice(frames, 20))
    steps = np.diff([frame.time for frame in read])
    assert steps.max() == pytest.approx(count + 0.04, abs=0.3)
    assert (steps >= 0).all()
