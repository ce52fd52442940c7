"""Exported graphs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faim.errors import FaimError
from faim.export.info import KEY, ExportInfo, GraphName, check_same_model
from faim.extras import missing_package
from faim.runtime.backends.base import graph_file

EXTENSIONS = (".onnx",)


class OnnxRuntimeRunner:
    """A `GraphRunner` over `<graph>.onnx`, on the processor.

    Args:
        folder: what `faim export --format onnx` wrote.
        threads: processor threads; all by default.

    Raises:
        FaimError: no ONNX Runtime, no such files, or files of another program.
    """

    backend = "onnxruntime"

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        """See the class."""
        try:
            import onnxruntime
        except ImportError as error:
            raise missing_package("backend onnxruntime", "onnxruntime", "onnxruntime") from error
        self.device = torch.device("cpu")
        self._folder = folder
        self._library = onnxruntime
        self._options = onnxruntime.SessionOptions()
        self._options.log_severity_level = 3  # errors only
        if threads is not None:
            self._options.intra_op_num_threads = threads
        self._sessions: dict[GraphName, Any] = {}
        self._outputs: dict[GraphName, list[str]] = {}
        self._load("frame")
        self.precision: str = self.info.precision

    def run(self, graph: GraphName, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `GraphRunner.run`."""
        session = self._sessions.get(graph) or self._load(graph)
        names = self._outputs[graph]
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        try:
            found = session.run(names, arrays)
        except Exception as error:  # its errors have no common class
            raise FaimError(
                f"{self._folder}: the {graph} graph fails ({_reason(error)})"
            ) from error
        return {name: torch.from_numpy(array) for name, array in zip(names, found, strict=True)}

    def _load(self, graph: GraphName) -> Any:
        path = graph_file(self._folder, graph, EXTENSIONS)
        try:
            session = self._library.InferenceSession(
                path, self._options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common class
            raise FaimError(
                f"{path}: cannot be read by ONNX Runtime ({_reason(error)}); expected a file of "
                "faim export"
            ) from error
        metadata = session.get_modelmeta().custom_metadata_map
        info = ExportInfo.from_json(metadata.get(KEY, ""), str(path))
        if graph == "frame":
            self.info = info
        check_same_model(info, self.info, str(path))
        self._sessions[graph] = session
        self._outputs[graph] = [output.name for output in session.get_outputs()]
        return session


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
