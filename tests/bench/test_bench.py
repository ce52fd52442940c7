"""What `faim bench` measures and reports; how fast it was is nobody's business here."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

import faim.bench.run
from faim.bench.clock import Clock
from faim.bench.run import WARM_UP, BenchOptions, run_bench
from faim.bench.subjects import checkpoint_of, write_clip
from faim.cli import main
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.faim import FAIM, YoloxVideo
from faim.runtime.select import BackendOptions
from faim.timing import median_ms, p95_ms

STAGES = [
    "decode",
    "letterbox",
    "frame graph",
    "FSPM",
    "branch and IFEM",
    "TICAM",
    "post-processing",
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    arguments = ["bench", "--weights", "faim_nano", "--size", "64", "--frames", "12"]
    assert main([*arguments, "--backend", "torch", "--device", "cpu", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_json_says_what_was_timed(report: dict[str, Any]) -> None:
    assert (report["weights"], report["backend"]) == ("faim_nano", "torch fp32")
    assert (report["device"], report["size"], report["frames"]) == ("cpu", [64, 64], 12)
    assert (report["bank_frames"], report["num_proposals"]) == (31, 30)


def test_json_has_all_times_and_they_fit_together(report: dict[str, Any]) -> None:
    for name in ("base_ms", "stream_ms", "global_ms", "end_to_end_fps", "peak_memory_mb"):
        assert report[name] > 0, name
        assert math.isfinite(report[name]), name
    assert report["ratio"] == report["stream_ms"] / report["base_ms"]
    assert report["step_ratio"] == report["stream_step_ms"] / report["base_ms"]
    assert report["global_over_stream"] == report["global_step_ms"] / report["stream_step_ms"]
    assert report["stream_step_ms"] >= report["stream_ms"]
    assert report["end_to_end_ms"] * report["end_to_end_fps"] == pytest.approx(1000)
    assert report["end_to_end_over_base"] == report["end_to_end_ms"] / report["base_ms"]
    assert list(report["p95_ms"]) == ["base", "stream", "global", "stream_step", "global_step"]
    for name, high in report["p95_ms"].items():
        assert high >= report[f"{name}_ms"]
    assert list(report["stages"]) == STAGES
    assert all(value > 0 for value in report["stages"].values()), report["stages"]


def test_a_base_detector_alone_and_no_more_frames_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    class Counting(faim.bench.run.JsonLinesSink):
        def write(self, result: Any) -> None:
            written.append(result.frame.index)
            super().write(result)

    monkeypatch.setattr(faim.bench.run, "JsonLinesSink", Counting)
    video = write_clip(tmp_path / "long.mp4", 25, (128, 192))
    run = BackendOptions("torch", "cpu")
    options = BenchOptions("yolox_nano", (64, 96), run, str(video), frames=2, bank_frames=3)
    result = run_bench(options)
    assert written == list(range(2 + WARM_UP))
    assert (result.frames, result.size, result.bank_frames) == (2, (64, 96), 3)
    assert result.stages["branch and IFEM"] == 0
    assert list(result.stages) == STAGES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "faim_huge"], "faim_huge: no such file; expected a checkpoint"),
        (["--source", "gone.mp4"], "gone.mp4"),
        (["--source", "short"], "short: has 8 frames; expected more than 10 to time"),
        (["--json", "short"], "short: cannot be written; expected a file name"),
    ],
)
def test_wrong_input_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").mkdir()
    for index in range(8):
        cv2.imwrite(str(tmp_path / f"short/{index}.png"), np.zeros((32, 32, 3), np.uint8))
    preset = ["bench", "--size", "64", "--frames", "5", "--backend", "torch", "--device", "cpu"]
    assert main([*preset, *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_variants_name_stands_for_the_same_random_weights(tmp_path: Path) -> None:
    first = load_model(checkpoint_of("faim_nano", tmp_path, num_proposals=10))
    (tmp_path / "again").mkdir()
    second = load_model(checkpoint_of("faim_nano", tmp_path / "again", num_proposals=10))
    assert isinstance(first, FAIM)
    assert (first.config.num_proposals, first.config.test_size) == (10, (416, 416))
    assert first.config.num_classes == 30
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[name]), name
    assert isinstance(load_model(checkpoint_of("yolox_nano", tmp_path)), YoloxVideo)
    own = tmp_path / "own.safetensors"
    assert checkpoint_of(str(own), tmp_path) == own


def test_the_clip_is_as_long_as_asked_for_and_moves(tmp_path: Path) -> None:
    with av.open(str(write_clip(tmp_path / "clip.mp4", 7, (128, 192)))) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(128, 192, 3)] * 7
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
    assert min(steps) > 1


def test_a_clock_adds_up_what_it_is_told() -> None:
    clock = Clock(torch.device("cpu"))
    clock.seconds["x"] = [9.0, 0.001, 0.002, 0.004]
    assert clock.ms("x", warm_up=1) == pytest.approx(2)
    with clock.time("x"):
        pass
    assert len(clock.seconds["x"]) == 5
    assert p95_ms([0.001 * n for n in range(101)]) == pytest.approx(95)
    assert math.isnan(median_ms([]))
    assert math.isnan(p95_ms([]))
