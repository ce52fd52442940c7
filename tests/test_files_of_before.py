"""Files written before a family of detectors was a folder load, and give the same detections.

`tests/files/first_house` was made by version 0.1.0's last commit with one family: random weights
of small models, their graphs, states of streams after five frames, a folder of results, and what
all of it found.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import faim
from faim.cli import main
from faim.stream.state import StreamState

FILES = Path(__file__).parent / "files" / "first_house"
EXPECTED: dict[str, list[list[Any]]] = json.loads((FILES / "detections.json").read_text())
FRAMES = list(np.load(FILES / "frames.npz")["frames"])
MODELS = ("faim", "yolov", "yolox")


def found(results: Any) -> list[list[Any]]:
    """Of every result its boxes, scores, classes and tracks, as they were written."""
    listed = []
    for result in results:
        tracks = result.tracker_id if result.tracker_id is not None else [-9] * len(result)
        rows = zip(result.xyxy, result.confidence, result.class_id, tracks, strict=True)
        listed.append([[*map(float, box), float(s), int(c), int(t)] for box, s, c, t in rows])
    return listed


def assert_same(results: Any, case: str) -> None:
    one, other = found(results), EXPECTED[case]
    assert [len(frame) for frame in one] == [len(frame) for frame in other]
    for frame, expected in zip(one, other, strict=True):
        np.testing.assert_allclose(frame, expected, atol=2e-4)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("post", ["none", "auto"])
def test_checkpoints(name: str, post: Any) -> None:
    detector = faim.load(FILES / f"{name}.safetensors", conf=0.05, backend="torch", post=post)
    assert_same(detector.stream(iter(FRAMES)), f"{name} stream {post}")
    assert_same(detector.predict(iter(FRAMES), mode="global"), f"{name} global {post}")
    if post == "none":
        assert_same((detector(frame) for frame in FRAMES), f"{name} frame")


@pytest.mark.parametrize("name", MODELS)
def test_states_of_streams(name: str) -> None:
    detector = faim.load(FILES / f"{name}.safetensors", conf=0.05, backend="torch")
    state = StreamState.load(FILES / f"{name}_state.safetensors")
    assert state.frames_seen == 5
    assert_same([detector.step(frame, state) for frame in FRAMES[5:]], f"{name} after state")


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs onnxruntime")
@pytest.mark.parametrize("name", ["faim", "yolox"])
def test_exported_folders(name: str) -> None:
    detector = faim.load(FILES / f"{name}_onnx", conf=0.05, backend="onnxruntime")
    assert_same(detector.stream(iter(FRAMES)), f"{name}_onnx stream")


def test_a_folder_of_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["report", str(FILES / "run"), "--out", str(tmp_path / "report.html")])
    assert status == 0, capsys.readouterr().err
    assert "<table" in (tmp_path / "report.html").read_text(encoding="utf-8")
