"""Which backend runs a checkpoint, and the cache of its graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from runtime_helpers import FakeModel
from select_helpers import CONFIG, FakeRunner, chosen

from faim.backends import graph_cache
from faim.backends.checksums import write_checksums
from faim.backends.graph import Graph
from faim.backends.info import ExportInfo
from faim.errors import FaimError
from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.faim import FAIM
from faim.runtime import select
from faim.runtime.select import BackendOptions, open_detector
from faim.runtime.torch_detector import TorchDetector

pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(1)
    save_checkpoint(path, FAIM(CONFIG))
    return path


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, tuple[int, int]]]:
    """The exports asked for, each of which takes no time."""
    asked: list[tuple[Path, tuple[int, int]]] = []

    def write(graphs: Sequence[tuple[Graph, ExportInfo]], folder: Path) -> None:
        asked.append((folder, graphs[0][1].config.test_size))
        (folder / "frame.onnx").write_text("whole")

    monkeypatch.setattr("faim.backends.onnx_files.write_onnx_folder", write)
    return asked


@pytest.mark.parametrize(
    ("installed", "values", "expected"),
    [
        ({"openvino", "onnxruntime"}, {}, "openvino"),
        ({"onnxruntime"}, {}, "onnxruntime"),
        (set(), {}, "torch"),
        # ONNX Runtime computes as the file says.
        ({"onnxruntime"}, {"precision": "bf16"}, "torch"),
        ({"openvino", "onnxruntime"}, {"precision": "bf16"}, "openvino"),
        ({"openvino", "onnxruntime"}, {"compile": True}, "torch"),
        ({"openvino", "onnxruntime"}, {"backend": "onnxruntime"}, "onnxruntime"),
        ({"openvino", "onnxruntime"}, {"backend": "torch"}, "torch"),
    ],
)
def test_auto_takes_the_fastest_installed(
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    everything_is_installed: None,
    exports: list[Any],
    installed: set[str],
    values: dict[str, Any],
    expected: str,
) -> None:
    monkeypatch.setattr(select, "is_installed", lambda name: name in installed)
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: None)
    assert chosen(checkpoint, device="cpu", **values) == expected
    assert len(exports) == (expected != "torch")


def test_auto_on_a_gpu_is_torch_and_others_stay_on_the_processor(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, everything_is_installed: None, exports: Any
) -> None:
    monkeypatch.setattr(select, "resolve_device", lambda device: torch.device("meta"))
    monkeypatch.setattr(select, "torch_detector", lambda model, options: TorchDetector(FakeModel()))
    assert chosen(checkpoint) == "torch"
    assert chosen(checkpoint, backend="openvino") == "openvino"
    with pytest.raises(FaimError, match="device: meta given with backend onnxruntime, which runs"):
        chosen(checkpoint, backend="onnxruntime", device="meta")


def test_auto_without_exporters_is_torch(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"openvino", "onnxruntime"}
    monkeypatch.setattr(select, "find_spec", lambda name: object() if name in present else None)
    assert chosen(checkpoint, device="cpu") == "torch"
    with pytest.raises(FaimError, match=r"the package onnx is not.*'\.\[openvino\]'"):
        chosen(checkpoint, backend="openvino")


@pytest.mark.parametrize("name", ["frame.onnx", "model/step.xml", "frame.engine"])
def test_one_file_of_a_folder(name: str) -> None:
    with pytest.raises(FaimError, match=rf"{name}: one file of .*; expected the folder"):
        open_detector(name)


def test_environment_stands_for_auto_alone(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, everything_is_installed: None, exports: Any
) -> None:
    monkeypatch.setenv("FAIM_BACKEND", "onnxruntime")
    assert chosen(checkpoint) == "onnxruntime"
    assert chosen(checkpoint, backend="torch") == "torch"
    monkeypatch.setenv("FAIM_BACKEND", "auto")
    assert chosen(checkpoint, device="cpu") == "openvino"
    monkeypatch.setenv("FAIM_BACKEND", "caffe")
    with pytest.raises(FaimError, match="FAIM_BACKEND: 'caffe' given; expected one of auto, torch"):
        chosen(checkpoint)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"backend": "caffe"}, "backend: 'caffe' given; expected one of auto, torch, onnxruntime"),
        ({"precision": "int4"}, "precision: 'int4' given; expected one of auto, fp32, bf16, fp16"),
        ({"threads": 0}, "threads: 0 given; expected 1 to 1024"),
        ({"threads": 100_000}, "threads: 100000 given; expected 1 to 1024"),
    ],
)
def test_options_that_are_none(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        BackendOptions(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"backend": "tensorrt"}, "backend tensorrt runs engines.*faim export --format tensorrt"),
        (
            {"backend": "onnxruntime", "precision": "fp16"},
            "precision: fp16 given with backend onnxruntime.*expected auto",
        ),
        ({"backend": "openvino", "device": "abacus"}, "device: 'abacus' cannot be used here"),
        ({"device": "abacus"}, "device: 'abacus' cannot be used here"),
    ],
)
def test_what_a_checkpoint_cannot_be_asked(
    checkpoint: Path,
    everything_is_installed: None,
    exports: list[Any],
    values: dict[str, Any],
    sentence: str,
) -> None:
    with pytest.raises(FaimError, match=sentence):
        chosen(checkpoint, **values)
    assert exports == []  # known before the export, which takes long


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_backend_that_is_not_installed(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, exports: list[Any], backend: Any
) -> None:
    monkeypatch.setattr(select, "find_spec", lambda name: None if name == backend else object())
    sentence = rf"backend {backend}: the package {backend} is not installed.*'\.\[{backend}\]'"
    with pytest.raises(FaimError, match=sentence):
        chosen(checkpoint, backend=backend)
    assert exports == []


def test_size_reaches_the_model_on_every_backend(
    checkpoint: Path, everything_is_installed: None, exports: list[Any]
) -> None:
    assert open_detector(checkpoint, BackendOptions("torch")).traits.size == (64, 64)
    wide = open_detector(checkpoint, BackendOptions("torch"), size=(96, 128))
    assert wide.traits.size == (96, 128)
    open_detector(checkpoint, BackendOptions("onnxruntime"), size=(96, 128))
    assert exports[0][1] == (96, 128)


def test_cache_is_reused_for_the_same_graphs_only(
    checkpoint: Path, tmp_path: Path, everything_is_installed: None, exports: list[Any]
) -> None:
    def folder(weights: Path = checkpoint, **values: Any) -> Path:
        runner = open_detector(weights, BackendOptions("onnxruntime"), **values).runner
        assert isinstance(runner, FakeRunner)
        return runner.folder

    first = folder()
    assert folder() == first
    assert first.parent == tmp_path / "cache"
    assert first.name.startswith("small-")
    assert (first / "frame.onnx").read_text() == "whole"
    assert len(exports) == 1
    other = tmp_path / "small.safetensors"  # of the same name, with other weights
    save_checkpoint(other, FAIM(CONFIG))
    folders = {first, folder(size=(96, 96)), folder(aggregate="affinity"), folder(other)}
    assert len(folders) == len(exports) == 4
    assert sorted((tmp_path / "cache").iterdir()) == sorted(folders)  # and no half ones


def test_cache_holds_whole_exports_or_none(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything_is_installed: None
) -> None:
    def fails(graphs: Any, folder: Path) -> None:
        (folder / "frame.onnx").write_text("half")
        raise FaimError("describe: cannot be exported to ONNX (no reason)")

    monkeypatch.setattr("faim.backends.onnx_files.write_onnx_folder", fails)
    with pytest.raises(FaimError, match="describe: cannot be exported"):
        chosen(checkpoint, backend="onnxruntime")
    assert list((tmp_path / "cache").iterdir()) == []


def test_another_process_may_export_at_the_same_time(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything_is_installed: None
) -> None:
    replace_folder = Path.replace

    def write(graphs: Any, folder: Path) -> None:
        (folder / "frame.onnx").write_text("ours")

    def overtaken(part: Path, target: Path) -> Any:
        target.mkdir()
        (target / "frame.onnx").write_text("theirs")
        write_checksums(target)
        return replace_folder(part, target)

    monkeypatch.setattr("faim.backends.onnx_files.write_onnx_folder", write)
    monkeypatch.setattr(Path, "replace", overtaken)
    assert chosen(checkpoint, backend="onnxruntime") == "onnxruntime"
    [kept] = (tmp_path / "cache").iterdir()
    assert (kept / "frame.onnx").read_text() == "theirs"


def test_a_cache_that_cannot_be_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything_is_installed: None
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FAIM_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(graph_cache, "_temporary_cache", lambda: None)
    sentence = "file: cannot keep exported graphs there .*FAIM_CACHE, or --backend torch"
    with pytest.raises(FaimError, match=sentence):
        chosen(checkpoint, backend="onnxruntime")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert graph_cache.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("FAIM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert graph_cache.cache_folder() == tmp_path / "xdg/faim"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert graph_cache.cache_folder() == tmp_path / ".cache/faim"
