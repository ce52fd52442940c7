"""What `faim export` does: a checkpoint to a folder of files that run without PyTorch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.console import Console

from faim.backends.base import GraphRunner
from faim.backends.graph import Graph
from faim.backends.info import ExportInfo, Precision
from faim.backends.onnx_files import OPSET, write_onnx
from faim.data.coco_vid import CocoVid
from faim.detector import VideoDetector
from faim.errors import FaimError
from faim.evaluation.classes import match_classes
from faim.export import openvino, quantize
from faim.export.accuracy import AccuracyLoss, agreement, loss_on_data
from faim.export.output_folder import Workplace, check_output, exported_files, output_folder
from faim.export.parity import Parity, generated_frames, measure_parity
from faim.export.quantize import CalibrationFrames, read_calibration
from faim.export.report import frame_progress, print_loss, print_parity, print_summary
from faim.export.request import ExportOptions
from faim.extras import missing_package
from faim.families.checkpoints import family_of_file, load_detector
from faim.registry import resolve
from faim.runtime.select import over_graphs
from faim.version import __version__


@dataclass(frozen=True)
class ExportResult:
    """What an export came to.

    Attributes:
        files: all files, graph by graph.
        made_with: versions of the libraries, and ONNX's opset.
        parity: of each folder of files, by its path within the output folder ("." for itself),
            with PyTorch; nothing for those that cannot run here.
        loss: of average precision, by int8; None where it was not measured.
    """

    files: tuple[Path, ...]
    made_with: dict[str, str]
    parity: dict[str, Parity]
    loss: AccuracyLoss | None


def run_export(options: ExportOptions, console: Console | None = None) -> ExportResult:
    """Export, compare with PyTorch, and print what came of it.

    The output folder appears at the end, or, after an error or Ctrl-C, not at all.

    Raises:
        FaimError: an option, the weights or the calibration is wrong; a graph cannot be expressed
            in the format; or the output cannot be written.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    check_output(options.out)
    if os.path.isdir(options.weights):  # noqa: PTH112 - Path.is_dir raises for a name too long
        raise FaimError(f"{options.weights}: is a folder; expected a checkpoint to export")
    export = _Export(options, console)
    with output_folder(options.out) as place:
        export.write(place)
        parity = export.compare(place) if options.parity else {}
        loss = export.measure(place) if options.precision == "int8" else None
    files = tuple(exported_files(options.out))
    print_summary(files, options.out, export.made_with, console)
    return ExportResult(files, export.made_with, parity, loss)


