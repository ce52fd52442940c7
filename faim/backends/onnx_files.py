"""Graphs as ONNX files."""

from __future__ import annotations

import contextlib
import copy
import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from faim.backends.axes import Axis
from faim.backends.graph import Graph
from faim.backends.info import KEY, ExportInfo
from faim.errors import FaimError

OPSET = 20
#: What an exporter says to its own makers.
LOGGERS = (
    "torch.onnx",
    "torch.export",
    "torch.fx.experimental.symbolic_shapes",
    "onnxscript",
)


def write_onnx(graph: Graph, path: Path, info: ExportInfo) -> None:
    """Export, simplify, check and write one graph, with `info` in its properties.

    Weights are float32, or float16 where `info.precision` says so; what goes in and out is float32
    in both.

    Raises:
        FaimError: the graph cannot be expressed in ONNX; the sentence names the reason.
    """
    import onnx
    import onnxsim

    module = copy.deepcopy(graph.module)
    if info.precision == "fp16":
        module.half()
    model = _trace(graph, module)
    simplified, same = onnxsim.simplify(model)
    if not same:
        raise FaimError(f"{graph.name}: simplifying changed the ONNX graph's results")
    onnx.helper.set_model_props(simplified, {KEY: info.to_json()})
    try:
        onnx.checker.check_model(simplified, full_check=True)
    except onnx.checker.ValidationError as error:
        raise FaimError(f"{graph.name}: the ONNX graph is not valid ({error})") from error
    try:
        onnx.save_model(simplified, path)
    except OSError as error:
        raise FaimError(f"{path}: cannot be written ({error.strerror})") from error


def write_onnx_folder(graphs: Iterable[tuple[Graph, ExportInfo]], folder: Path) -> None:
    """Graphs with what their files say, in an existing folder; see `write_onnx`."""
    for graph, info in graphs:
        write_onnx(graph, folder / f"{graph.name}.onnx", info)


def _trace(graph: Graph, module: torch.nn.Module) -> Any:
    dims: dict[str, Any] = {}
    shapes = tuple(
        {place: _dim(axis, dims) for place, axis in graph.axes[name].items()}
        for name in graph.inputs
    )
    program: torch.export.ExportedProgram | None = None
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(
                module, tuple(graph.inputs.values()), dynamic_shapes=shapes, strict=False
            )
            exported = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                verbose=False,
            )
    except Exception as error:  # the exporter raises errors of many kinds
        where = graph.name + _layer(program, error)
        raise FaimError(f"{where}: cannot be exported to ONNX ({_reason(error)})") from error
    assert exported is not None
    _check_open(graph, exported.model_proto)
    return exported.model_proto


def _check_open(graph: Graph, model: Any) -> None:
    """The exporter may fix a dimension that some operation turned into a plain number."""
    for tensor in model.graph.input:
        for place, axis in graph.axes[tensor.name].items():
            if tensor.type.tensor_type.shape.dim[place].HasField("dim_value"):
                raise FaimError(
                    f"{graph.name}: the exporter fixed {axis.name} of {tensor.name}; expected it "
                    "open"
                )


def _layer(program: torch.export.ExportedProgram | None, error: BaseException) -> str:
    """The layer whose operation an error of the exporter is about, as ", layer PATH", if known."""
    found = None
    cause: BaseException | None = error
    while program is not None and cause is not None and found is None:
        found = re.search(r"translating node %(\w+)", str(cause))
        cause = cause.__cause__
    if program is None or found is None:
        return ""
    for node in program.graph.nodes:
        if node.name == found[1] and node.meta.get("nn_module_stack"):
            path, _ = list(node.meta["nn_module_stack"].values())[-1]
            return f", layer {path}" if path else ""
    return ""


def _dim(axis: Axis, dims: dict[str, Any]) -> Any:
    if axis.name not in dims:
        unit = Dim(
            f"{axis.name}_unit" if axis.multiple > 1 else axis.name,
            min=axis.smallest // axis.multiple,
            max=axis.largest // axis.multiple,
        )
        dims[axis.name] = axis.multiple * unit if axis.multiple > 1 else unit
    return dims[axis.name]


def _reason(error: BaseException) -> str:
    """The innermost error in one line: that is the one which names the operator."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about itself."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
