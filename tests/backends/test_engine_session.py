"""An engine at work: the order of what it is told, its buffers, and its CUDA graph.

There need be no GPU: a stand-in for the library's context doubles numbers in memory, through the
addresses it is given.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from faim.backends.engine_file import EngineTensor
from faim.backends.engine_session import EngineSession
from faim.errors import FaimError

OPEN = (
    EngineTensor("x", True, "float32", (-1, 3), (1, 3), (2, 3), (8, 3)),
    EngineTensor("y", False, "float32", (-1, 3)),
)
FIXED = (
    EngineTensor("x", True, "float32", (2, 3), (2, 3), (2, 3), (2, 3)),
    EngineTensor("y", False, "float32", (2, 3)),
)


@dataclass
class FakeStream:
    """Notes who waited for whom."""

    name: str
    calls: list[Any]
    cuda_stream: int = 7

    def wait_stream(self, other: FakeStream) -> None:
        self.calls.append((self.name, "waits for", other.name))


@dataclass
class FakeContext:
    """y = 2 x, by address."""

    tensors: tuple[EngineTensor, ...]
    calls: list[Any]
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)
    capturing: Any = None
    capturable: bool = True
    works: bool = True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.calls.append(("shape", name, shape))
        self.shapes[name] = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes.get("x", self.tensors[1].shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def is_stream_capturable(self, stream: int) -> bool:
        assert stream == 7
        return self.capturable

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 7
        self.calls.append("execute")
        addresses, count = dict(self.addresses), int(np.prod(self.get_tensor_shape("y")))
        if self.capturing is not None:
            self.capturing.runs = lambda: _double(addresses, count)
        elif self.works:
            _double(addresses, count)
        return self.works


def _double(addresses: dict[str, int], count: int) -> None:
    x, y = (
        np.ctypeslib.as_array(
            ctypes.cast(addresses[name], ctypes.POINTER(ctypes.c_float)), (count,)
        )
        for name in ("x", "y")
    )
    y[:] = 2 * x


@dataclass
class Fake:
    """A session over stand-ins, with all that it told them in `calls`."""

    session: EngineSession
    context: FakeContext
    calls: list[Any]
    errors: list[str]

    def run(self, x: Tensor) -> Tensor:
        return self.session.run({"x": x})["y"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes `Fake`s; torch.cuda is stood in for as far as a session uses it."""
    calls: list[Any] = []
    current = FakeStream("current", calls)

    @contextmanager
    def stream_context(stream: FakeStream) -> Iterator[None]:
        yield

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: current)
    monkeypatch.setattr(torch.cuda, "stream", stream_context)
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: calls.append("stream restored"))

    def make(tensors: tuple[EngineTensor, ...], cuda_graphs: bool = True) -> Fake:
        context, errors = FakeContext(tensors, calls), []

        class FakeGraph:
            def replay(self) -> None:
                calls.append("replay")
                self.runs()  # type: ignore[attr-defined]

        @contextmanager
        def capture(graph: FakeGraph, **options: Any) -> Iterator[None]:
            assert options["capture_error_mode"] == "thread_local"
            calls.append("capture")
            context.capturing = graph
            try:
                yield
            finally:
                context.capturing = None

        monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
        monkeypatch.setattr(torch.cuda, "graph", capture)
        session = EngineSession(
            "folder, the frame graph",
            SimpleNamespace(create_execution_context=lambda: context),
            tensors,
            stream=FakeStream("own", calls),
            device=torch.device("cpu"),
            errors=errors,
            cuda_graphs=cuda_graphs,
        )
        return Fake(session, context, calls, errors)

    return make


def aligned(*shape: int) -> Tensor:
    """Random numbers at an address that TensorRT takes as it is."""
    count = int(np.prod(shape))
    memory = torch.rand(count + 64)
    start = -memory.data_ptr() % 256 // 4
    return memory[start : start + count].view(shape)


def test_a_run_waits_for_its_inputs_and_is_waited_for(fake: Any) -> None:
    session = fake(OPEN)
    x = aligned(2, 3)
    assert torch.equal(session.run(x), 2 * x)
    assert session.calls == [
        ("shape", "x", (2, 3)),
        ("own", "waits for", "current"),
        "execute",
        ("current", "waits for", "own"),
    ]
    assert session.context.addresses["x"] == x.data_ptr()


def test_open_shapes_grow_their_buffers_and_keep_them(fake: Any) -> None:
    session = fake(OPEN)
    places = []
    for length in (2, 8, 1, 5):
        x = aligned(length, 3)
        y = session.run(x)
        assert torch.equal(y, 2 * x)
        places.append(y.data_ptr())
    assert places[1] == places[2] == places[3] != places[0]
    assert "capture" not in session.calls


@pytest.mark.parametrize("make", ["transposed", "misaligned"])
def test_inputs_are_made_contiguous_and_aligned(fake: Any, make: str) -> None:
    session = fake(OPEN)
    x = aligned(3, 4).T if make == "transposed" else aligned(5, 3)[1:]
    assert torch.equal(session.run(x), 2 * x)
    assert session.context.addresses["x"] != x.data_ptr()


def test_the_second_run_of_fixed_shapes_is_a_replay(fake: Any) -> None:
    session = fake(FIXED)
    first, second = aligned(2, 3), aligned(2, 3)
    assert torch.equal(session.run(first), 2 * first)
    assert session.calls[-2:] == ["capture", "execute"]
    session.calls.clear()
    assert torch.equal(session.run(second), 2 * second)
    assert session.calls == [
        ("own", "waits for", "current"),
        "replay",
        ("current", "waits for", "own"),
    ]


@pytest.mark.parametrize("reason", ["not asked for", "not capturable", "capture fails"])
def test_without_a_cuda_graph_it_runs_all_the_same(
    fake: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = fake(FIXED, cuda_graphs=reason != "not asked for")
    session.context.capturable = reason != "not capturable"
    if reason == "capture fails":

        @contextmanager
        def capture(graph: Any, **options: Any) -> Iterator[None]:
            raise RuntimeError("operation not permitted when stream is capturing")
            yield

        monkeypatch.setattr(torch.cuda, "graph", capture)
    for _ in range(3):
        x = aligned(2, 3)
        assert torch.equal(session.run(x), 2 * x)
    assert session.calls.count("execute") == 3
    assert session.calls.count("stream restored") == (reason == "capture fails")


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(9, 3), r"x is of shape \(9, 3\); expected one from \(1, 3\) to \(8, 3\)"),
        (torch.zeros(0, 3), r"x is of shape \(0, 3\)"),
        (torch.zeros(2, 3, 1), r"x is of shape \(2, 3, 1\)"),
        (torch.zeros(2, 3).double(), "x is float64; expected float32"),
    ],
)
def test_inputs_the_engine_is_not_made_for_are_refused(fake: Any, x: Tensor, sentence: str) -> None:
    session = fake(OPEN)
    with pytest.raises(FaimError, match=f"^folder, the frame graph: {sentence}"):
        session.run(x)
    assert session.calls == []


def test_a_failed_run_says_why(fake: Any) -> None:
    session = fake(OPEN)
    session.context.works = False
    session.errors.append("IExecutionContext::enqueueV3: Error Code 1: Cuda (out of memory)")
    with pytest.raises(FaimError, match=r"the engine fails \(Cuda \(out of memory\)\)"):
        session.run(aligned(2, 3))
