"""From weights and a wish to a running detector."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from loguru import logger

from faim.backends.base import GraphRunner, graph_file
from faim.backends.graph_cache import NoCacheError, cached_graphs
from faim.backends.opened import OpenedDetector
from faim.backends.sharing import check_not_forked
from faim.choices import Aggregate, BackendName
from faim.detector import Tuning, VideoDetector
from faim.devices import resolve_device
from faim.errors import FaimError
from faim.extras import missing_package
from faim.families.checkpoints import family_of_file, load_detector
from faim.groups import BackendOptions
from faim.registry import Family, family_of, resolve
from faim.runtime.torch_detector import TorchDetector
from faim.threads import set_torch_threads
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
) -> OpenedDetector:
    """A detector from a checkpoint or from a folder that `faim export` wrote.

    A backend other than torch needs exported graphs: those of a checkpoint are made once, which
    takes about a quarter of a minute, and kept in the cache folder.

    Args:
        weights: checkpoint, name of known weights (see `weights_file`), or folder.
        options: what runs it.
        aggregate: see `load_detector`.
        size: height and width of the network input; the model's own by default.
        least_nms: IoU in [0, 1] up to which proposals may overlap, where the model's own NMS of
            proposals is stricter.

    Raises:
        FaimError: see `load_detector`; or the backend is not installed, cannot run on the device or
            cannot read the folder's files.
    """
    check_not_forked()
    # Another process may have another working folder.
    found = os.path.abspath(place_of(weights))  # noqa: PTH100 - links stay
    detector = _open(weights, options, aggregate, size)
    detector.tune(Tuning(least_nms=least_nms))
    detector.reopen = partial(
        open_detector, found, options, aggregate=aggregate, size=size, least_nms=least_nms
    )
    return detector


def _open(
    weights: str | Path,
    options: BackendOptions,
    aggregate: Aggregate,
    size: tuple[int, int] | None,
) -> OpenedDetector:
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
    family = family_of_file(weights)
    if backend != "torch" and family.graphs is None:
        if _wanted(options) != "auto":
            raise FaimError(
                f"{weights}: backend {backend} runs exported graphs, which detectors of the family "
                f"{family.name} have not; expected --backend torch"
            )
        backend = "torch"
    if backend != "torch":
        # Before the export, which takes long.
        _check_graph_options(backend, options)
        for package in (backend, *_EXPORTERS):
            if find_spec(package) is None:
                raise missing_package(f"backend {backend}", package, backend)
    model = load_detector(weights, aggregate=aggregate)
    if backend != "torch":
        try:
            return _exported(model, place_of(weights), family, backend, options, size)
        except NoCacheError as error:
            if _wanted(options) != "auto":
                raise
            logger.warning("{}: torch runs the networks, which is slower", error)
    detector = torch_detector(model, options)
    detector.tune(Tuning(size=size))
    return detector


def _exported(
    model: VideoDetector,
    weights: Path,
    family: Family,
    backend: BackendName,
    options: BackendOptions,
    size: tuple[int, int] | None,
) -> OpenedDetector:
    """The graphs of a model, from the cache, in this backend."""
    assert family.graphs is not None
    assert family.graph_info is not None
    graphs_of, info_of = resolve(family.graphs), resolve(family.graph_info)
    size = size or model.traits.size

    def write(folder: Path) -> None:
        from faim.backends.onnx_files import write_onnx_folder

        graphs = graphs_of(model, size)
        write_onnx_folder([(g, info_of(model, g.name, size=size)) for g in graphs], folder)

    folder = cached_graphs(weights, info_of(model, "frame", size=size), write)
    return _over(_runner(backend, folder, options), "auto", size)


def _over(
    runner: GraphRunner, aggregate: Aggregate, size: tuple[int, int] | None
) -> OpenedDetector:
    """The same, of this size and ready for all shapes that it meets."""
    detector = over_graphs(runner, aggregate)
    if runner.info.dynamic_size:
        detector.tune(Tuning(size=size))
    detector.warm_up()
    return detector


def over_graphs(runner: GraphRunner, aggregate: Aggregate = "auto") -> OpenedDetector:
    """The detector, of whichever family, that exported graphs are of; see `load_detector`."""
    detector: OpenedDetector = _kind_over(runner)(runner, aggregate=aggregate)
    return detector


def _kind_over(runner: GraphRunner) -> Any:
    """The class of detectors over such graphs."""
    family = family_of(runner.info.family, runner.backend)
    assert family.over_graphs is not None
    return resolve(family.over_graphs)


def torch_detector(
    model: VideoDetector,
    options: BackendOptions = BackendOptions(),
) -> TorchDetector:
    """A model that is in memory, run by torch."""
    device = resolve_device(options.device)
    set_torch_threads("torch", options.threads)
    return TorchDetector(model, device=device, precision=options.precision, compile=options.compile)


def _open_folder(
    folder: Path, options: BackendOptions, aggregate: Aggregate, size: tuple[int, int] | None
) -> OpenedDetector:
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
    runner = _runner(backend, folder, options)
    info = runner.info
    if size is not None and not info.dynamic_size and size != info.config.test_size:
        asked, has = ("x".join(map(str, sides)) for sides in (size, info.config.test_size))
        raise FaimError(f"size: {asked} asked of {folder}, exported for {has}; expected {has}")
    if aggregate != "none":
        kind = next(kind for kind in kinds if backend in _READERS[kind])
        for graph in _kind_over(runner).graphs_needed(info):
            graph_file(folder, graph, (kind,))
    if aggregate not in ("auto", "none", info.aggregation):
        raise FaimError(
            f"{folder}: exported with aggregation {info.aggregation}; expected --aggregate "
            f"{info.aggregation}, none or auto"
        )
    return _over(runner, aggregate, size)


def _runner(backend: BackendName, folder: Path, options: BackendOptions) -> GraphRunner:
    _check_graph_options(backend, options)
    set_torch_threads(backend, options.threads)
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
