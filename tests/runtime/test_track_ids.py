"""Track ids as users meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grouped import make_detector, predict_options
from runtime_helpers import FakeModel, flat_frames, write_video

from faim.runtime.many import stream_many
from faim.runtime.pipeline import Detector
from faim.runtime.predict_terminal import predict_in_terminal
from faim.runtime.sources import ArraySource


def detector(post: Any, **options: Any) -> Detector:
    options = {"score_threshold": 0.3, "bank_frames": 0, "scene_cuts": False, **options}
    return make_detector(FakeModel(), post=post, **options)


def ids(results: Any) -> list[list[int]]:
    return [result.tracker_id.tolist() for result in results]


def test_streams_whole_files_and_single_frames() -> None:
    frames = flat_frames(255, 204, 255)
    assert ids(detector("causal").stream(frames, "stream")) == [[-1], [1], [1]]
    assert ids(detector("repp").stream(frames, "global")) == [[1]] * 3
    for mode in ("stream", "global", "frame"):
        assert all(r.tracker_id is None for r in detector("none").stream(frames, mode))


def test_a_number_is_not_given_again_after_a_cut() -> None:
    random = np.random.default_rng(0)
    other = random.integers(150, 256, (64, 64, 3)).astype(np.uint8)
    frames = [np.full((64, 64, 3), 255, np.uint8)] * 3 + [other] * 3
    assert ids(detector("causal", scene_cuts=True).stream(frames, "stream")) == [
        [-1], [1], [1], [-1], [2], [2]
    ]  # fmt: skip


def test_several_streams_share_no_number() -> None:
    sources = [ArraySource(flat_frames(*[255] * 3)) for _ in range(3)]
    found: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for number, result in stream_many(detector("causal"), sources):
        found[number] |= set(result.tracker_id.tolist())
    assert found == {0: {-1, 1}, 1: {-1, 2}, 2: {-1, 3}}


@pytest.mark.parametrize(("mode", "post"), [("stream", "causal"), ("global", "repp")])
def test_several_files_share_none_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any, post: Any
) -> None:
    monkeypatch.setattr(
        "faim.runtime.predict.load_grouped", lambda weights, **options: detector(post)
    )
    videos = [str(write_video(tmp_path / f"{name}.mp4", flat_frames(*[255] * 3))) for name in "abc"]
    predict_in_terminal(
        predict_options(tuple(videos), "w.pth", mode=mode, post=post, jsonl=tmp_path / "out.jsonl")
    )
    known = [
        {
            each["track_id"]
            for line in (tmp_path / f"out-{number}.jsonl").read_text().splitlines()
            for each in json.loads(line)["detections"]
            if "track_id" in each
        }
        for number in range(3)
    ]
    assert known == [{1}, {2}, {3}]
