"""ONNX files: the numbers of PyTorch, the metadata, and what happens to graphs that do not fit."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from export_helpers import Exported
from torch import nn

from faim.backends.graph import Graph
from faim.backends.info import KEY, ExportInfo
from faim.backends.onnx_files import OPSET, write_onnx
from faim.errors import FaimError
from faim.export.parity import generated_frames, measure_parity
from faim.families.yolox.faim import FAIM, YoloxVideo
from faim.families.yolox.graphs import empty_bank, graphs_of, info_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxsim")
pytest.importorskip("onnxruntime")

GRAPHS = ("frame", "describe", "step", "refine")


def test_onnxruntime_gives_the_numbers_of_pytorch(onnx_export: Exported) -> None:
    parity = onnx_export.result.parity["."]
    assert tuple(dict.fromkeys(output.graph for output in parity.graphs)) == GRAPHS
    assert max(output.difference for output in parity.graphs) < 1e-3
    # Of zeros alone this would say nothing.
    assert all(output.largest > 0.1 for output in parity.graphs)
    assert parity.detections >= 20
    assert parity.matched == parity.detections
    assert parity.box < 1e-3
    assert parity.score < 1e-4
    assert "onnxruntime fp32 against PyTorch" in onnx_export.printed


def test_files_are_valid_simple_and_say_what_they_are(
    onnx_export: Exported, faim_nano: FAIM
) -> None:
    assert [path.name for path in onnx_export.result.files] == [f"{name}.onnx" for name in GRAPHS]
    for path in onnx_export.result.files:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSET
        assert not {"Identity", "Constant"} & {node.op_type for node in model.graph.node}
        info = ExportInfo.from_json({p.key: p.value for p in model.metadata_props}[KEY], str(path))
        assert (info.graph, info.aggregation) == (path.stem, "ticam")
        assert (info.batch, info.dynamic_size, info.precision) == (1, False, "fp32")
        assert info.config.class_names == faim_nano.config.class_names
        assert info.config.test_size == (128, 128)
        assert info.made_with["opset"] == str(OPSET)
        assert info.made_with["onnx"] == onnx.__version__


def test_inputs_and_outputs_of_the_frame_graph(onnx_export: Exported, faim_nano: FAIM) -> None:
    graph = onnx.load(onnx_export.folder / "frame.onnx").graph
    classes, dim = faim_nano.config.num_classes, faim_nano.config.feature_dim
    assert _shapes(graph.input) == {"images": (onnx.TensorProto.UINT8, [1, 128, 128, 3])}
    single = onnx.TensorProto.FLOAT
    assert _shapes(graph.output) == {
        "boxes": (single, [1, 336, 4]),
        "objectness": (single, [1, 336]),
        "class_scores": (single, [1, 336, classes]),
        "features_p3": (single, [1, 16, 16, dim]),
        "features_p4": (single, [1, 8, 8, dim]),
        "features_p5": (single, [1, 4, 4, dim]),
    }


@pytest.mark.parametrize("past", [1, 2, 40])
def test_a_step_takes_banks_of_any_length(
    onnx_export: Exported, faim_nano: FAIM, past: int
) -> None:
    from graph_helpers import TorchRunner

    from faim.backends.onnxruntime import OnnxRuntimeRunner

    generator = torch.Generator().manual_seed(past)
    example = next(g for g in graphs_of(faim_nano, (128, 128)) if g.name == "step").inputs
    inputs = {}
    for name, tensor in example.items():
        shape = (past, *tensor.shape[1:]) if name.startswith("bank_") else tensor.shape
        drawn = torch.rand(shape, generator=generator)
        inputs[name] = drawn > 0.3 if tensor.dtype == torch.bool else drawn
    expected = TorchRunner(faim_nano).run("step", inputs)
    found = OnnxRuntimeRunner(onnx_export.folder).run("step", inputs)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-4, rtol=1e-4)


def test_an_empty_bank_adds_nothing(onnx_export: Exported, faim_nano: FAIM) -> None:
    from faim.backends.onnxruntime import OnnxRuntimeRunner

    runner = OnnxRuntimeRunner(onnx_export.folder)
    config = faim_nano.config
    count = config.num_proposals
    features = torch.rand(count, config.feature_dim)
    guide, valid = torch.rand(count), torch.ones(count, dtype=torch.bool)
    key = dict(
        zip(
            ("cls_features", "ins_features", "cls_guide", "ins_guide", "valid"),
            (features, features, guide, guide, valid),
            strict=True,
        )
    )
    logits = []
    for frames in (1, 6):
        bank = empty_bank(config, frames)
        entries = {f"bank_{name}": getattr(bank, name) for name in vars(bank)}
        logits.append(runner.run("step", key | entries)["logits"].clone())
    torch.testing.assert_close(logits[0], logits[1], atol=1e-5, rtol=0)


def test_half_precision_keeps_float32_borders(base_nano: YoloxVideo, tmp_path: Path) -> None:
    from faim.backends.onnxruntime import OnnxRuntimeRunner

    [graph] = graphs_of(base_nano, (256, 256))
    info = info_of(base_nano, "frame", size=(256, 256), precision="fp16")
    write_onnx(graph, tmp_path / "frame.onnx", info)
    stored = onnx.load(tmp_path / "frame.onnx").graph
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    weights = [tensor for tensor in stored.initializer if len(tensor.dims) == 4]
    assert len(weights) > 100
    assert {tensor.data_type for tensor in weights} == {half}
    assert {kind for kind, _ in _shapes(stored.output).values()} == {single}
    runner = OnnxRuntimeRunner(tmp_path)
    assert runner.precision == "fp16"
    parity = measure_parity(
        base_nano,
        graphs_of(base_nano, base_nano.config.test_size),
        runner,
        generated_frames((256, 256)),
    )
    assert parity.matched == parity.detections >= 20
    assert 1e-6 < parity.box < 1.0
    assert parity.score < 0.02


class _Odd(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eig(images.float())[0].real


def test_a_graph_that_does_not_fit_is_named_with_its_operator(
    base_nano: YoloxVideo, tmp_path: Path
) -> None:
    graph = Graph("frame", _Odd(), {"images": torch.eye(3)}, ("boxes",), {"images": {}})
    with pytest.raises(FaimError, match=r"^frame: cannot be exported to ONNX .*linalg_eig"):
        write_onnx(graph, tmp_path / "frame.onnx", info_of(base_nano, "frame"))
    assert list(tmp_path.iterdir()) == []


def test_no_space(base_nano: YoloxVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("onnx.save_model", full)
    graph = Graph("frame", nn.ReLU(), {"images": torch.eye(3)}, ("boxes",), {"images": {}})
    with pytest.raises(FaimError, match=r"frame.onnx: cannot be written \(No space left"):
        write_onnx(graph, tmp_path / "frame.onnx", info_of(base_nano, "frame"))


def test_parity_sees_a_wrong_file(onnx_export: Exported, faim_nano: FAIM, tmp_path: Path) -> None:
    """The measure itself: one weight of TICAM changed shows in "refine" and nowhere else."""
    from faim.backends.onnxruntime import OnnxRuntimeRunner

    for path in onnx_export.result.files:
        model = onnx.load(path)
        if path.stem == "refine":
            bias = next(t for t in model.graph.initializer if "bias" in t.name and len(t.dims) == 1)
            changed = onnx.numpy_helper.to_array(bias) + np.float32(1)
            bias.CopyFrom(onnx.numpy_helper.from_array(changed, bias.name))
        onnx.save_model(model, tmp_path / path.name)
    parity = measure_parity(
        faim_nano,
        graphs_of(faim_nano, faim_nano.config.test_size),
        OnnxRuntimeRunner(tmp_path),
        generated_frames((128, 128)),
    )
    worst = dict.fromkeys(GRAPHS, 0.0)
    for output in parity.graphs:
        worst[output.graph] = max(worst[output.graph], output.difference)
    assert worst["refine"] > 0.01
    assert max(worst["frame"], worst["describe"], worst["step"]) < 1e-3


def _shapes(values: object) -> dict[str, tuple[int, list[int | str]]]:
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
        )
        for value in values  # type: ignore[attr-defined]
    }
