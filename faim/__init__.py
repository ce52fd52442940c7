"""FAIM: video object detection by feature aggregation with instance masks, in real time.

Example:
    >>> import faim  # doctest: +SKIP
    >>> detector = faim.load("yolox_nano_coco.pth")  # doctest: +SKIP
    >>> for result in detector.stream("video.mp4"):  # doctest: +SKIP
    ...     print(result.frame.index, result.detections["class_name"])
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from faim.errors import FaimError

if TYPE_CHECKING:
    from pathlib import Path

    from faim.runtime.pipeline import Detector

try:
    __version__ = version("faim")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["FaimError", "__version__", "load"]


def load(
    weights: str | Path,
    *,
    aggregate: Literal["auto", "ticam", "affinity", "none"] = "auto",
    size: int | tuple[int, int] | None = None,
    conf: float = 0.3,
    device: str = "auto",
) -> Detector:
    """A detector from a file of weights.

    Args:
        weights: a faim checkpoint (.safetensors), or a plain YOLOX .pth, which then aggregates
            without training.
        aggregate: how frames help each other; "auto" takes the best that the weights allow.
        size: side, or (height, width), of the network input in pixels, multiples of 32; the
            model's own by default.
        conf: detections below this score are dropped, in [0, 1].
        device: "auto" is a GPU where there is one, else the CPU; or a name that torch knows.

    Raises:
        FaimError: no such file, no such checkpoint, or an option out of its range.
    """
    # torch and the rest are imported here, so that `import faim` takes no time.
    from faim.models.checkpoint import load_model
    from faim.runtime.pipeline import Detector, resolve_device

    place = resolve_device(device)
    model = load_model(weights, aggregate=aggregate, device=place)
    return Detector(model, size=size, score_threshold=conf, device=place)
