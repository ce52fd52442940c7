"""A server on this machine that hands out one file, well or badly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 12_000  # 3 MB


class ReleaseServer(ThreadingHTTPServer):
    """Serves `content` at /file, and /moved leads there.

    Attributes:
        content: of the file.
        ranges: whether it heeds what part is asked for.
        cuts: bytes after which each of the next answers breaks off.
        statuses: of the next answers, in the place of the file.
        told: whether the length of the content is told.
        asked: the `Range` of each request for the file, None without one.
        gate: an answer's first half is sent at once, the rest when this is set.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.ranges, self.told = True, True
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[str | None] = []
        self.gate = threading.Event()
        self.gate.set()

    def url(self, path: str = "/file") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: ReleaseServer

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", self.server.url())
            self.end_headers()
            return
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.server.statuses:
            self.send_error(self.server.statuses.pop(0))
            return
        start = 0
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.server.content):
                self.send_error(416)
                return
        self._send(start, partial=bool(asked and self.server.ranges))

    def _send(self, start: int, *, partial: bool) -> None:
        body, total = self.server.content[start:], len(self.server.content)
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if self.server.told:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.cuts:
            body = body[: self.server.cuts.pop(0)]
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        self.server.gate.wait(60)
        with suppress(ConnectionError):  # the client may have gone
            self.wfile.write(body[half:])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(content: bytes) -> Iterator[ReleaseServer]:
    with ReleaseServer(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            server.shutdown()
            thread.join()
