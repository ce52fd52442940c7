"""OpenVINO, which must be kept from two things.

It reports its use to its makers, unless it believes itself in a test. And every `Core` gives the
thread a stack of its own for signals, which outlives the core where another was made meanwhile;
the next signal, a Ctrl-C for instance, then crashes the program.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

from faim.extras import missing_package


def load_openvino() -> Any:
    """The library; raises FaimError where it is not installed."""
    try:
        with silent():
            import openvino
    except ImportError as error:
        raise missing_package("backend openvino", "openvino", "openvino") from error
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


@functools.cache
def core() -> Any:
    """The one `openvino.Core` of the process, for ever.

    Raises:
        FaimError: OpenVINO is not installed.
    """
    return load_openvino().Core()


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (
        ("start", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextlib.contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Afterwards this thread's signals use the stack that they used before.

    For libraries that make cores of their own.
    """
    if sys.platform != "linux":
        yield
        return
    libc = ctypes.CDLL(None)
    before = _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)
