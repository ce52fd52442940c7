"""`faim export` as a user meets it: a whole folder or none, and one sentence for a mistake."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from faim.backends.graph import Graph
from faim.backends.info import ExportInfo
from faim.cli import main
from faim.errors import FaimError
from faim.export.output_folder import output_folder
from faim.weights import default_weights

pytest.importorskip("onnx")
pytest.importorskip("onnxsim")
pytest.importorskip("onnxruntime")


def run(*arguments: object) -> int:
    return main(["export", *map(str, arguments)])


def refused(capsys: Any, out: Path, arguments: list[object], *words: str) -> None:
    """Status 2, one sentence with these words, and nothing new beside `out`."""
    before = sorted(out.parent.iterdir())
    assert run("--out", out, *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error, error
    assert sorted(out.parent.iterdir()) == before


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Graphs are "exported" at once; names of those that were."""
    written: list[str] = []

    def write(graph: Graph, path: Path, info: ExportInfo) -> None:
        path.write_text(info.to_json())
        written.append(graph.name)

    monkeypatch.setattr("faim.export.run.write_onnx", write)
    return written


def test_export_then_predict(tmp_path: Path, clip_folder: Path, capsys: Any) -> None:
    out = tmp_path / "models" / "nano"
    assert run("--format", "onnx", "--out", out, "--aggregate", "none", "--size", "96x128") == 0
    printed = capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == {"frame.onnx", "checksums.json"}
    assert [path.name for path in out.parent.iterdir()] == ["nano"]
    size = (out / "frame.onnx").stat().st_size
    assert f"{out / 'frame.onnx'}  {size / 1e6:.1f} MB" in printed
    assert "opset 20" in printed
    assert "onnxruntime fp32 against PyTorch" in printed
    assert f"use it: faim predict VIDEO --weights {out}" in printed
    lines = {}
    for weights in (out, default_weights()):
        found = tmp_path / "found.jsonl"
        arguments = ["predict", clip_folder, "--weights", weights, "--jsonl", found]
        arguments += ["--aggregate", "none", "--size", "96x128", "--conf", "0.05"]
        backend = "onnxruntime" if weights == out else "torch"
        assert main([str(a) for a in [*arguments, "--backend", backend, "--device", "cpu"]]) == 0
        lines[weights] = [json.loads(line) for line in found.read_text().splitlines()]
    assert sum(len(frame["detections"]) for frame in lines[out]) >= 5
    for one, other in zip(*lines.values(), strict=True):
        assert len(one["detections"]) == len(other["detections"])
        for a, b in zip(one["detections"], other["detections"], strict=True):
            assert a["label"] == b["label"]
            assert a["score"] == pytest.approx(b["score"], abs=1e-3)
            assert a["bbox"] == pytest.approx(b["bbox"], abs=0.05)


def test_an_earlier_export_is_replaced_whole(tmp_path: Path, quick: list[str]) -> None:
    out = tmp_path / "out"
    assert run("--format", "onnx", "--no-parity", "--out", out) == 0
    assert quick == ["frame", "describe", "step", "refine"]
    assert len(list(out.iterdir())) == 4 + 1  # the checksums
    assert run("--format", "onnx", "--no-parity", "--out", out, "--aggregate", "affinity") == 0
    # The other three would not fit to the new frame graph.
    assert {path.name for path in out.iterdir()} == {"frame.onnx", "checksums.json"}
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), FaimError("step: layer x cannot")])
def test_what_fails_leaves_the_earlier_export(
    tmp_path: Path,
    quick: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    fault: BaseException,
) -> None:
    import faim.export.run as module

    out = tmp_path / "out"
    arguments = ["--format", "onnx", "--no-parity", "--out", out]
    assert run(*arguments) == 0
    earlier = {path.name: path.read_text() for path in out.iterdir()}
    working = module.write_onnx

    def failing(graph: Graph, path: Path, info: ExportInfo) -> None:
        if graph.name == "step":
            raise fault
        working(graph, path, info)

    monkeypatch.setattr(module, "write_onnx", failing)
    interrupted = isinstance(fault, KeyboardInterrupt)
    assert run(*arguments, "--size", "64") == (130 if interrupted else 2)
    assert capsys.readouterr().err == ("" if interrupted else "faim: step: layer x cannot\n")
    assert {path.name: path.read_text() for path in out.iterdir()} == earlier
    assert list(tmp_path.iterdir()) == [out]


def test_messages_name_the_file_where_it_was_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def full(graph: Graph, path: Path, info: ExportInfo) -> None:
        raise FaimError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr("faim.export.run.write_onnx", full)
    out = tmp_path / "out"
    sentence = f"faim: {out / 'frame.onnx'}: cannot be written (No space left on device)"
    refused(capsys, out, ["--format", "onnx"], sentence)


def test_a_folder_of_someone_else_is_not_touched(tmp_path: Path, capsys: Any) -> None:
    onnx = ["--format", "onnx"]
    for name, text in (("notes.txt", "mine"), ("frame.onnx", "of another program")):
        out = tmp_path / name.partition(".")[0]
        out.mkdir()
        (out / name).write_text(text)
        refused(capsys, out, onnx, f"({name})", "expected a new or empty folder")
        assert (out / name).read_text() == text
    file = tmp_path / "file"
    file.write_text("")
    refused(capsys, file, onnx, "is a file; expected a folder")
    refused(capsys, tmp_path / ("x" * 300), onnx, "cannot be written (File name too long)")


