"""The machine, as what is measured on it says."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from faim.version import __version__

_PACKAGES = (
    "torch",
    "torchvision",
    "pixeltable-yolox",
    "opencv-python",
    "faster-coco-eval",
)


def machine() -> dict[str, Any]:
    """Where figures were measured: processor, system, and the versions of what computed them."""
    return {
        "processor": platform.processor() or platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {"faim": __version__, **{name: _version(name) for name in _PACKAGES}},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
