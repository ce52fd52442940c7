"""Exported graphs in OpenVINO, on Intel and AMD processors and Intel GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faim.backends.base import graph_file
from faim.backends.info import KEY, ExportInfo, check_same_model
from faim.backends.openvino_library import core, load_openvino
from faim.backends.sharing import MadeOnce, MadePerThread
from faim.choices import Precision
from faim.errors import FaimError

EXTENSIONS = (".xml", ".onnx")
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_SHORT = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "float32": "fp32", "bfloat16": "bf16"}
#: Graphs that see several frames; they are small, and their cosines are scaled by 25.
_IN_FLOAT32 = ("step", "refine")


@dataclass(frozen=True)
class _Compiled:
    """A graph ready to run: OpenVINO's model, the place of each input, the names of the outputs."""

    model: Any
    info: ExportInfo
    inputs: dict[str, int]
    outputs: list[str]


class OpenVINORunner:
    """A `GraphRunner` over `<graph>.xml` or `<graph>.onnx`.

    Args:
        folder: what `faim export` wrote.
        precision: what the frame graph computes in; "auto" is bf16 where the processor has it, but
            fp32 for the small variants, whose scores bf16 moves by up to 0.1 (docs/results.md).
        threads: processor threads; all by default.

    Raises:
        FaimError: no OpenVINO, no such files, or files of another program.
    """

    backend = "openvino"

    def __init__(
        self, folder: Path, *, precision: Precision = "auto", threads: int | None = None
    ) -> None:
        openvino = load_openvino()
        self.device = torch.device("cpu")
        self._core = core()
        self._tensor = openvino.Tensor
        self._folder, self._wanted, self._threads = folder, precision, threads
        self._compiled = MadeOnce(self._load)
        # A request that runs in one thread is "busy" to others, and what comes out lies in it.
        self._requests: MadePerThread[str, Any] = MadePerThread(
            lambda graph: self._compiled[graph].model.create_infer_request()
        )
        frame = self._compiled["frame"]
        self.info = frame.info
        computed = frame.model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        float_part = _SHORT.get(computed, computed)
        if precision not in ("auto", _SHORT.get(computed, computed)):
            raise FaimError(
                f"precision: {precision} given, but this processor would compute in "
                f"{_SHORT.get(computed, computed)}; expected auto, fp32 or what it has"
            )
        quantized = self.info.precision == "int8"
        self.precision = f"int8/{float_part}" if quantized else float_part

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `GraphRunner.run`."""
        compiled, request = self._compiled[graph], self._requests[graph]
        try:
            # Tensors are handed over by reference; `infer` with a dictionary takes longer to
            # look at it than some graphs take to run.
            for name, tensor in inputs.items():
                request.set_input_tensor(
                    compiled.inputs[name], self._tensor(tensor.numpy(), shared_memory=True)
                )
            request.start_async()
            request.wait()
        except (RuntimeError, KeyError) as error:
            raise FaimError(
                f"{self._folder}: the {graph} graph fails ({_reason(error)})"
            ) from error
        return {
            name: torch.from_numpy(request.get_output_tensor(place).data)
            for place, name in enumerate(compiled.outputs)
        }

    def _load(self, graph: str) -> _Compiled:
        path = graph_file(self._folder, graph, EXTENSIONS)
        try:
            model = self._core.read_model(path)
            metadata = _metadata(model)
        except Exception as error:  # its errors have no common class
            raise FaimError(
                f"{path}: cannot be read by OpenVINO ({_reason(error)}); expected a file of faim "
                "export"
            ) from error
        info = ExportInfo.from_json(metadata, str(path))
        if graph != "frame":
            check_same_model(info, self.info, str(path))
        delicate = self._wanted == "auto" and info.config.delicate
        exact = graph in _IN_FLOAT32 or delicate
        hint = "f32" if exact else _HINTS.get(self._wanted)
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if hint is not None:
            settings["INFERENCE_PRECISION_HINT"] = hint
        if self._threads is not None:
            settings["INFERENCE_NUM_THREADS"] = self._threads
        try:
            compiled = self._core.compile_model(model, "CPU", settings)
        except Exception as error:  # as above
            raise FaimError(
                f"{path}: OpenVINO cannot compile it for this processor ({_reason(error)})"
            ) from error
        return _Compiled(
            compiled,
            info,
            {port.get_any_name(): place for place, port in enumerate(compiled.inputs)},
            [port.get_any_name() for port in compiled.outputs],
        )


def _metadata(model: Any) -> str:
    """Our text in the runtime info: of an IR at the top, of an ONNX file below "framework"."""
    for path in ([KEY], ["framework", KEY]):
        if model.has_rt_info(path):
            return str(model.get_rt_info(path).astype(str))
    return ""


def _reason(error: Exception) -> str:
    """OpenVINO's last line says what was wrong, the ones before where in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