def test_the_earlier_folder_comes_back_if_it_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "frame.onnx").write_text("dynamic_size")
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "files":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(FaimError, match="cross-device"), output_folder(out) as place:
        (place.files / "frame.onnx").write_text("new dynamic_size")
    assert (out / "frame.onnx").read_text() == "dynamic_size"
    assert list(tmp_path.iterdir()) == [out]


INT8 = ["--format", "openvino", "--precision", "int8"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "onnx", "-c", "none.pth"], ["none.pth: no such file"]),
        (["--format", "onnx", "-c", "/"], ["/: is a folder; expected a checkpoint"]),
        (["--format", "onnx", "--size", "100"], ["--size: '100'", "multiple of 32"]),
        (["--format", "onnx", "--size", "64x"], ["--size: '64x'"]),
        (["--format", "onnx", "--size", "3200000"], ["--size: '3200000'", "up to 8192"]),
        (["--format", "onnx", "--batch", "many"], ["--batch: 'many'", "1 to 256, or dynamic"]),
        (["--format", "onnx", "--precision", "int8"], ["int8 with --format onnx"]),
        (["--format", "tensorrt", "--precision", "int8"], ["int8 with --format tensorrt"]),
        (["--format", "onnx", "--calibration", "v"], ["--calibration: only int8"]),
        (["--format", "onnx", "--data", "d"], ["--data: only int8"]),
        (["--format", "onnx", "--compute-capability", "7.5"], ["7.5 given with --format onnx"]),
        (["--format", "tensorrt", "--compute-capability", "7.7"], ["'7.7' given", "8.6, 8.9"]),
        (INT8, ["--calibration: not given with --precision int8"]),
        ([*INT8, "--calibration", "v", "--calibration-frames", "0"], ["--calibration-frames: '0'"]),
    ],
)
def test_wrong_options(
    tmp_path: Path, capsys: Any, arguments: list[object], words: list[str]
) -> None:
    refused(capsys, tmp_path / "out", arguments, *words)


def test_wrong_calibration_and_data(tmp_path: Path, capsys: Any) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    empty, one = tmp_path / "empty", tmp_path / "one"
    empty.mkdir()
    one.mkdir()
    cv2.imwrite(str(one / "0.png"), np.zeros((32, 32, 3), np.uint8))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    data = tmp_path / "data.json"
    content: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "one/0.png", "width": 32, "height": 32}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 2, 9, 9]}],
        "categories": [{"id": 1, "name": "unicorn"}],
    }
    data.write_text(json.dumps(content))
    out = tmp_path / "out"
    for video, words in (
        (tmp_path / "none.mp4", "none.mp4: no such file"),
        (empty, "empty: no images in this folder"),
        (text, "text.mp4: cannot be opened as a video"),
        (one, "one: too few frames to calibrate with (1); expected 2"),
    ):
        refused(capsys, out, [*INT8, "--calibration", video], words)
    for labels, words in (
        (tmp_path / "none.json", "none.json: no such file"),
        (data, "1 of 1 classes are unknown to the weights (unicorn)"),
    ):
        refused(capsys, out, [*INT8, "--calibration", one, "--data", labels], words)


@pytest.mark.parametrize("package", ["onnxsim", "onnxruntime"])
def test_a_missing_library_is_told_before_the_work(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    import faim.export.run as module

    find = module.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else find(name))
    sentence = f"the package {package} is not installed; expected it (in "
    refused(capsys, tmp_path / "out", ["--format", "onnx", "-c", "none.pth"], sentence)


def test_several_capabilities_get_a_folder_each(
    tmp_path: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from faim.backends import engine_file
    from faim.export import tensorrt

    asked: list[tuple[str, str, str, str | None]] = []

    def build(
        graph: Graph,
        onnx_model: Path,
        path: Path,
        info: ExportInfo,
        *,
        compute_capability: str | None,
    ) -> None:
        assert onnx_model.is_file()
        place = str(path.relative_to(path.parents[1]))
        asked.append((graph.name, place, info.precision, compute_capability))
        engine_file.write_engine_file(path, info, (), b"engine")

    monkeypatch.setattr(tensorrt, "write_engine", build)
    out = tmp_path / "out"
    arguments = ["--format", "tensorrt", "--out", out, "--no-parity", "--aggregate", "none"]
    # A second run replaces the first.
    for capabilities in (["8.9"], ["7.5", "12.0"], ["7.5", "12.0"]):
        asked.clear()
        assert run(*arguments, "--compute-capability", *capabilities) == 0
    assert asked == [
        ("frame", "sm75/frame.engine", "fp16", "7.5"),
        ("frame", "sm120/frame.engine", "fp16", "12.0"),
    ]
    assert sorted(path.name for path in out.iterdir()) == ["sm120", "sm75"]
    printed = capsys.readouterr().out
    assert f"--weights {out / 'sm75'}\n" in printed
    assert f"--weights {out / 'sm120'}\n" in printed
