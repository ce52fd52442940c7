"""Network streams, through PyAV."""

from __future__ import annotations

import re

from faim.runtime.container import open_container
from faim.runtime.live import LiveSource, Retry
from faim.runtime.video import VideoReader

STREAM_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "srt", "tcp", "udp"})
#: seconds until an unreachable stream counts as absent, and a silent one as lost.
STREAM_TIMEOUT = 10.0
#: Words of a query or of parameters, with the key before the value if there is one.
_SECRETS = re.compile(r"([?&;#])([^=?&;#]*=)?+(?!\d{1,2}(?:[&;#]|$))[^&;#]+")


class StreamSource(LiveSource):
    """A video stream from the network.

    One whose duration or size is known (a file on a web server, a playlist that is complete) ends
    there, and every frame of it counts. Any other is `realtime` and, when it ends or falls silent,
    lost and tried again. Time, rotation and damage are treated as in `VideoSource`; a real-time
    format without time stamps (MJPEG over HTTP) gets the time of arrival.

    Args:
        name: URL; passwords and the like in it are masked in the source's name, see `masked`.
        timeout: seconds until it counts as absent, or silence as loss.
        retry: what to do when it is lost; the defaults of `Retry` if None.

    Raises:
        FaimError: on construction, when it cannot be opened or has no video; while iterating, as
            `LiveSource`.
    """

    def __init__(
        self, name: str, *, timeout: float = STREAM_TIMEOUT, retry: Retry | None = None
    ) -> None:
        super().__init__(masked(name), lambda: _connect(name, timeout), retry)


def is_stream(name: str) -> bool:
    """Whether it is the URL of a stream."""
    scheme, separator, _ = name.partition("://")
    return bool(separator) and scheme.lower() in STREAM_SCHEMES


def masked(url: str) -> str:
    """A URL without what opens doors: what stands before `@`, values of its query, RTMP's key.

    Values of one or two digits stay, as they tell the channels of a camera apart. The key is what
    follows the application in an RTMP path.

    Example:
        >>> masked("rtsp://admin:secret@10.0.0.7/live?channel=1&token=d41d8")
        'rtsp://***@10.0.0.7/live?channel=1&token=***'
        >>> masked("rtmp://a.example/live/abcd-1234")
        'rtmp://a.example/live/***'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    end = _authority_end(rest)
    user, at, host = rest[:end].rpartition("@")
    path = rest[end:]
    if scheme.lower().startswith("rtmp"):
        path = re.sub(r"^(/[^/?#]+/)[^?#]+", r"\1***", path)
    return f"{scheme}://{'***' if user else ''}{at}{host}" + _SECRETS.sub(r"\1\2***", path)


def _authority_end(rest: str) -> int:
    """Where user, host and port end, in what follows `://`."""
    end = len(re.split(r"[/?#]", rest, maxsplit=1)[0])
    port = rest[:end].rpartition(":")[2]
    if "@" not in rest[:end] and ":" in rest[:end] and not re.fullmatch(r"\d*|.*\]", port):
        # No port is like that: it is a password with such a character in it, not escaped.
        host = rest.rfind("@")
        return end if host < 0 else host + _authority_end(rest[host + 1 :]) + 1
    return end


def _connect(url: str, timeout: float) -> VideoReader:
    name = masked(url)
    container = open_container(
        url, name, "a stream that answers", timeout=timeout, options=_options(url)
    )
    return VideoReader(container, name, network=True)


def _options(url: str) -> dict[str, str]:
    if url.lower().startswith("rtsp"):
        return {"rtsp_transport": "tcp"}
    if url.lower().startswith("http"):
        # Where the server can resume, a connection that broke inside a file goes on at that byte.
        return {"reconnect": "1", "reconnect_delay_max": "8"}
    return {}
