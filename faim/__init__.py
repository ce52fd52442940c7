"""FAIM: video object detection by feature aggregation with instance masks, in real time.

Example:
    >>> import faim, numpy as np
    >>> detector = faim.load()  # or a YOLOX, YOLOV or faim checkpoint
    >>> picture = np.full((256, 256, 3), 114, np.uint8)
    >>> picture[64:160, 64:160] = np.arange(96)[:, None] // 8 % 2 * 180 + 40
    >>> for result in detector.stream([picture] * 2):  # or "video.mp4", 0 for a webcam, a folder
    ...     print(result.index, result.time, result.labels)
    0 0.0 ['stripes']
    1 0.04 ['stripes']
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faim.errors import FaimError
from faim.version import __version__

if TYPE_CHECKING:
    from faim.runtime.loading import load

__all__ = ["FaimError", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """`load`, when it is first asked for: torch and the rest take seconds to import."""
    if name == "load":
        from faim.runtime.loading import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
