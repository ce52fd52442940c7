"""Graphs as TensorRT engines, for the GPU of this machine or ahead of time for another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from faim.backends.engine_file import EngineTensor, Shape, write_engine_file
from faim.backends.graph import Graph
from faim.backends.info import ExportInfo, Precision
from faim.backends.tensorrt_library import (
    COMPUTE_CAPABILITIES,
    TITLES,
    Library,
    installed_libraries,
    load_library,
    reason_of,
    recording_logger,
)
from faim.errors import FaimError
from faim.extras import how_to_install

_PURPOSE = "format tensorrt"
_OPTION = "--compute-capability"
#: TensorRT-RTX has no float32 matrix products for it.
_HALF_ONLY = "7.5"


def write_engine(
    graph: Graph,
    onnx_model: Path,
    path: Path,
    info: ExportInfo,
    *,
    compute_capability: str | None = None,
) -> None:
    """Build an engine and write it with its header (see `faim.backends.engine_file`).

    Args:
        graph: whose axes become the engine's optimization profile.
        onnx_model: what `write_onnx` made of it; its types are kept, in a strongly typed network.
        path: of the file to write, which appears whole or not at all.
        info: of the ONNX file; the library and the compute capability are added to `made_with`.
        compute_capability: one of `COMPUTE_CAPABILITIES`, for which TensorRT-RTX builds ahead of
            time; None for the GPU of this machine, with TensorRT or else TensorRT-RTX.

    Raises:
        FaimError: no library or no GPU that fits; a compute capability or a precision that cannot
            be built for; an operation that TensorRT refuses (the sentence names its node); or the
            file cannot be written.
    """
    library, capability = check_target(compute_capability, info.precision)
    trt = load_library(library, _PURPOSE)
    version: str = trt.__version__
    made_with = {**info.made_with, library: version, "compute_capability": capability}
    where = f"{graph.name}: {TITLES[library]} {version} for compute capability {capability}"
    engine, tensors = _Build(trt, where, graph).run(onnx_model, library, info.precision, capability)
    write_engine_file(path, replace(info, made_with=made_with), tensors, engine)


def check_target(compute_capability: str | None, precision: Precision) -> tuple[Library, str]:
    """Library and compute capability of a build, which need not be under way yet.

    Args:
        compute_capability: see `write_engine`.
        precision: of the weights.

    Raises:
        FaimError: see `write_engine`, as far as neither the graph nor the file is concerned.
    """
    library, capability = _choose(compute_capability)
    if library == "tensorrt_rtx" and capability == _HALF_ONLY and precision == "fp32":
        raise FaimError(
            f"--precision: fp32 with {_OPTION} {capability}, for which TensorRT-RTX computes no "
            "float32 matrix products; expected --precision fp16"
        )
    load_library(library, _PURPOSE)
    return library, capability


def _choose(asked: str | None) -> tuple[Library, str]:
    """Library and compute capability."""
    if asked is not None:
        if asked not in COMPUTE_CAPABILITIES:
            raise FaimError(
                f"{_OPTION}: {asked!r} given; expected one of {', '.join(COMPUTE_CAPABILITIES)}"
            )
        return "tensorrt_rtx", asked
    installed = installed_libraries()
    if not installed:
        raise FaimError(
            f"{_PURPOSE}: neither the package tensorrt nor tensorrt_rtx is installed; expected one "
            f"({how_to_install('tensorrt')} for the GPU of this machine, the extra tensorrt-rtx "
            f"with {_OPTION} for others)"
        )
    if not torch.cuda.is_available():
        raise FaimError(
            f"{_OPTION}: not given, and there is no GPU here to build for; expected one of "
            f"{', '.join(COMPUTE_CAPABILITIES)}"
        )
    here = "{}.{}".format(*torch.cuda.get_device_capability())
    if installed[0] == "tensorrt_rtx" and here not in COMPUTE_CAPABILITIES:
        raise FaimError(
            f"{_OPTION}: the GPU here is of {here}, for which the package tensorrt_rtx does not "
            f"build; expected the package tensorrt ({how_to_install('tensorrt')}), or one of "
            f"{', '.join(COMPUTE_CAPABILITIES)}"
        )
    return installed[0], here


class _Build:
    """One run of TensorRT's builder; `where` begins every message."""

    def __init__(self, trt: Any, where: str, graph: Graph) -> None:
        self.trt, self.where, self.graph = trt, where, graph
        self.logger = recording_logger(trt)
        self.builder = trt.Builder(self.logger)
        self.parser: Any = None

    def run(
        self, onnx_model: Path, library: Library, precision: Precision, capability: str
    ) -> tuple[bytes, tuple[EngineTensor, ...]]:
        """The serialized engine, and its inputs and outputs."""
        network = self._parse(onnx_model)
        config = self._config(library, capability)
        if precision == "fp32":
            config.clear_flag(self.trt.BuilderFlag.TF32)
        engine = self.builder.build_serialized_network(network, config)
        if engine is None:
            raise FaimError(
                f"{self.where}: cannot build the graph ({reason_of(self.logger.errors)})"
            )
        return bytes(engine), self._tensors(network)

    def _parse(self, onnx_model: Path) -> Any:
        # Newer versions know strongly typed networks alone, and no flag for them.
        flags = self.trt.NetworkDefinitionCreationFlag.__members__
        typed = flags.get("STRONGLY_TYPED")
        network = self.builder.create_network(0 if typed is None else 1 << int(typed))
        # Kept until the engine is built: it may own the weights that the network points to.
        self.parser = self.trt.OnnxParser(network, self.logger)
        if not self.parser.parse_from_file(str(onnx_model)):
            raise FaimError(f"{self.where}: {self._refusal(self.parser)}")
        return network

    def _refusal(self, parser: Any) -> str:
        if parser.num_errors == 0 or not parser.get_error(0).node_operator():
            return f"cannot read the ONNX graph ({reason_of(self.logger.errors)})"
        error = parser.get_error(0)
        node = f"{error.node_name() or error.node()} ({error.node_operator()})"
        if error.code() == self.trt.ErrorCode.UNSUPPORTED_NODE:
            return f"has no operation for node {node}"
        # The first line only repeats the node.
        lines = [line for line in error.desc().splitlines() if line.strip()]
        return f"refuses node {node}: {reason_of(lines[1:] or lines)}"

    def _config(self, library: Library, capability: str) -> Any:
        config = self.builder.create_builder_config()
        if library == "tensorrt_rtx":
            target = getattr(self.trt.ComputeCapability, f"SM{capability.replace('.', '')}")
            config.num_compute_capabilities = 1
            config.set_compute_capability(target, 0)
            # Without it an engine may allocate while it runs, which no CUDA graph can hold.
            config.set_flag(self.trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if any(self.graph.axes.values()):
            profile = self.builder.create_optimization_profile()
            for name, axes in self.graph.axes.items():
                if axes:
                    profile.set_shape(name, *profile_shapes(self.graph, name))
            config.add_optimization_profile(profile)
        return config

    def _tensors(self, network: Any) -> tuple[EngineTensor, ...]:
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        outputs = [network.get_output(index) for index in range(network.num_outputs)]
        return (
            *(
                EngineTensor(
                    tensor.name,
                    True,
                    self._dtype(tensor),
                    tuple(tensor.shape),
                    *profile_shapes(self.graph, tensor.name),
                )
                for tensor in inputs
            ),
            *(
                EngineTensor(tensor.name, False, self._dtype(tensor), tuple(tensor.shape))
                for tensor in outputs
            ),
        )

    def _dtype(self, tensor: Any) -> str:
        kinds = self.trt.DataType
        names = {
            kinds.FLOAT: "float32",
            kinds.HALF: "float16",
            kinds.INT32: "int32",
            kinds.INT64: "int64",
            kinds.UINT8: "uint8",
            kinds.BOOL: "bool",
        }
        return names[tensor.dtype]


def profile_shapes(graph: Graph, name: str) -> tuple[Shape, Shape, Shape]:
    """Smallest, usual and largest shape of a graph's input."""
    shape, axes = tuple(graph.inputs[name].shape), graph.axes[name]

    def filled(length: str) -> Shape:
        return tuple(
            getattr(axes[place], length) if place in axes else side
            for place, side in enumerate(shape)
        )

    return filled("smallest"), filled("usual"), filled("largest")
