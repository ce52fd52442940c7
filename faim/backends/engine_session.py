"""One TensorRT engine at work: shapes, buffers, streams and CUDA graphs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from loguru import logger
from torch import Tensor

from faim.backends.engine_file import EngineTensor
from faim.backends.tensorrt_library import reason_of
from faim.errors import FaimError

#: What TensorRT asks of every address.
ALIGNMENT = 256


class EngineSession:
    """Runs an engine on a stream of its own, in step with torch's current one.

    Args:
        where: begins every message.
        engine: `ICudaEngine`.
        tensors: of the engine's file.
        stream: CUDA stream of the device, not the default one.
        device: where the tensors live.
        errors: what the library's logger has recorded, and goes on to.
        cuda_graphs: capture a run, and replay it from then on, where every shape is fixed.

    Raises:
        FaimError: the device cannot hold it.
    """

    def __init__(
        self,
        where: str,
        engine: Any,
        tensors: tuple[EngineTensor, ...],
        *,
        stream: Any,
        device: torch.device,
        errors: list[str],
        cuda_graphs: bool,
    ) -> None:
        self._where, self._stream, self._device, self._errors = where, stream, device, errors
        self._inputs = [tensor for tensor in tensors if tensor.is_input]
        self._outputs = [tensor for tensor in tensors if not tensor.is_input]
        self._context = engine.create_execution_context()
        if self._context is None:
            raise self._failure("cannot be made ready")
        self._engine = engine  # it must outlive its context
        self._buffers: dict[str, Tensor] = {}
        fixed = not any(tensor.is_open for tensor in tensors)
        self._capture_when_warm = cuda_graphs and fixed
        self._replay: _CapturedRun | None = None

    def run(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `GraphRunner.run`; it returns before the device is done."""
        given = {tensor.name: self._checked(tensor, inputs) for tensor in self._inputs}
        if self._replay is not None:
            self._replay.load(given)
            with self._in_step():
                self._replay.graph.replay()
            return self._replay.outputs
        outputs = self._bind(given)
        with self._in_step():
            self._execute()
        if self._capture_when_warm:
            # After a first run, since what TensorRT prepares in it cannot be captured.
            self._capture_when_warm = False
            self._replay = self._capture(given, outputs)
        return outputs

    def _checked(self, expected: EngineTensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """An input that the engine takes, contiguous and aligned."""
        tensor = inputs[expected.name]
        dtype = str(tensor.dtype).removeprefix("torch.")
        if dtype != expected.dtype:
            raise FaimError(f"{self._where}: {expected.name} is {dtype}; expected {expected.dtype}")
        shape = tuple(tensor.shape)
        fits = len(shape) == len(expected.shape) and all(
            low <= side <= high
            for low, side, high in zip(expected.smallest, shape, expected.largest, strict=True)
        )
        if not fits:
            raise FaimError(
                f"{self._where}: {expected.name} is of shape {shape}; expected one from "
                f"{expected.smallest} to {expected.largest}"
            )
        tensor = tensor.contiguous()
        return tensor if tensor.data_ptr() % ALIGNMENT == 0 else tensor.clone()

    def _bind(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tell the context shapes and addresses; returns the tensors it will write."""
        context = self._context
        for expected in self._inputs:
            tensor = given[expected.name]
            if expected.is_open and not context.set_input_shape(expected.name, tuple(tensor.shape)):
                raise self._failure(f"refuses {expected.name} of shape {tuple(tensor.shape)}")
            self._set_address(expected.name, tensor)
        outputs = {}
        for made in self._outputs:
            # Shapes of outputs are known once those of all inputs are.
            outputs[made.name] = self._buffer(made, tuple(context.get_tensor_shape(made.name)))
            self._set_address(made.name, outputs[made.name])
        return outputs

    def _set_address(self, name: str, tensor: Tensor) -> None:
        if not self._context.set_tensor_address(name, tensor.data_ptr()):
            raise self._failure(f"refuses the address of {name}")

    def _buffer(self, made: EngineTensor, shape: tuple[int, ...]) -> Tensor:
        """A tensor over memory that is kept from run to run, and grows where it must."""
        if any(side < 0 for side in shape):
            raise self._failure(f"does not know the shape of {made.name}")
        count = torch.Size(shape).numel()
        buffer = self._buffers.get(made.name)
        if buffer is None or buffer.numel() < count:
            buffer = torch.empty(count, dtype=getattr(torch, made.dtype), device=self._device)
            self._buffers[made.name] = buffer
        return buffer[:count].view(shape)

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """What is put on the engine's stream inside runs after what torch's current stream holds.

        And before whatever that stream is given next, so that memory of tensors handed out on it is
        never reused too early.
        """
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            yield
        current.wait_stream(self._stream)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise self._failure("fails")

    def _capture(
        self, given: Mapping[str, Tensor], outputs: dict[str, Tensor]
    ) -> _CapturedRun | None:
        """The run as a CUDA graph over inputs of its own; None where it cannot be captured."""
        # TensorRT-RTX can tell; TensorRT has no such question.
        can_tell = getattr(self._context, "is_stream_capturable", None)
        if can_tell is not None and not can_tell(self._stream.cuda_stream):
            return None
        inputs = {name: tensor.clone() for name, tensor in given.items()}
        current = torch.cuda.current_stream(self._device)
        try:
            for name, tensor in inputs.items():
                self._set_address(name, tensor)
            graph = torch.cuda.CUDAGraph()
            # Other threads may call CUDA meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._execute()
        except (FaimError, RuntimeError) as error:
            torch.cuda.set_stream(current)  # a failed capture leaves its own
            logger.debug("{}: runs without a CUDA graph ({})", self._where, error)
            return None
        return _CapturedRun(graph, inputs, outputs)

    def _failure(self, what: str) -> FaimError:
        return FaimError(f"{self._where}: the engine {what} ({reason_of(self._errors)})")


class _CapturedRun:
    """A CUDA graph with the tensors that it reads and writes."""

    def __init__(
        self, graph: torch.cuda.CUDAGraph, inputs: dict[str, Tensor], outputs: dict[str, Tensor]
    ) -> None:
        self.graph, self.inputs, self.outputs = graph, inputs, outputs

    def load(self, given: Mapping[str, Tensor]) -> None:
        """Copy new inputs to where the graph reads them."""
        for name, tensor in self.inputs.items():
            tensor.copy_(given[name])
