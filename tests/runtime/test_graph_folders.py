"""Folders of exported files as weights: what reads them, and what is no such folder."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from select_helpers import CONFIG, INFO, chosen

import faim
from faim.backends.info import KEY, check_same_model
from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.runtime import select
from faim.runtime.select import BackendOptions, open_detector

pytestmark = pytest.mark.usefixtures("as_it_was")

INSTALLED = {
    name: importlib.util.find_spec(name) is not None
    for name in ("openvino", "onnxruntime", "onnx", "onnxscript", "onnxsim")
}
needs_onnx = pytest.mark.skipif(not INSTALLED["onnx"], reason="onnx is not installed")
needs_onnxruntime = pytest.mark.skipif(
    not (INSTALLED["onnx"] and INSTALLED["onnxruntime"]), reason="onnxruntime is not installed"
)
needs_openvino = pytest.mark.skipif(not INSTALLED["openvino"], reason="openvino is not installed")


def write_frame_graph(folder: Path, text: str | None) -> Path:
    """A valid ONNX file that turns images into floats, with our metadata or without."""
    import onnx
    from onnx import TensorProto, helper

    shape = [1, "height", "width", 3]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, shape)
    boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, shape)
    node = helper.make_node("Cast", ["images"], ["boxes"], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], "frame", [images], [boxes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if text is not None:
        helper.set_model_props(model, {KEY: text})
    onnx.checker.check_model(model)
    onnx.save_model(model, folder / "frame.onnx")
    return folder


@pytest.mark.parametrize(
    ("files", "installed", "expected"),
    [
        ([".onnx"], {"openvino", "onnxruntime"}, "openvino"),
        ([".onnx"], {"onnxruntime"}, "onnxruntime"),
        ([".xml"], {"openvino", "onnxruntime"}, "openvino"),
        ([".engine", ".xml", ".onnx"], {"openvino", "onnxruntime", "tensorrt"}, "tensorrt"),
        ([".engine", ".onnx"], {"onnxruntime"}, "onnxruntime"),
        # Nothing can read it, and the sentence will name the usual library.
        ([".xml"], set(), "openvino"),
    ],
)
def test_auto_reads_a_folder_with_what_is_installed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    everything_is_installed: None,
    files: list[str],
    installed: set[str],
    expected: str,
) -> None:
    monkeypatch.setattr(select, "is_installed", lambda name: name in installed)
    for ending in files:
        (tmp_path / f"frame{ending}").touch()
    assert chosen(tmp_path) == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [("onnxruntime", "onnxruntime"), ("torch", "openvino"), ("tensorrt", "openvino")],
)
def test_environment_where_it_can_read_the_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    everything_is_installed: None,
    named: str,
    expected: str,
) -> None:
    (tmp_path / "frame.onnx").touch()
    monkeypatch.setenv("FAIM_BACKEND", named)
    assert chosen(tmp_path) == expected


@pytest.mark.parametrize(
    ("files", "values", "sentence"),
    [
        ([], {}, "a folder without frame.engine, frame.xml, frame.onnx; expected a checkpoint, or"),
        (
            ["frame.xml"],
            {"backend": "onnxruntime"},
            r"backend onnxruntime cannot read its files \(.xml\); expected openvino",
        ),
        (
            ["frame.onnx"],
            {"backend": "torch"},
            r"backend torch cannot read its files \(.onnx\); expected openvino or onnxruntime",
        ),
        (
            ["frame.onnx"],
            {"backend": "onnxruntime", "precision": "fp16"},
            "precision: fp16 given with backend onnxruntime.*expected auto",
        ),
        (
            ["frame.onnx"],
            {"backend": "onnxruntime", "device": "meta"},
            "device: 'meta' cannot be used here; expected auto, cpu or a GPU",
        ),
    ],
)
def test_what_a_folder_cannot_be_asked(
    tmp_path: Path, files: list[str], values: dict[str, Any], sentence: str
) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(FaimError, match=sentence):
        chosen(tmp_path, **values)


@needs_onnxruntime
def test_a_folder_says_what_it_was_exported_for(tmp_path: Path) -> None:
    folder = write_frame_graph(tmp_path, INFO.to_json())
    options = BackendOptions("onnxruntime")
    detector = open_detector(folder, options, size=(64, 64))
    assert (detector.config, detector.runner.info) == (CONFIG, INFO)
    with pytest.raises(FaimError, match=r"size: 96x128 asked of .*for 64x64; expected 64x64"):
        open_detector(folder, options, size=(96, 128))
    with pytest.raises(FaimError, match="with aggregation affinity; expected --aggregate affinity"):
        open_detector(folder, options, aggregate="ticam")
    detector = open_detector(folder, options, aggregate="none")
    assert isinstance(detector.aggregator, NoAggregation)
    assert faim.load(folder, backend="onnxruntime").backend == "onnxruntime fp32"
    write_frame_graph(tmp_path, replace(INFO, dynamic_size=True).to_json())
    assert open_detector(folder, options, size=(96, 128)).config.test_size == (96, 128)


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("onnxruntime", marks=needs_onnxruntime),
        pytest.param("openvino", marks=[needs_openvino, needs_onnx]),
    ],
)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: None, "no metadata of faim in it; expected a file of faim export"),
        (lambda text: "[]", "holds a list; expected the metadata of faim export"),
        (
            lambda text: text.replace('"layout": ', '"layout": 9'),
            "exported by another version of faim",
        ),
        (lambda text: text.replace('"graph": "frame"', '"graph": "core"'), "holds a graph 'core'"),
    ],
)
def test_onnx_of_another_program(
    tmp_path: Path, backend: Any, change: Callable[[str], str | None], sentence: str
) -> None:
    write_frame_graph(tmp_path, change(INFO.to_json()))
    with pytest.raises(FaimError, match=rf"frame.onnx: {sentence}") as caught:
        chosen(tmp_path, backend=backend)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("onnxruntime", marks=needs_onnxruntime),
        pytest.param("openvino", marks=[needs_openvino, needs_onnx]),
    ],
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"layout"', b'"layou\xff"'),
        (b'"weights": ""', b'"weights": \xc3('),
        (b'"dog"', b'"\xed\xa0\x80"'),
    ],
)
def test_metadata_that_is_not_utf8(tmp_path: Path, backend: Any, old: bytes, new: bytes) -> None:
    path = write_frame_graph(tmp_path, INFO.to_json()) / "frame.onnx"
    data = path.read_bytes()
    assert len(old) == len(new)
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    with pytest.raises(FaimError, match=r"frame\.onnx: ") as caught:
        chosen(tmp_path, backend=backend)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        pytest.param("onnxruntime", "frame.onnx", marks=needs_onnxruntime),
        pytest.param("openvino", "frame.onnx", marks=needs_openvino),
        pytest.param("openvino", "frame.xml", marks=needs_openvino),
    ],
)
@pytest.mark.parametrize("content", [b"", b"not a graph", b"<net></net>", bytes(1000)])
def test_damaged_files(tmp_path: Path, backend: Any, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FaimError, match=rf"{name}: .*expected a file of faim export") as caught:
        chosen(tmp_path, backend=backend)
    assert "\n" not in str(caught.value)


@needs_openvino
@needs_onnx
def test_xml_of_another_program(tmp_path: Path) -> None:
    import openvino

    model = openvino.convert_model(write_frame_graph(tmp_path, None) / "frame.onnx")
    (tmp_path / "other").mkdir()
    openvino.save_model(model, tmp_path / "other/frame.xml")
    with pytest.raises(FaimError, match=r"frame.xml: no metadata of faim in it; .*faim export"):
        chosen(tmp_path / "other", backend="openvino")


@needs_onnxruntime
def test_a_folder_that_lacks_a_graph(tmp_path: Path) -> None:
    folder = write_frame_graph(tmp_path, INFO.to_json())
    detector = open_detector(folder, BackendOptions("onnxruntime"))
    with pytest.raises(FaimError, match=r"no step\.onnx; expected a folder that faim export wrote"):
        detector.runner.run("step", {})


def test_a_graph_of_another_model_is_refused() -> None:
    """Graphs that were mixed up would run, and give wrong results."""
    other = replace(INFO, graph="step", weights="00000000")
    check_same_model(replace(INFO, graph="step"), INFO, "step.onnx")
    with pytest.raises(FaimError, match=r"step.onnx: holds the step graph of another .*weights"):
        check_same_model(other, replace(INFO, weights="12345678"), "step.onnx")
