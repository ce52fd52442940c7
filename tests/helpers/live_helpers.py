"""A clock that only sleeping moves, a camera made of lists, and a small web server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from loguru import logger

from faim.errors import FaimError
from faim.runtime.live import Retry
from faim.stream.frames import Reading


class FakeClock:
    """Seconds that pass only in `sleep`; `naps` are those asked for."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, _closed: threading.Event, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def retry(self, **options: float) -> Retry:
        return Retry(clock=self, sleep=self.sleep, **options)


def picture(level: int) -> np.ndarray:
    return np.full((4, 6, 3), level % 256, np.uint8)


class FakeFeed:
    """Gives a picture a stamp, `pace` seconds of `clock` apart, and then nothing."""

    fps = 10.0
    frame_count = None

    def __init__(
        self, stamps: Sequence[float | None], clock: FakeClock, pace: float = 0.1, realtime=True
    ) -> None:
        self.realtime = realtime
        self.closed = 0
        self._stamps, self._clock, self._pace = list(stamps), clock, pace

    def read(self) -> Reading | None:
        assert not self.closed
        if not self._stamps:
            return None
        self._clock.now += self._pace
        stamp = self._stamps.pop(0)
        return stamp, picture(len(self._stamps))

    def close(self) -> None:
        self.closed += 1


class FakeDevice:
    """Connects to one feed after the other; a None among them is a failed attempt."""

    def __init__(self, *feeds: FakeFeed | None) -> None:
        self.feeds = feeds
        self.attempts = 0

    def __call__(self) -> FakeFeed:
        feed = self.feeds[self.attempts] if self.attempts < len(self.feeds) else None
        self.attempts += 1
        if feed is None:
            raise FaimError("device: not there")
        return feed


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """The warnings logged meanwhile."""
    messages: list[str] = []
    handler = logger.add(
        lambda message: messages.append(message.record["message"]), level="WARNING"
    )
    try:
        yield messages
    finally:
        logger.remove(handler)


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def web_server(*answers: Answer) -> Iterator[str]:
    """The URL of a server whose n-th request gets the n-th answer, the last one from then on."""
    waiting = list(answers)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            try:
                answer(self)
            except OSError:  # the reader left
                self.close_connection = True

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/video"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endless(content: bytes, kind: str = "video/mp2t", *, then: float = 0.0) -> Answer:
    """`content` without a length, `then` seconds of silence, and the connection is cut."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.end_headers()
        request.wfile.write(content)
        request.wfile.flush()
        time.sleep(then)

    return answer


def refuse(request: BaseHTTPRequestHandler) -> None:
    """Not now."""
    request.send_error(503)


def file_of(content: bytes, *, cut_at: int | None = None) -> Answer:
    """A file whose ranges may be asked for; the connection breaks after byte `cut_at`."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        request.send_response(206 if wanted else 200)
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Length", str(len(content) - start))
        if wanted:
            last = len(content) - 1
            request.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        request.end_headers()
        request.wfile.write(content[start:cut_at])

    return answer
