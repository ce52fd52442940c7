"""Local cameras, through OpenCV."""

from __future__ import annotations

import cv2

from faim.errors import FaimError
from faim.runtime.live import LiveSource, Retry
from faim.stream.frames import Reading, to_bgr


class CameraSource(LiveSource):
    """A local camera; the `time` of its frames is that of their arrival.

    Args:
        index: its number, from 0.
        retry: what to do when it is unplugged; the defaults of `Retry` if None.

    Raises:
        FaimError: on construction, when it cannot be opened; while iterating, as `LiveSource`.
    """

    def __init__(self, index: int, retry: Retry | None = None) -> None:
        # OpenCV crashes on -1 where there is no camera, and has no words for what no int can hold.
        if not 0 <= index < 2**31:
            raise FaimError(f"camera {index}: there is no such number; expected 0 or a little more")
        super().__init__(f"camera {index}", lambda: _CameraFeed(index), retry)


class _CameraFeed:
    """A camera that is open."""

    realtime = True

    def __init__(self, index: int) -> None:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._capture = cv2.VideoCapture(index)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise FaimError(
                f"camera {index}: cannot be opened; expected the number of a connected camera "
                "that no other program uses"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(rate) if 1.0 <= rate <= 1000.0 else 30.0
        self.frame_count: int | None = None

    def read(self) -> Reading | None:
        read, image = self._capture.read()
        return (None, to_bgr(image)) if read else None

    def close(self) -> None:
        self._capture.release()
