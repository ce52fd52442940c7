"""From weights and a wish to a running detector."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import torch
from loguru import logger

from faim.backends.base import GraphRunner, graph_file
from faim.backends.graph_cache import NoCacheError, cached_graphs
from faim.backends.sharing import check_not_forked
from faim.checks import resolve_device
from faim.choices import BackendName
from faim.errors import FaimError
from faim.extras import missing_package
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.checkpoint import Aggregate, load_model
from faim.families.yolox.graph_detector import GraphDetector
from faim.families.yolox.ticam_detector import VideoModel
from faim.groups import BackendOptions
from faim.weights.named import place_of

#: A folder's files, most specialised first, with the backends that read them, quickest first.
_READERS: dict[str, tuple[BackendName, ...]] = {
    ".engine": ("tensorrt",),
    ".xml": ("openvino",),
    ".onnx": ("openvino", "onnxruntime"),
}
#: What exports the graphs of a checkpoint.
_EXPORTERS = ("onnx", "onnxscript", "onnxsim")
#: What stands for "auto" when this environment variable is set.
BACKEND_VARIABLE = "FAIM_BACKEND"


def open_detector(
    weights: str | Path,
    options: BackendOptions = BackendOptions(),
    *,
    aggregate: Aggregate = "auto",
    size: tuple[int, int] | None = None,
    least_nms: float | None = None,
) -> GraphDetector:
    """A detector from a checkpoint or from a folder that `faim export` wrote.

    A backend other than torch needs exported graphs: those of a checkpoint are made once, which
    takes about a quarter of a minute, and kept in the cache folder.

    Args:
        weights: checkpoint, name of known weights (see `weights_file`), or folder.
        options: what runs it.
        aggregate: see `load_model`.
        size: height and width of the network input; the model's own by default.
        least_nms: IoU in [0, 1] up to which proposals may overlap, where the model's own NMS of
            proposals is stricter.

    Raises:
        FaimError: see `load_model`; or the backend is not installed, cannot run on the device or
            cannot read the folder's files.
    """
    check_not_forked()
    # Another process may have another working folder.
    found = os.path.abspath(place_of(weights))  # noqa: PTH100 - links stay
    detector = _open(weights, options, aggregate, size)
    if least_nms is not None:
        detector.loosen_nms(least_nms)
    detector.reopen = partial(
        open_detector, found, options, aggregate=aggregate, size=size, least_nms=least_nms
    )
    return detector


def _open(
    weights: str | Path,
    options: BackendOptions,
    aggregate: Aggregate,
    size: tuple[int, int] | None,
) -> GraphDetector:
    if os.path.isdir(weights):  # noqa: PTH112 - Path.is_dir raises for a name too long
        return _open_folder(Path(weights), options, aggregate, size)
    if Path(weights).suffix in _READERS:
        raise FaimError(
            f"{weights}: one file of an exported folder; expected the folder, or a checkpoint"
        )
    backend = _resolve(options)
    if backend == "tensorrt":
        raise FaimError(
            f"{weights}: backend tensorrt runs engines, which are built once for one kind of GPU; "
            "expected a folder written by faim export --format tensorrt"
        )
    if backend != "torch":
        # Before the export, which takes long.
        _check_graph_options(backend, options)
        for package in (backend, *_EXPORTERS):
            if find_spec(package) is None:
                raise missing_package(f"backend {backend}", package, backend)
    model = load_model(weights, aggregate=aggregate)
    if backend != "torch":
        try:
            folder = cached_graphs(place_of(weights), model, size or model.config.test_size)
            detector = GraphDetector(_runner(backend, folder, options))
            detector.warm_up()
            return detector
        except NoCacheError as error:
            if _wanted(options) != "auto":
                raise
            logger.warning("{}: torch runs the networks, which is slower", error)
    detector = torch_detector(model, options)
    if size is not None:
        detector.set_size(size)
    return detector


def torch_detector(
    model: VideoModel,
    options: BackendOptions = BackendOptions(),
) -> GraphDetector:
    """A model that is in memory, run by torch."""
    from faim.families.yolox.torch_runner import TorchRunner

    device = resolve_device(options.device)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    runner = TorchRunner(model, device=device, precision=options.precision, compile=options.compile)
    return GraphDetector(runner)


def _open_folder(
    folder: Path, options: BackendOptions, aggregate: Aggregate, size: tuple[int, int] | None
) -> GraphDetector:
    kinds = [ending for ending in _READERS if (folder / f"frame{ending}").is_file()]
    if not kinds:
        raise FaimError(
            f"{folder}: a folder without frame{', frame'.join(_READERS)}; expected a checkpoint, "
            "or a folder that faim export wrote"
        )
    readers = [reader for kind in kinds for reader in _READERS[kind]]
    wanted = _wanted(options)
    if options.backend == "auto" and wanted not in readers:
        wanted = "auto"  # the environment variable speaks of checkpoints
    if wanted == "auto":
        backend = next((name for name in readers if is_installed(name)), readers[-1])
    elif wanted in readers:
        backend = wanted
    else:
        raise FaimError(
            f"{folder}: backend {wanted} cannot read its files ({', '.join(kinds)}); expected "
            f"{' or '.join(dict.fromkeys(readers))}"
        )
    detector = GraphDetector(_runner(backend, folder, options))
    info = detector.runner.info
    if info.dynamic_size and size is not None:
        detector.set_size(size)
    elif size is not None and size != info.config.test_size:
        asked, has = ("x".join(map(str, sides)) for sides in (size, info.config.test_size))
        raise FaimError(f"size: {asked} asked of {folder}, exported for {has}; expected {has}")
    if aggregate == "none":
        detector.aggregator = NoAggregation()
    elif info.aggregation == "ticam":
        kind = next(kind for kind in kinds if backend in _READERS[kind])
        for graph in ("describe", "step", "refine"):
            graph_file(folder, graph, (kind,))
    if aggregate not in ("auto", "none", info.aggregation):
        raise FaimError(
            f"{folder}: exported with aggregation {info.aggregation}; expected --aggregate "
            f"{info.aggregation}, none or auto"
        )
    detector.warm_up()
    return detector


def _runner(backend: BackendName, folder: Path, options: BackendOptions) -> GraphRunner:
    _check_graph_options(backend, options)
    # What torch still does are small tensors on the host. A second thread is no help there, and
    # where the backend keeps that core busy, waiting for it takes longer than all the rest.
    torch.set_num_threads(1)
    if backend == "openvino":
        from faim.backends.openvino import OpenVINORunner

        return OpenVINORunner(folder, precision=options.precision, threads=options.threads)
    if backend == "onnxruntime":
        from faim.backends.onnxruntime import OnnxRuntimeRunner

        return OnnxRuntimeRunner(folder, threads=options.threads)
    from faim.backends.tensorrt import TensorRTRunner

    return TensorRTRunner(folder, device=resolve_device(options.device))


def _check_graph_options(backend: BackendName, options: BackendOptions) -> None:
    device = resolve_device(options.device)
    if backend != "tensorrt" and options.device != "auto" and device.type != "cpu":
        raise FaimError(
            f"device: {device} given with backend {backend}, which runs on the CPU here; expected "
            "backend torch or tensorrt"
        )
    if backend != "openvino" and options.precision != "auto":
        raise FaimError(
            f"precision: {options.precision} given with backend {backend}, which computes in the "
            "precision of the exported files; expected auto, and faim export --precision"
        )


def _wanted(options: BackendOptions) -> BackendName:
    wanted = os.environ.get(BACKEND_VARIABLE, "auto") if options.backend == "auto" else None
    if wanted is None:
        return options.backend
    if wanted not in get_args(BackendName):
        raise FaimError(
            f"{BACKEND_VARIABLE}: {wanted!r} given; expected one of "
            f"{', '.join(get_args(BackendName))}"
        )
    return wanted  # type: ignore[return-value]


def _resolve(options: BackendOptions) -> BackendName:
    """What runs a checkpoint."""
    wanted = _wanted(options)
    if wanted != "auto":
        return wanted
    if resolve_device(options.device).type != "cpu" or options.compile:
        return "torch"
    if any(find_spec(package) is None for package in _EXPORTERS):
        return "torch"
    candidates: Sequence[BackendName] = ("openvino", "onnxruntime")
    if options.precision in ("bf16", "fp16"):
        candidates = ("openvino",)
    return next((name for name in candidates if is_installed(name)), "torch")


def is_installed(backend: BackendName) -> bool:
    """Whether the library behind a backend can be imported."""
    if backend == "tensorrt":
        return any(find_spec(name) is not None for name in ("tensorrt", "tensorrt_rtx"))
    return find_spec(backend) is not None
