"""Network streams, through PyAV."""

from __future__ import annotations

from faim.runtime.live import LiveSource, Retry
from faim.runtime.video import VideoReader, open_container

STREAM_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "srt", "tcp", "udp"})
#: seconds until an unreachable stream counts as absent, and a silent one as lost.
STREAM_TIMEOUT = 10.0


class StreamSource(LiveSource):
    """A video stream from the network.

    One whose duration or size is known (a file on a web server) ends there, and every frame of it
    counts. Any other is `realtime` and, when it ends or falls silent, lost and tried again. Time,
    rotation and damage are treated as in `VideoSource`; a real-time format without time stamps
    (MJPEG over HTTP) gets the time of arrival.

    Args:
        name: URL.
        timeout: seconds until it counts as absent, or silence as loss.
        retry: what to do when it is lost; the defaults of `Retry` if None.

    Raises:
        FaimError: on construction, when it cannot be opened or has no video; while iterating, as
            `LiveSource`.
    """

    def __init__(
        self, name: str, *, timeout: float = STREAM_TIMEOUT, retry: Retry | None = None
    ) -> None:
        """See the class."""
        super().__init__(name, lambda: _connect(name, timeout), retry)


def _connect(name: str, timeout: float) -> VideoReader:
    container = open_container(
        name, "a stream that answers", timeout=timeout, options=_options(name)
    )
    return VideoReader(container, name, network=True)


def _options(name: str) -> dict[str, str]:
    if name.lower().startswith("rtsp"):
        return {"rtsp_transport": "tcp"}
    if name.lower().startswith("http"):
        # Where the server can resume, a connection that broke inside a file goes on at that byte.
        return {"reconnect": "1", "reconnect_delay_max": "8"}
    return {}
