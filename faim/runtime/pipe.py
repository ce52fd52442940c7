"""Video that another program writes: a named pipe, or the standard input."""

from __future__ import annotations

import os
import stat

from faim.errors import FaimError
from faim.files import ffmpeg_path
from faim.runtime.container import open_container
from faim.runtime.live import LiveSource
from faim.runtime.video import VideoReader

#: What stands for the standard input, and where it lies.
STANDARD_INPUT, STANDARD_INPUT_PATH = "-", "/dev/stdin"


class PipeSource(LiveSource):
    """Video from a pipe: it can be read once only, its writer waits, and every frame counts.

    Args:
        path: of the pipe.
        name: what messages call it.

    Raises:
        FaimError: on construction, when it is no video; while iterating, as `LiveSource`.
    """

    def __init__(self, path: str, name: str) -> None:
        """Wait for the writer."""
        expected = "a video in a format that can be read without seeking (MPEG-TS, Matroska)"
        super().__init__(
            name, lambda: VideoReader(open_container(ffmpeg_path(path), name, expected), name)
        )


def piped(name: str) -> tuple[str, str] | None:
    """Path and name of a pipe, None where the name is that of anything else.

    Raises:
        FaimError: it is the standard input, and that is a terminal.
    """
    standard = name == STANDARD_INPUT
    path = STANDARD_INPUT_PATH if standard else name
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path.stat raises for names too long
    except (OSError, ValueError):
        return None
    if standard and stat.S_ISCHR(mode) and os.isatty(0):
        raise FaimError("-: the standard input is a terminal; expected a video piped into it")
    if stat.S_ISFIFO(mode) or (standard and not stat.S_ISREG(mode)):
        return path, "standard input" if standard else name
    return None
