"""Graphs as OpenVINO files: `<graph>.xml` with the network, `<graph>.bin` with its weights."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from faim.backends.info import KEY, ExportInfo
from faim.backends.openvino_library import silent
from faim.errors import FaimError
from faim.extras import missing_package


def read_onnx(path: Path, graph: str) -> Any:
    """An ONNX file of `write_onnx` as an `openvino.Model`.

    Raises:
        FaimError: OpenVINO is not installed, or cannot express the graph; the sentence names the
            operator.
    """
    openvino = _openvino()
    try:
        # Not `read_model`, which leaves SiLU as the product of x and its sigmoid: quantization then
        # rounds each of the two, and costs YOLOX-Nano a third of its AP.
        with silent():
            model = openvino.convert_model(path)
    except Exception as error:  # its errors have no common class
        raise FaimError(f"{graph}: OpenVINO cannot read the graph ({_reason(error)})") from error
    # Copies of the ONNX file's metadata, which need not be true of what is made of it.
    for name in list(model.get_rt_info()):
        del model.rt_info[name]
    return model


def write_openvino(model: Any, path: Path, info: ExportInfo) -> None:
    """Write a model with `info` in its runtime info.

    Args:
        model: `openvino.Model`; its runtime info is changed.
        path: ends in `.xml`; the weights are written beside it.
        info: with precision "fp16" the weights are stored in half precision. What the network
            computes in is chosen where it runs, whatever the file holds.

    Raises:
        FaimError: the files cannot be written.
    """
    openvino = _openvino()
    model.set_rt_info(info.to_json(), [KEY])
    try:
        openvino.save_model(model, path, compress_to_fp16=info.precision == "fp16")
    except RuntimeError as error:
        raise FaimError(
            f"{path}: cannot be written ({_reason(error)}); expected space on its disk"
        ) from error


def made_with() -> dict[str, str]:
    """Versions, for `ExportInfo.made_with`."""
    _openvino()
    return {"openvino": version("openvino")}


def _openvino() -> Any:
    try:
        with silent():
            import openvino
    except ImportError as error:
        raise missing_package("format openvino", "openvino", "openvino") from error
    return openvino


def _reason(error: Exception) -> str:
    """OpenVINO's last line says what was wrong, the ones before where in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
