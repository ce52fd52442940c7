"""Weights that know synthetic patterns alone say so once, before the first frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from live_helpers import recorded_warnings
from runtime_helpers import FakeModel, flat_frames, write_video

from faim.cli import main
from faim.families.yolox.checkpoint import load_checkpoint
from faim.runtime.known_things import knows_patterns_alone, patterns_alone
from faim.runtime.many import stream_many
from faim.runtime.pipeline import Detector
from faim.runtime.sources import ArraySource
from faim.weights import default_weights

SAID = (
    "these weights know synthetic patterns (stripes, dots), no real objects; for real video name "
    'others: --weights yolox_s, in Python faim.load("yolox_s")'
)


def detector(*names: str) -> Detector:
    model = FakeModel()
    model.config = replace(model.config, class_names=names)
    return Detector(model)  # type: ignore[arg-type]


def test_it_is_said_once_when_the_first_source_is_opened() -> None:
    with recorded_warnings() as warnings:
        patterns = detector("stripes", "dots")
        assert warnings == []
        results = patterns.stream(flat_frames(9))
        assert warnings == [SAID]
        list(results)
        patterns.predict(flat_frames(9, 9))
        list(stream_many(patterns, [ArraySource(flat_frames(9))]))
    assert warnings == [SAID]


def test_several_sources_are_told_too() -> None:
    with recorded_warnings() as warnings:
        list(stream_many(detector("stripes", "dots"), [ArraySource(flat_frames(9))] * 2))
    assert warnings == [SAID]


def test_real_names_are_not_warned_of() -> None:
    with recorded_warnings() as warnings:
        detector("stripes", "zebra").predict(flat_frames(9))
        detector("dog", "cat").predict(flat_frames(9))
    assert warnings == []


def test_the_embedded_weights_are_such_wherever_they_lie() -> None:
    assert knows_patterns_alone(load_checkpoint(default_weights())[0].class_names)


def test_the_command_says_it_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_video(tmp_path / "a.mp4", flat_frames(*[200] * 3))
    monkeypatch.setattr(
        "faim.runtime.predict.load_grouped", lambda *_args, **_rest: detector("stripes", "dots")
    )
    lines: list[Any] = ["predict", video, video, "--jsonl", tmp_path / "a.jsonl"]
    assert main([str(each) for each in lines]) == 0
    told = capsys.readouterr().err
    assert told.count(patterns_alone(("stripes", "dots"))) == 1
