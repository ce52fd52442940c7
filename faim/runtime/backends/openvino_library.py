"""OpenVINO, which reports its use to its makers unless it believes itself in a test."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from faim.runtime.backends.base import missing_package


def load_openvino() -> Any:
    """The library; raises FaimError where it is not installed."""
    try:
        with silent():
            import openvino
    except ImportError as error:
        raise missing_package("openvino", "openvino") from error
    return openvino


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """What OpenVINO does meanwhile, nobody is told: it looks for CI in the environment."""
    before = os.environ.get("CI")
    os.environ["CI"] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = before
