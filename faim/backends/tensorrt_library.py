"""The two libraries that build and run TensorRT engines; their Python interfaces are the same."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, get_args

from faim.errors import FaimError
from faim.extras import missing_package

Library = Literal["tensorrt", "tensorrt_rtx"]
#: What a person calls them, and the extra that installs each.
TITLES: dict[Library, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
EXTRAS: dict[Library, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}
#: GPUs that TensorRT-RTX is asked to build for without seeing them.
COMPUTE_CAPABILITIES = ("7.5", "8.6", "8.9", "12.0")
_LIBRARIES: tuple[Library, ...] = get_args(Library)


def load_library(library: Library, purpose: str) -> Any:
    """The module; `purpose` begins the message where it is not installed.

    Raises:
        FaimError: it is not, or it cannot be loaded.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        raise missing_package(purpose, library, EXTRAS[library]) from error
    except (ImportError, OSError) as error:
        raise FaimError(
            f"{purpose}: the package {library} cannot be loaded ({error}); expected its libraries "
            "to be installed whole"
        ) from error


def installed_libraries() -> list[Library]:
    """Those that can be imported, the full one first."""
    return [name for name in _LIBRARIES if find_spec(name) is not None]


def recording_logger(trt: Any) -> Any:
    """An `ILogger` that prints nothing and keeps error messages in its list `errors`."""

    class RecordingLogger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self.errors.append(message)

    return RecordingLogger()


def reason_of(messages: list[str]) -> str:
    """The cause among error messages, in one line without the library's own source positions.

    The first is the cause, the others follow from it. Where there is no GPU, every error is joined
    by one about the driver, which says nothing.
    """
    telling = [text for text in messages if "cudaError 35" not in text] or messages
    if not telling:
        return "it gives no reason"
    line = " ".join(telling[0].split())
    line = re.sub(r" In \w+ at \S+:\d+", "", line)
    line = re.sub(r"^\S*\[?\S+::\S+\]? ?(?=Error Code)|^\S+::\S+: (?=Error Code)", "", line)
    return re.sub(r"^Error Code \d+: ", "", line)
