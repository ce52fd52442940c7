"""OpenVINO files: fp16 weights, open shapes, metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from export_helpers import Export, Exported
from graph_helpers import TorchRunner

from faim.backends.info import KEY, ExportInfo
from faim.backends.openvino import OpenVINORunner
from faim.backends.openvino_library import core
from faim.errors import FaimError
from faim.export.openvino import read_onnx, write_openvino
from faim.export.parity import generated_frames, measure_parity
from faim.families.yolox.faim import FAIM, YoloxVideo
from faim.families.yolox.graphs import graphs_of, info_of

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxsim")

GRAPHS = ("frame", "describe", "step", "refine")


@pytest.fixture(scope="module")
def exported(export: Export) -> Exported:
    """The base detector, with open shapes."""
    return export("openvino", precision="fp16", batch=None, dynamic_size=True, aggregate="affinity")


def test_all_graphs_give_the_numbers_of_pytorch(
    onnx_export: Exported, faim_nano: FAIM, tmp_path: Path
) -> None:
    for source in onnx_export.result.files:
        info = info_of(faim_nano, source.stem, size=(128, 128))  # type: ignore[arg-type]
        network = read_onnx(source, info.graph)
        write_openvino(network, tmp_path / f"{source.stem}.xml", info)
    runner = OpenVINORunner(tmp_path)
    parity = measure_parity(
        faim_nano,
        graphs_of(faim_nano, faim_nano.config.test_size),
        runner,
        generated_frames((128, 128)),
    )
    assert tuple(dict.fromkeys(output.graph for output in parity.graphs)) == GRAPHS
    assert max(output.difference for output in parity.graphs) < 1e-3
    assert parity.matched == parity.detections >= 20
    assert parity.box < 1e-3
    assert parity.score < 1e-4


def test_half_precision_weights_cost_little(exported: Exported) -> None:
    parity = exported.result.parity["."]
    assert {output.graph for output in parity.graphs} == {"frame"}
    for output in parity.graphs:
        # float16 has eleven bits, and errors grow over a hundred layers.
        assert 0 < output.difference < 0.01 * max(output.largest, 1.0), output
    assert parity.matched == parity.detections >= 20
    assert parity.box < 0.5
    assert parity.score < 0.01


def test_files_hold_half_the_bytes_and_say_what_they_are(
    exported: Exported, base_nano: YoloxVideo
) -> None:
    assert [path.name for path in exported.result.files] == ["frame.bin", "frame.xml"]
    weights = sum(tensor.numel() for tensor in base_nano.detector.parameters())
    assert 1.9 * weights < (exported.folder / "frame.bin").stat().st_size < 2.2 * weights
    model = core().read_model(exported.folder / "frame.xml")
    # One text only: that of the ONNX file on the way must not contradict it.
    assert not model.has_rt_info(["framework", KEY])
    info = ExportInfo.from_json(model.get_rt_info([KEY]).astype(str), "frame")
    assert (info.graph, info.aggregation, info.precision) == ("frame", "affinity", "fp16")
    assert (info.batch, info.dynamic_size) == (None, True)
    assert info.config.class_names == base_nano.config.class_names
    assert info.made_with["openvino"] == exported.result.made_with["openvino"]


@pytest.mark.parametrize(("count", "size"), [(1, (96, 160)), (3, (128, 96))])
def test_open_batch_and_size(
    exported: Exported,
    base_nano: YoloxVideo,
    clip: list[np.ndarray],
    count: int,
    size: tuple[int, int],
) -> None:
    crop = np.s_[: size[0], : size[1]]
    frames = [np.pad(frame, ((0, 0), (0, 32), (0, 0)))[crop] for frame in clip]
    images = {"images": torch.from_numpy(np.stack(frames[:count]))}
    found = OpenVINORunner(exported.folder).run("frame", images)
    expected = TorchRunner(base_nano).run("frame", images)
    assert found["boxes"].shape == (count, size[0] * size[1] * 21 // 1024, 4)
    for name, tensor in expected.items():
        assert tensor.abs().max() > 0.1
        assert (found[name] - tensor).abs().max() < 0.01 * max(tensor.abs().max(), 1.0), name


def test_silu_stays_one_operation(base_nano: YoloxVideo, tmp_path: Path) -> None:
    """Taken apart, eight bits would round x and its sigmoid each on its own."""
    onnx_file = tmp_path / "silu.onnx"
    torch.onnx.export(
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.SiLU()).eval(),
        (torch.zeros(1, 3, 8, 8),),
        onnx_file,
        dynamo=True,
        verbose=False,
    )
    model = read_onnx(onnx_file, "frame")
    kinds = [node.get_type_name() for node in model.get_ops()]
    assert kinds.count("Swish") == 1
    assert "Sigmoid" not in kinds
    info = info_of(base_nano, "frame")
    with pytest.raises(FaimError, match=r"silu.onnx/frame.xml: cannot be written"):
        write_openvino(model, tmp_path / "silu.onnx" / "frame.xml", info)
    (tmp_path / "damaged.onnx").write_bytes(onnx_file.read_bytes()[:200])
    with pytest.raises(FaimError, match=r"^step: OpenVINO cannot read the graph"):
        read_onnx(tmp_path / "damaged.onnx", "step")
