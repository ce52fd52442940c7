"""TensorRT engines, built ahead of time without a GPU, and the files that they stand in."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import faim.export.tensorrt as exporter
from faim.backends.axes import Axis
from faim.backends.engine_file import (
    MAGIC,
    EngineTensor,
    read_engine_file,
    read_engine_header,
    write_engine_file,
)
from faim.backends.graph import Graph
from faim.backends.info import ExportInfo
from faim.backends.onnx_files import write_onnx
from faim.backends.tensorrt_library import reason_of
from faim.errors import FaimError
from faim.export.tensorrt import check_target, profile_shapes, write_engine
from faim.families.yolox import patches
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import build_model
from faim.families.yolox.graphs import CELLS, ENTRY, FEATURES, KEY, MADE, RAW, graphs_of, info_of

CLASSES = tuple(f"class {index}" for index in range(30))
SMALL = FaimConfig(variant="nano", class_names=("dog", "cat"), test_size=(64, 64))
INFO = ExportInfo("frame", SMALL, "ticam", 1, False, "fp16", {"faim": "1.2.3"})
TENSORS = (
    EngineTensor("images", True, "uint8", (-1, 4), (1, 4), (2, 4), (8, 4)),
    EngineTensor("boxes", False, "float32", (-1, 2)),
)
needs_rtx = pytest.mark.skipif(
    "tensorrt_rtx" not in exporter.installed_libraries(),
    reason="tensorrt_rtx is not installed (pip install '.[tensorrt-rtx]')",
)


@pytest.fixture
def engine_file(tmp_path: Path) -> Path:
    path = tmp_path / "frame.engine"
    write_engine_file(path, INFO, TENSORS, b"an engine" * 10)
    return path


@given(engine=st.binary(max_size=200), names=st.lists(st.text(max_size=8), max_size=3))
def test_a_file_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, engine: bytes, names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("engines") / "frame.engine"
    tensors = tuple(replace(TENSORS[0], name=name) for name in names)
    info = replace(INFO, made_with=dict.fromkeys(names, "1"))
    write_engine_file(path, info, tensors, engine)
    header, read = read_engine_file(path)
    assert (header.info, header.tensors, read) == (info, tensors, engine)
    assert read_engine_header(path) == header
    assert [entry.name for entry in path.parent.iterdir()] == ["frame.engine"]


def test_the_header_can_be_read_without_faim(engine_file: Path) -> None:
    data = engine_file.read_bytes()
    length = int.from_bytes(data[8:16], "little")
    header = json.loads(data[16 : 16 + length])
    assert data[:8] == MAGIC
    assert header["info"]["config"]["class_names"] == ["dog", "cat"]
    assert header["tensors"][0]["largest"] == [8, 4]
    assert data[16 + length :] == b"an engine" * 10


def test_every_truncation_is_found(engine_file: Path) -> None:
    data = engine_file.read_bytes()
    for length in range(0, len(data), 7):
        engine_file.write_bytes(data[:length])
        with pytest.raises(FaimError, match=r"frame\.engine: is (no engine|damaged)"):
            read_engine_file(engine_file)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda data: b"\x08\x0a" + data, "is no engine of faim"),
        (lambda data: data[:-1] + b"!", "its engine is not the one its header tells of"),
        (lambda data: data + b"!", "with more of its engine's 90 bytes"),
        (lambda data: data.replace(b'"tensors"', b'"tensory"'), "header cannot be read"),
        (lambda data: data.replace(b'"layout": 1', b'"layout": 9'), "another version of faim"),
        (lambda data: MAGIC + b"\xff" * 8 + data, "ends within its header"),
    ],
)
def test_foreign_and_damaged_files_are_refused(engine_file: Path, content, sentence: str) -> None:
    engine_file.write_bytes(content(engine_file.read_bytes()))
    with pytest.raises(FaimError, match=sentence):
        read_engine_file(engine_file)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("no folder")
    with pytest.raises(FaimError, match=r"frame\.engine: cannot be written \(Not a directory\)"):
        write_engine_file(folder / "frame.engine", INFO, TENSORS, b"")
    (tmp_path / "frame.engine").mkdir()
    with pytest.raises(FaimError, match="cannot be written"):
        write_engine_file(tmp_path / "frame.engine", INFO, TENSORS, b"")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "frame.engine"]


def test_unknown_compute_capabilities_are_refused_with_the_list() -> None:
    with pytest.raises(FaimError, match=r"'9\.0' given; expected one of 7\.5, 8\.6, 8\.9, 12\.0"):
        check_target("9.0", "fp16")


def test_float32_for_turing_is_refused_before_anything_is_built() -> None:
    with pytest.raises(FaimError, match=r"7\.5.*float32 matrix.*expected --precision fp16"):
        check_target("7.5", "fp32")


def test_without_a_library_both_extras_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "installed_libraries", list)
    with pytest.raises(FaimError, match=r"pip install .*\[tensorrt\]'.* extra tensorrt-rtx"):
        check_target(None, "fp16")


def test_ahead_of_time_needs_the_rtx_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(FaimError, match=r"tensorrt_rtx is not installed.*\.\[tensorrt-rtx\]"):
        check_target("8.6", "fp16")


def test_the_gpu_at_hand_decides_without_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "load_library", lambda library, purpose: None)
    monkeypatch.setattr(exporter, "installed_libraries", lambda: ["tensorrt_rtx"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FaimError, match="--compute-capability: not given, and there is no GPU"):
        check_target(None, "fp16")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 9))
    assert check_target(None, "fp32") == ("tensorrt_rtx", "8.9")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    with pytest.raises(FaimError, match=r"of 9\.0, for which .*tensorrt_rtx does not build"):
        check_target(None, "fp32")
    monkeypatch.setattr(exporter, "installed_libraries", lambda: ["tensorrt", "tensorrt_rtx"])
    assert check_target(None, "fp32") == ("tensorrt", "9.0")


def test_reasons_come_without_source_positions() -> None:
    driver = "[a.cpp::catch::250] Error Code 1: Cuda Runtime (In x at y.cpp:2 (cudaError 35: old))"
    cause = (
        "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check] Cannot "
        "compile operation 'node_linear_1'. In compileGraph at /_src/optimizer/codeGenerator.cpp:2)"
    )
    expected = "Myelin ([pass.cpp:337: check] Cannot compile operation 'node_linear_1'.)"
    assert reason_of([driver, cause, "a consequence"]) == expected
    assert "cudaError 35" in reason_of([driver])
    assert reason_of([]) == "it gives no reason"


def test_profiles_hold_the_lengths_of_the_axes() -> None:
    axes = {"images": {0: Axis("batch", 1, 4, 16), 1: Axis("height", 64, 416, 2048, 32)}}
    graph = Graph("frame", nn.Identity(), {"images": torch.zeros(4, 416, 3)}, ("out",), axes)
    assert profile_shapes(graph, "images") == ((1, 64, 3), (4, 416, 3), (16, 2048, 3))


@needs_rtx
@pytest.mark.parametrize(("variant", "size"), [("nano", 416), ("s", 576)])
def test_engines_for_the_2080_ti(variant: str, size: int, tmp_path: Path) -> None:
    """All four of a model, built without a GPU; one test, since the ONNX files take the time."""
    torch.manual_seed(0)
    config = FaimConfig(variant=variant, class_names=CLASSES, test_size=(size, size))  # type: ignore[arg-type]
    model = build_model(config).eval()
    anchors = sum((size // stride) ** 2 for stride in (8, 16, 32))
    n, dim = config.num_proposals, config.feature_dim
    for graph in graphs_of(model, (size, size)):
        source, path = tmp_path / f"{graph.name}.onnx", tmp_path / f"{graph.name}.engine"
        info = info_of(model, graph.name, precision="fp16", made_with={"faim": "0"})
        write_onnx(graph, source, info)
        write_engine(graph, source, path, info, compute_capability="7.5")

        header, engine = read_engine_file(path)
        assert len(engine) > 500_000
        made_with = header.info.made_with
        assert replace(header.info, made_with=info.made_with) == info
        assert made_with["faim"] == "0"
        assert made_with["compute_capability"] == "7.5"
        assert made_with["tensorrt_rtx"] == pytest.importorskip("tensorrt_rtx").__version__

        inputs = {tensor.name: tensor for tensor in header.tensors if tensor.is_input}
        outputs = {tensor.name: tensor for tensor in header.tensors if not tensor.is_input}
        assert list(inputs) == list(graph.inputs)
        assert tuple(outputs) == graph.outputs
        for name, example in graph.inputs.items():
            assert inputs[name].dtype == str(example.dtype).removeprefix("torch.")
            assert inputs[name].usual == tuple(example.shape)
            open_places = {place for place, side in enumerate(inputs[name].shape) if side == -1}
            assert open_places == set(graph.axes[name])
        assert {tensor.dtype for tensor in outputs.values()} == {"float32"}

        if graph.name == "frame":
            assert inputs["images"].shape == (1, size, size, 3)
            assert [outputs[name].shape for name in RAW] == [
                (1, anchors, 4), (1, anchors), (1, anchors, 30),
            ]  # fmt: skip
            assert [outputs[name].shape for name in FEATURES] == [
                (1, size // stride, size // stride, dim) for stride in (8, 16, 32)
            ]
        elif graph.name == "describe":
            assert [inputs[name].largest for name in CELLS] == [(496, patches.CELLS)] * 3
            assert [outputs[name].shape for name in KEY[:2]] == [(-1, dim)] * 2
        elif graph.name == "step":
            assert inputs["bank_first_round"].smallest == (1, n, 2 * dim)
            assert inputs["bank_first_round"].usual == (config.test_frames - 1, n, 2 * dim)
            assert all(inputs[f"bank_{name}"].largest[0] == 512 for name in ENTRY)
            assert outputs["logits"].shape == (n, 30)
            assert set(outputs) == {"logits", *MADE}
        else:
            assert inputs["valid"].dtype == "bool"
            assert outputs["logits"].shape == (-1, n, 30)


@needs_rtx
@pytest.mark.parametrize(
    ("operator", "sentence"),
    [
        # The one is refused by the parser, the other by the builder.
        ("Det", r"frame: TensorRT-RTX \S+ .* 7\.5: has no operation for node culprit \(Det\)"),
        ("NonMaxSuppression", r"frame: TensorRT-RTX \S+ .* 7\.5: cannot build.*culprit"),
    ],
)
def test_a_refused_operation_is_named_and_no_file_is_left(
    operator: str, sentence: str, tmp_path: Path
) -> None:
    source, path = tmp_path / "frame.onnx", tmp_path / "frame.engine"
    source.write_bytes(_onnx_with(operator))
    inputs = {"boxes": torch.zeros(1, 4, 4), "scores": torch.zeros(1, 2, 4)}
    graph = Graph("frame", nn.Identity(), inputs, ("out",), {name: {} for name in inputs})
    with pytest.raises(FaimError, match=sentence) as raised:
        write_engine(graph, source, path, INFO, compute_capability="7.5")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [source]


@needs_rtx
def test_a_file_that_is_no_onnx_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "frame.onnx"
    source.write_bytes(b"no protobuf")
    graph = Graph("frame", nn.Identity(), {}, (), {})
    with pytest.raises(FaimError, match=r"^frame: TensorRT-RTX .* cannot read the ONNX") as raised:
        write_engine(graph, source, tmp_path / "x.engine", INFO, compute_capability="8.6")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [source]


def _onnx_with(operator: str) -> bytes:
    onnx = pytest.importorskip("onnx")
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    kinds = onnx.TensorProto
    if operator == "Det":
        node = make("Det", ["boxes"], ["out"], name="culprit")
        out = value("out", kinds.FLOAT, [1])
    else:
        node = make("NonMaxSuppression", ["boxes", "scores"], ["out"], name="culprit")
        out = value("out", kinds.INT64, [None, 3])
    inputs = [value("boxes", kinds.FLOAT, [1, 4, 4]), value("scores", kinds.FLOAT, [1, 2, 4])]
    graph = onnx.helper.make_graph([node], "graph", inputs, [out])
    opset = [onnx.helper.make_opsetid("", 20)]
    return bytes(onnx.helper.make_model(graph, opset_imports=opset).SerializeToString())
