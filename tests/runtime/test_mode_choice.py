"""Mode "auto": streams for live sources, whole files with REPP, shot by shot."""

from __future__ import annotations

from statistics import mean
from typing import Any

import numpy as np
import pytest
from grouped import make_detector
from runtime_helpers import FakeModel, flat_frames

from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.nn.affinity import Affinity
from faim.postprocess.one_object import OneObjectConfig, calibrated
from faim.runtime.modes import resolve_mode
from faim.runtime.pipeline import Detector
from faim.runtime.sources import ArraySource


def detector(aggregator: Any = None, **options: Any) -> Detector:
    model = FakeModel()
    model.aggregator = aggregator or Affinity()
    return make_detector(model, score_threshold=0.0, **({"post": "auto"} | options))


def scores(found: list[Any]) -> list[float]:
    return [float(one.confidence[0]) for one in found]


def patterns(seed: int, *levels: int, size: tuple[int, int] = (64, 64)) -> list[np.ndarray]:
    """Frames of one strange scene, of the mean brightnesses `levels`."""
    scene = np.random.default_rng(seed).integers(-40, 41, (8, 8)).repeat(size[0] // 8, 0)
    scene = scene.repeat(size[1] // 8, 1) - scene.mean()
    return [np.stack([level + scene] * 3, -1).clip(0, 255).astype(np.uint8) for level in levels]


@pytest.mark.parametrize(
    ("mode", "live", "post", "runs"),
    [
        ("auto", True, "auto", "stream"),
        ("auto", False, "auto", "global"),
        ("auto", False, "none", "global"),
        ("auto", False, "repp", "global"),
        ("auto", False, "causal", "stream"),
        ("frame", True, "auto", "frame"),
        ("global", True, "causal", "global"),
    ],
)
def test_what_auto_stands_for(mode: Any, live: bool, post: Any, runs: str) -> None:
    assert resolve_mode(mode, live, post) == runs


def test_no_such_mode() -> None:
    with pytest.raises(
        FaimError, match="mode: 'past' given; expected one of auto, stream, global, frame"
    ):
        detector().predict(flat_frames(9), "past")  # type: ignore[arg-type]


def test_a_file_learns_from_all_of_it_and_a_live_source_from_its_past() -> None:
    frames = patterns(0, 200, 150, 100)
    levels = [float(frame.mean()) / 255 for frame in frames]
    running = detector(scene_cuts=False)
    whole = scores(running.predict(frames, "auto"))
    assert whole == pytest.approx([mean(levels)] * 3, abs=1e-3)
    assert whole == pytest.approx(scores(running.predict(frames, "global")))
    live = ArraySource(frames)
    live.live = True
    past = [
        float(calibrated(np.array(mean(levels[: count + 1])), OneObjectConfig()))
        for count in range(3)
    ]
    found = [result.detections for result in running.stream(live, "auto")]
    assert scores(found)[:2] == pytest.approx(past[:2], abs=0.02)
    assert scores(found) == pytest.approx(scores(running.predict(frames, "stream")))
    with pytest.raises(FaimError, match="repp given with mode stream, but it needs the whole"):
        detector(post="repp").stream(live, "auto")


def test_repp_by_auto_ends_at_a_cut_and_a_lone_frame_stays(monkeypatch: Any) -> None:
    """Two shots and a photograph; asked for by name, REPP takes all for one video."""
    frames = [*patterns(0, 200, 150), *patterns(1, 100, 60), *patterns(2, 90)]
    levels = [float(frame.mean()) / 255 for frame in frames]
    first, second = mean(levels[:2]), mean(levels[2:4])
    cut_before = iter([False, True, False, True])
    monkeypatch.setattr(
        "faim.stream.global_mode.is_scene_cut", lambda *thumbnails: next(cut_before)
    )
    found = detector().predict(frames, "auto")
    assert scores(found) == pytest.approx([first, first, second, second, levels[4]], abs=1e-3)
    named = scores(detector(post="repp").predict(frames, "auto"))
    assert named == pytest.approx([named[0]] * 5)
    uncut = detector(scene_cuts=False).predict(frames, "auto")
    assert scores(uncut) == pytest.approx([mean(levels)] * 5, abs=1e-3)


def test_strange_photographs_are_cuts() -> None:
    """A folder of photographs, each another scene: none loses its boxes to its neighbours."""
    generator = np.random.default_rng(0)
    photographs = []
    for level in (90, 140, 200):
        coarse = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        photograph = coarse.repeat(16, 0).repeat(16, 1).astype(float)
        photograph += level - photograph.mean()
        photographs.append(photograph.clip(0, 255).astype(np.uint8))
    levels = [float(image.mean()) / 255 for image in photographs]
    assert scores(detector().predict(photographs, "auto")) == pytest.approx(levels, abs=0.01)


def test_frames_of_several_sizes_are_several_shots() -> None:
    frames = [*flat_frames(200, 100), *flat_frames(50, size=(64, 96)), *flat_frames(80, 80)]
    found = scores(detector(scene_cuts=False).predict(frames, "auto"))
    assert found[:2] == pytest.approx([150 / 255] * 2, abs=1e-3)
    assert found[3:] == pytest.approx([80 / 255] * 2, abs=1e-3)
    assert len(found) == 5


def test_one_image_keeps_what_is_found_in_it() -> None:
    assert scores(detector().predict(flat_frames(77), "auto")) == pytest.approx([77 / 255])


def test_frames_that_are_not_to_help_each_other_do_not() -> None:
    alone = detector(NoAggregation())
    frames = flat_frames(200, 100)
    assert scores(alone.predict(frames, "auto")) == pytest.approx([200 / 255, 100 / 255])
    assert alone.what_joins("global") == "single frames"
    assert alone.what_joins("stream") == "single frames"