class _Export:
    """An export whose inputs have been read and found fit."""

    def __init__(self, options: ExportOptions, console: Console) -> None:
        self.options, self.console = options, console
        if options.format == "tensorrt":
            from faim.export.tensorrt import check_target

            for capability in options.compute_capabilities or (None,):
                check_target(capability, options.weights_precision)
        self.made_with = _made_with(options)
        self.family = family_of_file(options.weights)
        if self.family.graphs is None:
            raise FaimError(
                f"{options.weights}: detectors of the family {self.family.name} have no graphs; "
                "expected a checkpoint that can be exported"
            )
        self.model = load_detector(options.weights, aggregate=options.aggregate)
        self.size = options.size or self.model.traits.size
        self.graphs: list[Graph] = resolve(self.family.graphs)(
            self.model, self.size, batch=options.batch, dynamic_size=options.dynamic_size
        )
        self.data = _data(options.data, self.model)
        self.frames = self._calibration()

    def _calibration(self) -> CalibrationFrames:
        if not self.options.calibration:
            return CalibrationFrames([], [])
        held_out = quantize.HELD_OUT_FRAMES if self.data is None else 0
        count = self.options.calibration_frames
        return read_calibration(self.options.calibration, self.size, count, held_out)

    def write(self, place: Workplace) -> None:
        """All files, and in the scratch folder the ONNX files they are made of."""
        options = self.options
        writers = {"onnx": self._onnx, "openvino": self._openvino, "tensorrt": self._tensorrt}
        for graph in self.graphs:
            writers[options.format](graph, place)
            self.console.print(f"{graph.name} graph exported", markup=False)

    def _info(self, graph: Graph, precision: Precision) -> ExportInfo:
        found: ExportInfo = resolve(self.family.graph_info or "")(
            self.model,
            graph.name,
            size=self.size,
            batch=self.options.batch,
            dynamic_size=self.options.dynamic_size,
            precision=precision,
            made_with=self.made_with,
        )
        return found

    def _onnx(self, graph: Graph, place: Workplace) -> None:
        info = self._info(graph, self.options.weights_precision)
        write_onnx(graph, place.files / f"{graph.name}.onnx", info)

    def _openvino(self, graph: Graph, place: Workplace) -> None:
        precision = self.options.weights_precision
        source = place.scratch / f"{graph.name}.onnx"
        write_onnx(graph, source, self._info(graph, "fp32"))
        network = openvino.read_onnx(source, graph.name)
        if precision == "int8" and graph.name == "frame":
            frames = self.frames.calibration
            self.console.print(f"{len(frames)} frames to calibrate with", markup=False)
            network = quantize.quantize_frame_graph(network, frames, self.options.batch)
        elif precision == "int8":
            precision = "fp32"
        path = place.files / f"{graph.name}.xml"
        openvino.write_openvino(network, path, self._info(graph, precision))

    def _tensorrt(self, graph: Graph, place: Workplace) -> None:
        from faim.backends.engine_file import read_engine_header
        from faim.export.tensorrt import write_engine

        info = self._info(graph, self.options.weights_precision)
        source = place.scratch / f"{graph.name}.onnx"
        write_onnx(graph, source, info)
        for folder, capability in _engine_folders(self.options.compute_capabilities):
            path = place.files / folder / f"{graph.name}.engine"
            path.parent.mkdir(exist_ok=True)
            write_engine(graph, source, path, info, compute_capability=capability)
            built_with = read_engine_header(path).info.made_with
            versions = {k: v for k, v in built_with.items() if k != "compute_capability"}
            self.made_with.update(versions)

    def compare(self, place: Workplace) -> dict[str, Parity]:
        """The files against PyTorch, where they can run here."""
        frames = (self.frames.held_out or self.frames.calibration)[:3]
        frames = frames or generated_frames(self.size)
        parity: dict[str, Parity] = {}
        for folder, runner in self._runners(place.files):
            parity[folder] = measure_parity(self.model, self.graphs, runner, frames)
            print_parity(parity[folder], f"{runner.backend} {runner.precision}", self.console)
        return parity

    def _runners(self, files: Path) -> Sequence[tuple[str, GraphRunner]]:
        if self.options.format == "openvino":
            return [(".", _openvino_runner(files))]
        if self.options.format == "tensorrt":
            return self._engine_runners(files)
        from faim.backends.onnxruntime import OnnxRuntimeRunner

        return [(".", OnnxRuntimeRunner(files))]

    def _engine_runners(self, files: Path) -> Sequence[tuple[str, GraphRunner]]:
        """Engines run on the GPU they were built for alone."""
        if not torch.cuda.is_available():
            self.console.print("not compared with PyTorch: no GPU here to run the engines")
            return []
        from faim.backends.tensorrt import TensorRTRunner

        here = "{}.{}".format(*torch.cuda.get_device_capability())
        folders = _engine_folders(self.options.compute_capabilities)
        fitting = [folder for folder, capability in folders if capability in (None, here)]
        if not fitting:
            self.console.print(f"not compared with PyTorch: the GPU here is of capability {here}")
        return [(folder, TensorRTRunner(files / folder)) for folder in fitting]

    def measure(self, place: Workplace) -> AccuracyLoss | None:
        """What int8 costs in average precision."""
        floating, quantized = (
            over_graphs(_openvino_runner(folder)) for folder in (place.scratch, place.files)
        )
        count = len(self.data.frames if self.data else self.frames.held_out)
        with frame_progress(self.console, "measuring", 2 * count) as on_frame:
            if self.data is not None:
                loss: AccuracyLoss | None = loss_on_data(floating, quantized, self.data, on_frame)
            else:
                folder = place.scratch / "frames"
                folder.mkdir()
                loss = agreement(floating, quantized, self.frames, folder, on_frame)
        print_loss(loss, self.console)
        return loss


def _openvino_runner(folder: Path) -> GraphRunner:
    """In float32 wherever the file does not say eight bits: the same figures on every processor."""
    from faim.backends.openvino import OpenVINORunner

    return OpenVINORunner(folder, precision="fp32")


def _engine_folders(capabilities: Sequence[str]) -> list[tuple[str, str | None]]:
    """Subfolder and compute capability of every set of engines."""
    if len(capabilities) < 2:
        return [(".", capabilities[0] if capabilities else None)]
    return [(f"sm{capability.replace('.', '')}", capability) for capability in capabilities]


def _made_with(options: ExportOptions) -> dict[str, str]:
    """Versions of what takes part.

    Raises:
        FaimError: one of the libraries is not installed.
    """
    needed = {"onnx": "onnx", "onnxscript": "onnx", "onnxsim": "onnx"}
    if options.format == "onnx" and options.parity:
        needed["onnxruntime"] = "onnxruntime"
    for package, extra in needed.items():
        if find_spec(package) is None:
            raise missing_package(f"format {options.format}", package, extra)
    versions = {"faim": __version__, "torch": version("torch"), "onnx": version("onnx")}
    versions["opset"] = str(OPSET)
    if options.format == "openvino":
        versions |= openvino.made_with()
    if options.precision == "int8":
        versions |= quantize.made_with()
    return versions


def _data(path: Path | None, model: VideoDetector) -> CocoVid | None:
    if path is None:
        return None
    data = CocoVid(path)
    data.check(num_classes=None, masks_required=False)
    match_classes(model.traits.class_names, data)
    return data
