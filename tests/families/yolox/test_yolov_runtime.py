"""YOLOV through the runtime: graphs, exported files, and the commands."""

import json

import cv2
import pytest
import torch
from graph_helpers import TorchRunner, write_onnx_folder
from yolov_models import embedded_yolov, pictures, public_names

from faim.bench.subjects import checkpoint_of
from faim.cli import main
from faim.export.parity import generated_frames, measure_parity
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.graph_detector import GraphDetector
from faim.families.yolox.graphs import graphs_of, info_of
from faim.families.yolox.yolov import YOLOV, YolovIfem
from faim.runtime.select import BackendOptions, open_detector
from faim.runtime.torch_detector import TorchDetector
from faim.stream.memory import MemoryBank

SIZE = (128, 128)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def yolov():
    return embedded_yolov(test_size=SIZE)


@pytest.fixture(scope="module")
def folder(yolov, tmp_path_factory):
    for package in ("onnx", "onnxsim", "onnxscript"):
        pytest.importorskip(package)
    path = tmp_path_factory.mktemp("yolov")
    write_onnx_folder(yolov, path)
    return path


@pytest.fixture(scope="module")
def clip():
    return generated_frames(SIZE, 6)


def test_graphs_hand_out_the_regression_features(yolov):
    graphs = {graph.name: graph for graph in graphs_of(yolov, SIZE)}
    assert list(graphs) == ["frame", "describe", "step", "refine"]
    assert graphs["frame"].outputs[-3:] == ("reg_features_p3", "reg_features_p4", "reg_features_p5")
    assert graphs["describe"].outputs == ("cls_features",)
    with torch.inference_mode():
        images = pictures(1, SIZE)
        found = TorchRunner(yolov).run("frame", {"images": images.permute(0, 2, 3, 1)})
        expected = yolov.detector(images).reg_features
    for level, feature in zip(("p3", "p4", "p5"), expected, strict=True):
        torch.testing.assert_close(
            found[f"reg_features_{level}"], feature.permute(0, 2, 3, 1), atol=1e-5, rtol=1e-5
        )


def test_ifem_is_no_part_of_the_graphs(yolov):
    learnt = embedded_yolov("yolov_ifem", test_size=SIZE)
    for one, other in zip(graphs_of(yolov, SIZE), graphs_of(learnt, SIZE), strict=True):
        assert one.outputs == other.outputs
        assert [*one.module.state_dict()] == [*other.module.state_dict()]
    assert info_of(learnt, "frame").aggregation == "ticam"


@torch.inference_mode()
@pytest.mark.parametrize(("size", "count"), [((64, 64), 1), ((96, 160), 3)])
def test_the_detector_over_graphs(yolov, size, count):
    detector = GraphDetector(TorchRunner(yolov))
    images = pictures(count, size)
    expected, found = yolov.propose(images), detector.propose(images)
    for name, value in vars(expected).items():
        torch.testing.assert_close(getattr(found, name), value, atol=1e-4, rtol=1e-4, msg=name)
    refined = detector.aggregator.refine(found)
    torch.testing.assert_close(refined, yolov.aggregator.refine(expected), atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_stream_decides_by_the_frames_before(yolov):
    detector = GraphDetector(TorchRunner(yolov))
    proposals = yolov.propose(pictures(5))
    banks = MemoryBank(2), MemoryBank(2)
    for frame in range(5):
        expected, own = yolov.aggregator.step(proposals[frame], banks[0].stacked())
        found, entry = detector.aggregator.step(proposals[frame], banks[1].stacked())
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        banks[0].append(own)
        banks[1].append(entry)
    alone, _ = yolov.aggregator.step(proposals[4], None)
    assert (alone - expected).abs().max() > 1e-3


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_exported_files_give_the_numbers_of_pytorch(yolov, folder, clip, backend):
    pytest.importorskip(backend)
    # OpenVINO would choose half precision by itself where the processor has it.
    precision = "fp32" if backend == "openvino" else "auto"
    detector = open_detector(folder, BackendOptions(backend, precision=precision))
    parity = measure_parity(yolov, graphs_of(yolov, yolov.config.test_size), detector.runner, clip)
    assert {difference.graph for difference in parity.graphs} == {
        "frame",
        "describe",
        "step",
        "refine",
    }
    scaled = [found.difference / max(found.largest, 1.0) for found in parity.graphs]
    assert max(scaled) <= 1e-4
    assert parity.matched == parity.detections >= 10
    assert parity.box < 1e-3
    assert parity.score < 1e-4


def test_predict_in_every_mode(yolov, clip, tmp_path):
    """A public checkpoint as it is, and converted, give the same lines."""
    torch.save({"model": public_names(yolov)}, tmp_path / "yolov.pth")
    frames = tmp_path / "frames"
    frames.mkdir()
    for index, image in enumerate(clip):
        cv2.imwrite(str(frames / f"{index}.png"), image)
    names = ",".join(yolov.config.class_names)
    convert = ["convert", tmp_path / "yolov.pth", "--out", tmp_path / "w.safetensors"]
    assert main([str(a) for a in [*convert, "--classes", names]]) == 0
    lines = {}
    for weights in ("yolov.pth", "w.safetensors"):
        for mode in ("stream", "global", "frame"):
            out = tmp_path / f"{weights}-{mode}.jsonl"
            options = ["--mode", mode, "--size", "128", "--conf", "0.05", "--jsonl", out]
            command = ["predict", frames, "--weights", tmp_path / weights, *options]
            assert main([str(a) for a in command]) == 0
            rows = [json.loads(line) for line in out.read_text().splitlines()]
            assert [row["frame"] for row in rows] == list(range(6))
            lines[weights, mode] = [
                [(f["bbox"], f["score"], f["class_id"]) for f in row["detections"]] for row in rows
            ]
    for mode in ("stream", "global", "frame"):
        assert lines["yolov.pth", mode] == lines["w.safetensors", mode]
        assert any(lines["yolov.pth", mode])
    assert lines["yolov.pth", "stream"] != lines["yolov.pth", "frame"]
    assert lines["yolov.pth", "stream"] != lines["yolov.pth", "global"]


def test_convert_says_what_it_found(yolov, tmp_path, capsys):
    torch.save(public_names(yolov), tmp_path / "yolov.pth")
    out = tmp_path / "w.safetensors"
    assert main(["convert", str(tmp_path / "yolov.pth"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out}: YOLOV-nano, 8 classes\n"
    assert load_model(out).config.class_names == tuple(f"class {i}" for i in range(8))
    torch.save({**public_names(yolov), "head.agg.linear1.bias": torch.zeros(1)}, tmp_path / "p.pth")
    assert main(["convert", str(tmp_path / "p.pth"), "--out", str(tmp_path / "p")]) == 2
    assert "YOLOV++" in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_names_of_variants_stand_for_random_weights(tmp_path):
    yolov = load_model(checkpoint_of("yolov_nano", tmp_path))
    assert type(yolov) is YOLOV
    assert yolov.config.title == "YOLOV-nano"
    assert type(load_model(checkpoint_of("yolov_ifem_nano", tmp_path))) is YolovIfem


def test_half_precision_keeps_ticam_in_float32(yolov):
    half = TorchDetector(yolov, precision="bf16").model
    assert next(half.detector.parameters()).dtype == torch.bfloat16
    assert next(half.ticam.parameters()).dtype == torch.float32
