"""Exported graphs in TensorRT, on NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faim.backends.base import graph_file
from faim.backends.engine_file import EngineHeader, read_engine_file, read_engine_header
from faim.backends.engine_session import EngineSession
from faim.backends.info import check_same_model
from faim.backends.sharing import MadeOnce, MadePerThread
from faim.backends.tensorrt_library import (
    TITLES,
    Library,
    load_library,
    reason_of,
    recording_logger,
)
from faim.errors import FaimError

EXTENSIONS = (".engine",)
_AGAIN = "export it again"


class TensorRTRunner:
    """A `GraphRunner` over `<graph>.engine`, built by TensorRT or by TensorRT-RTX.

    Args:
        folder: what `faim export --format tensorrt` wrote for one compute capability.
        device: a GPU of that compute capability.
        cuda_graphs: replay the frame graph as a CUDA graph where its shapes are fixed.

    Raises:
        FaimError: no GPU, or one of another compute capability; the library that built the engines
            is not installed, or in another version; no such files, or damaged ones.
    """

    backend = "tensorrt"

    def __init__(
        self, folder: Path, *, device: torch.device | str = "cuda:0", cuda_graphs: bool = True
    ) -> None:
        self._folder, self._cuda_graphs = folder, cuda_graphs
        path = graph_file(folder, "frame", EXTENSIONS)
        header = read_engine_header(path)
        self.device = _gpu(torch.device(device), header, path)
        self.info = header.info
        self.precision: str = self.info.precision
        self._library = _library_of(header, path)
        self._trt: Any = load_library(self._library, "backend tensorrt")
        self._logger = recording_logger(self._trt)
        self._runtime = self._trt.Runtime(self._logger)
        self._engines = MadeOnce(self._load)
        # A context serves one thread at a time, and its buffers hold what comes out.
        self._sessions = MadePerThread(self._open)
        self._streams = MadePerThread(torch.cuda.Stream)
        self._sessions["frame"]

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `GraphRunner.run`."""
        session = self._sessions[graph]
        self._logger.errors.clear()
        with torch.inference_mode(), torch.cuda.device(self.device):
            return session.run(inputs)

    def _load(self, graph: str) -> tuple[EngineHeader, Any]:
        path = graph_file(self._folder, graph, EXTENSIONS)
        header, data = read_engine_file(path)
        self._check(header, graph, path)
        self._logger.errors.clear()
        with torch.cuda.device(self.device):
            engine = self._runtime.deserialize_cuda_engine(data)
            if engine is None:
                raise FaimError(
                    f"{path}: {TITLES[self._library]} {self._trt.__version__} cannot load the "
                    f"engine ({reason_of(self._logger.errors)}); {_AGAIN} on this machine"
                )
        return header, engine

    def _open(self, graph: str) -> EngineSession:
        header, engine = self._engines[graph]
        with torch.cuda.device(self.device):
            return EngineSession(
                f"{self._folder}, the {graph} graph",
                engine,
                header.tensors,
                stream=self._streams[self.device],
                device=self.device,
                errors=self._logger.errors,
                cuda_graphs=self._cuda_graphs,
            )

    def _check(self, header: EngineHeader, graph: str, path: Path) -> None:
        """All that would make the library refuse the engine, or run another one than meant."""
        if header.info.graph != graph:
            raise FaimError(f"{path}: holds the {header.info.graph} graph; expected {graph}")
        check_same_model(header.info, self.info, str(path))
        _check_capability(header, self.device, path)
        library = _library_of(header, path)
        built, here = header.info.made_with[library], self._trt.__version__
        if library != self._library or built != here:
            raise FaimError(
                f"{path}: built by {TITLES[library]} {built}, and {TITLES[self._library]} {here} "
                f"is to run it; expected one built by that: {_AGAIN}"
            )


def _gpu(device: torch.device, header: EngineHeader, path: Path) -> torch.device:
    """The device with its index, if it can run the engine."""
    needed = _capability_of(header)
    if device.type != "cuda" or not torch.cuda.is_available():
        found = f"device {device}" if torch.cuda.is_available() else "no CUDA GPU here"
        raise FaimError(
            f"backend tensorrt: {found}; expected a GPU of compute capability {needed}, for which "
            f"{path} was built"
        )
    index = torch.cuda.current_device() if device.index is None else device.index
    last = torch.cuda.device_count() - 1
    if index > last:
        raise FaimError(f"device: {device} given; expected one of cuda:0 to cuda:{last}")
    device = torch.device("cuda", index)
    _check_capability(header, device, path)
    return device


def _check_capability(header: EngineHeader, device: torch.device, path: Path) -> None:
    needed = _capability_of(header)
    here = "{}.{}".format(*torch.cuda.get_device_capability(device))
    if needed != here:
        raise FaimError(
            f"{path}: built for GPUs of compute capability {needed}, and {device} is of {here}; "
            f"expected one built for {here}: {_AGAIN} with --compute-capability {here}"
        )


def _capability_of(header: EngineHeader) -> str:
    return header.info.made_with.get("compute_capability", "unknown")


def _library_of(header: EngineHeader, path: Path) -> Library:
    for library in TITLES:
        if library in header.info.made_with:
            return library
    raise FaimError(f"{path}: does not say which library built it; expected a file of faim export")
