"""Exported graphs in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faim.backends.base import graph_file
from faim.backends.info import KEY, ExportInfo, check_same_model
from faim.backends.sharing import MadeOnce
from faim.errors import FaimError
from faim.extras import missing_package
from faim.threads import usable_processors

EXTENSIONS = (".onnx",)


@dataclass(frozen=True)
class _Session:
    """A graph ready to run: ONNX Runtime's session, and the names of the outputs."""

    library: Any
    info: ExportInfo
    outputs: list[str]


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
        try:
            import onnxruntime
        except ImportError as error:
            raise missing_package("backend onnxruntime", "onnxruntime", "onnxruntime") from error
        self.device = torch.device("cpu")
        self._folder = folder
        self._library = onnxruntime
        self._options = onnxruntime.SessionOptions()
        self._options.log_severity_level = 3  # errors only
        # Threads that wait spinning take the processors from whoever else is on the machine.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._options.intra_op_num_threads = threads or usable_processors()
        self._sessions = MadeOnce(self._load)  # each may run in several threads at once
        self.info = self._sessions["frame"].info
        self.precision: str = self.info.precision

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `GraphRunner.run`."""
        session = self._sessions[graph]
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        try:
            found = session.library.run(session.outputs, arrays)
        except Exception as error:  # its errors have no common class
            raise FaimError(
                f"{self._folder}: the {graph} graph fails ({_reason(error)})"
            ) from error
        made = zip(session.outputs, found, strict=True)
        return {name: torch.from_numpy(array) for name, array in made}

    def _load(self, graph: str) -> _Session:
        path = graph_file(self._folder, graph, EXTENSIONS)
        try:
            session = self._library.InferenceSession(
                path, self._options, providers=["CPUExecutionProvider"]
            )
            metadata = session.get_modelmeta().custom_metadata_map
        except Exception as error:  # its errors have no common class
            raise FaimError(
                f"{path}: cannot be read by ONNX Runtime ({_reason(error)}); expected a file of "
                "faim export"
            ) from error
        info = ExportInfo.from_json(metadata.get(KEY, ""), str(path))
        if graph != "frame":
            check_same_model(info, self.info, str(path))
        return _Session(session, info, [output.name for output in session.get_outputs()])


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
