"""Post-processing inside a running detector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from grouped import make_detector, predict_options
from runtime_helpers import FakeModel, MeanBrightness, flat_frames, write_video
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import faim
from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.groups import PostOptions
from faim.nn.affinity import Affinity
from faim.postprocess.causal import CausalConfig, CausalState
from faim.postprocess.one_object import OneObjectConfig, calibrated
from faim.postprocess.pairs import PairModel
from faim.postprocess.post import CausalPost, ScoredStore, WholeVideoPost
from faim.runtime.many import stream_many
from faim.runtime.opening import Mode
from faim.runtime.pipeline import Detector
from faim.runtime.predict_terminal import predict_in_terminal
from faim.runtime.results import FrameResult
from faim.runtime.sources import ArraySource
from faim.stream.state import StreamState
from faim.structures import Proposals, ScoredBoxes

LEVELS = (255, 0, 51, 204, 153)


def detector(post: Any, **options: Any) -> Detector:
    options = {"score_threshold": 0.0, "bank_frames": 0, "scene_cuts": False, **options}
    return make_detector(FakeModel(), post=post, **options)


def scores(found: list[FrameResult]) -> list[float]:
    return [float(one.confidence[0]) for one in found]


def test_repp_gives_every_frame_the_mean_of_the_video() -> None:
    frames = flat_frames(255, 102, 51, 204)
    for mode in ("frame", "global"):
        found = detector("repp", sampling="local").predict(frames, mode)
        assert scores(found) == pytest.approx([0.6] * 4, abs=1e-6)
        assert all(one.xyxy.tolist() == [[8, 16, 40, 48]] for one in found)


def test_repp_hides_what_stays_below_the_threshold_but_counts_it() -> None:
    frames = flat_frames(255, 51, 51, 51)
    assert scores(detector("repp", score_threshold=0.4).predict(frames, "frame")) == pytest.approx(
        [0.4] * 4
    )
    found = detector("repp", score_threshold=0.45).predict(frames, "frame")
    assert [len(one) for one in found] == [0] * 4


@pytest.mark.parametrize("mode", ["frame", "global"])
def test_repp_results_come_in_order_with_their_pixels(mode: Any) -> None:
    frames = flat_frames(255, 102, 204)
    counted: list[int] = []
    with_pixels = detector("repp").stream(frames, mode, on_frame=lambda: counted.append(1))
    for index, result in enumerate(with_pixels):
        assert result.frame.index == index
        assert result.frame.image[0, 0, 0] == frames[index][0, 0, 0]
    assert len(counted) == 3
    blank = list(detector("repp").stream(frames, mode, images=False))
    assert [result.frame.image.max() for result in blank] == [0, 0, 0]


def mean(*values: float) -> float:
    """Of the scores so far, each weighted by a power of itself, as it is shown."""
    power = CausalConfig().emphasis
    return shown(
        sum(value ** (1 + power) for value in values) / sum(value**power for value in values)
    )


def shown(score: float) -> float:
    """A score of causal post-processing as it is given out."""
    return float(calibrated(np.array(score), OneObjectConfig()))


#: A single dark frame is not confirmed.
UNSURE = shown(0.8 * 0.2)


def test_causal_gives_a_stream_the_mean_so_far() -> None:
    levels = (1.0, 0.2, 0.8, 0.4)
    found = detector("causal").predict(flat_frames(255, 51, 204, 102), "stream")
    means = [mean(*levels[: count + 1]) for count in range(4)]
    assert scores(found) == pytest.approx(means, abs=1e-6)


class Ticam(MeanBrightness):
    """By its name."""

    name = "ticam"


def test_auto_is_causal_behind_ticam() -> None:
    model = FakeModel()
    model.aggregator = Ticam()
    frames = flat_frames(255, 51, 204)
    plain = make_detector(model, post="none", score_threshold=0.0, scene_cuts=False)
    # What `Ticam` decides: the mean brightness so far.
    assert scores(plain.predict(frames, "stream")) == pytest.approx([1, 0.6, 2 / 3], abs=1e-6)
    for post in ("auto", "causal"):
        made = make_detector(model, post=post, score_threshold=0.0, scene_cuts=False)
        assert isinstance(made.post, CausalPost)
        assert made.aggregation_in("stream") == "ticam"
        decided = (1, 0.6, 2 / 3)
        expected = [mean(*decided[: count + 1]) for count in range(3)]
        assert scores(made.predict(frames, "stream")) == pytest.approx(expected, abs=1e-6)
    # Over whole videos "auto" is REPP.
    auto = make_detector(model, post="auto", score_threshold=0.0, scene_cuts=False)
    whole = scores(auto.predict(frames, "global"))
    linked = Detector(model, post="repp", score_threshold=0.0)  # type: ignore[arg-type]
    assert whole == pytest.approx(scores(linked.predict(frames, "global")))


class GraphTicam(Ticam):
    """The score of every frame is the brightness of the brightest."""

    def refine(self, proposals: Proposals) -> Tensor:
        return super().refine(proposals).fill_(float(proposals.class_scores.max()))


def test_repp_behind_ticam_links_its_decision() -> None:
    model = FakeModel()
    model.aggregator = GraphTicam()
    made = make_detector(model, post="repp", score_threshold=0.0, scene_cuts=False)
    frames = flat_frames(255, 51, 204)
    # Each is decided to be 1, the brightness of the brightest.
    assert scores(made.predict(frames, "global")) == pytest.approx([1] * 3, abs=1e-6)
    # Frame mode is the base detector's, linked.
    assert scores(made.predict(frames, "frame")) == pytest.approx([2 / 3] * 3, abs=1e-6)


def test_what_joins_the_frames_is_said() -> None:
    model = FakeModel()
    model.aggregator = Ticam()
    frames = model.config.test_frames

    def said(post: Any, mode: Mode) -> str:
        made = make_detector(model, post=post, bank_frames=31)
        return made.what_joins(mode)

    assert said("auto", "stream") == "TICAM over 31 past frames, causal tubelets"
    assert said("none", "stream") == "TICAM over 31 past frames"
    assert said("none", "global") == f"TICAM over {frames} frames"
    assert said("auto", "global") == f"TICAM over {frames} frames, REPP"
    assert said("auto", "frame") == "single frames"
    assert said("repp", "global") == f"TICAM over {frames} frames, REPP"
    assert said("repp", "frame") == "single frames, REPP"
    model.aggregator = Affinity()
    assert said("auto", "stream") == "single frames, causal tubelets"
    assert said("auto", "global") == "single frames, REPP"
    assert said("none", "stream") == "affinity over 31 past frames"
    assert said("repp", "global") == f"affinity over {frames} frames, REPP"


@pytest.mark.parametrize("aggregation", [Affinity, NoAggregation, MeanBrightness])
def test_auto_is_causal_in_the_place_of_affinity(aggregation: Any) -> None:
    model = FakeModel()
    model.aggregator = aggregation()
    made = make_detector(model, post="auto", score_threshold=0.0, scene_cuts=False)
    frames = flat_frames(255, 51)
    assert isinstance(made.post, CausalPost) == (aggregation is Affinity)
    joined = "none" if aggregation is Affinity else aggregation().name
    assert [made.aggregation_in(m) for m in get_args(Mode)] == [
        {"stream": joined, "global": joined, "frame": "none"}[m] for m in get_args(Mode)
    ]
    if aggregation is Affinity:
        state = made.new_state()
        found = [made.step(frame, state) for frame in frames]
        assert found[1].confidence.tolist() == pytest.approx([mean(1, 0.2)], abs=1e-6)
        assert len(state.bank) == 0
    assert [len(made.predict(frames, mode)) for mode in ("frame", "global")] == [2, 2]
    asked = make_detector(model, post="none", score_threshold=0.0, scene_cuts=False)
    assert asked.post is None
    state = asked.new_state()
    asked.step(frames[0], state)
    assert len(state.bank) == (aggregation is not NoAggregation)


def test_causal_streams_are_independent_and_resume(tmp_path: Path) -> None:
    running = detector("causal")
    bright, dark = flat_frames(255, 51)
    first, second = running.new_state(), running.new_state()
    running.step_many([bright, dark], [first, second])
    branch = first.copy()
    first.save(tmp_path / "state")
    loaded, after = StreamState.load(tmp_path / "state"), mean(1, 0.2)
    for state, score in ((first, after), (second, shown(0.2)), (branch, after), (loaded, after)):
        assert running.step(dark, state).confidence.tolist() == pytest.approx([score], abs=1e-6)
    first.reset()
    assert first.post is None
    assert running.step(dark, first).confidence.tolist() == pytest.approx([UNSURE])
    assert branch.post is not None
    for name, value in vars(branch.post).items():
        np.testing.assert_array_equal(getattr(loaded.post, name), value)


def test_causal_begins_anew_at_a_cut() -> None:
    random = np.random.default_rng(0)
    cut = [np.full((64, 64, 3), 255, np.uint8), random.integers(0, 60, (64, 64, 3), np.uint8)]
    found = detector("causal", scene_cuts=True).predict(cut, "stream")
    alone = detector("causal").predict(cut[1:], "stream")
    assert scores(found)[1] == pytest.approx(scores(alone)[0])
    assert scores(detector("causal").predict(cut, "stream"))[1] > 0.5


def test_causal_serves_several_sources() -> None:
    sources = [ArraySource(flat_frames(255, 51)), ArraySource(flat_frames(51, 153))]
    found: dict[int, list[FrameResult]] = {0: [], 1: []}
    for number, result in stream_many(detector("causal"), sources):
        found[number].append(result)
    assert scores(found[0]) == pytest.approx([1, mean(1, 0.2)], abs=1e-6)
    assert scores(found[1]) == pytest.approx([UNSURE, mean(0.2, 0.6)], abs=1e-6)


def test_a_pair_model_that_links_nothing() -> None:
    never = PairModel(intercept=-100.0)
    frames = flat_frames(255, 51)
    found = detector("causal", post_model=never).predict(frames, "stream")
    assert scores(found) == pytest.approx([1, UNSURE])
    assert [len(one) for one in detector("repp", post_model=never).predict(frames, "frame")] == [
        0,
        0,
    ]


def test_what_does_not_go_together() -> None:
    frames = flat_frames(*LEVELS)
    with pytest.raises(FaimError, match="mode stream, but it needs the whole video"):
        detector("repp").stream(frames, "stream")
    with pytest.raises(FaimError, match="repp given with mode stream"):
        detector("repp").step(frames[0], detector("repp").new_state())
    with pytest.raises(FaimError, match="repp given with mode stream"):
        stream_many(detector("repp"), [ArraySource(frames)])
    for mode in ("global", "frame"):
        with pytest.raises(FaimError, match=f"causal given with mode {mode}"):
            detector("causal").predict(frames, mode)
    with pytest.raises(
        FaimError, match="post: 'seq' given; expected one of auto, none, repp, causal"
    ):
        detector("seq")
    with pytest.raises(FaimError, match="post model: given without post-processing"):
        detector("none", post_model=PairModel())
    live = ArraySource(frames)
    live.live = True
    with pytest.raises(FaimError, match="so post repp cannot work on it; expected post causal"):
        detector("repp").run(live, "frame")
    mixed = [*flat_frames(10), *flat_frames(10, size=(64, 96))]
    with pytest.raises(FaimError, match="frame 1 is 96x64; expected 64x64 like the first"):
        detector("repp").predict(mixed, "frame")


def test_the_store_gives_back_what_it_got() -> None:
    store = ScoredStore()
    torch.manual_seed(1)
    frames = {}
    for index in (2, 0, 1):
        scores = torch.rand(index * 3, 7) * (torch.rand(index * 3, 7) < 0.2)
        frames[index] = store[index] = ScoredBoxes(torch.rand(index * 3, 4), scores)
    assert len(store) == 3
    for index, found in enumerate(store):
        assert torch.equal(found.boxes, frames[index].boxes)
        assert torch.equal(found.scores, frames[index].scores)
    assert torch.equal(store[1:][1].scores, frames[2].scores)
    with pytest.raises(IndexError, match="frame 3 is not set"):
        store[3]


def test_damaged_tubelets_in_a_file_are_one_sentence(tmp_path: Path) -> None:
    running, path = detector("causal"), tmp_path / "state"
    state = running.new_state()
    running.step(flat_frames(255)[0], state)
    state.save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header = json.loads(metadata["state"])
    assert header["post_size"] == [64, 64]

    def refused(tensors: dict[str, torch.Tensor], **changed: Any) -> None:
        text = json.dumps({**header, **changed})
        save_file(tensors, path, metadata={**metadata, "state": text})
        with pytest.raises(FaimError, match="state: damaged or not a stream's saved state"):
            StreamState.load(path)

    refused(tensors, post_size=None)
    refused(tensors, post_size=[64])
    refused(tensors, post_size=[64, -1])
    refused({**tensors, "post.members": torch.zeros(3, dtype=torch.float64)})
    refused({**tensors, "post.boxes": tensors["post.boxes"].float()})
    refused({**tensors, "post.more": torch.zeros(1)})
    refused({name: value for name, value in tensors.items() if name != "post.means"})


def test_a_state_that_has_seen_no_frame_of_post_processing_can_be_saved(tmp_path: Path) -> None:
    state = StreamState.empty(2)
    state.post = CausalState.empty(3)
    state.save(tmp_path / "state")
    assert StreamState.load(tmp_path / "state").post is None


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `faim.load` is asked for; it gives the fake model."""
    asked: dict[str, Any] = {}

    def load(weights: Path, *, conf: float, post: PostOptions, **rest: Any) -> Detector:
        asked.update(post=post.name, post_model=post.model)
        return detector(post.name, score_threshold=conf)

    monkeypatch.setattr("faim.runtime.predict.load_grouped", load)
    return asked


def test_predict_passes_it_on(tmp_path: Path, loaded: dict[str, Any], capsys: Any) -> None:
    video = write_video(tmp_path / "in.mp4", flat_frames(255, 255, 51, 51))
    lines = tmp_path / "out.jsonl"
    model = tmp_path / "repp.json"
    for post, mode, expected in (
        ("repp", "global", [0.6, 0.6, 0.6, 0.6]),
        ("repp", "frame", [0.6, 0.6, 0.6, 0.6]),
        ("causal", "stream", [1.0, 1.0, mean(1, 1, 0.2), mean(1, 1, 0.2, 0.2)]),
    ):
        predict_in_terminal(
            predict_options(
                str(video), "w.pth", mode=mode, device="cpu", jsonl=lines, post=post,
                post_model=model, conf=0.1,
            )
        )  # fmt: skip
        assert loaded == {"post": post, "post_model": model}
        records = [json.loads(line) for line in lines.read_text().splitlines()]
        found = [record["detections"][0]["score"] for record in records]
        assert found == pytest.approx(expected, abs=0.02)
        words = {"repp": "REPP", "causal": "causal tubelets"}[post]
        joined = f"meanbrightness over {FakeModel().config.test_frames} frames"
        joined = joined if mode == "global" else "single frames"
        assert f"mode {mode}: {joined}, {words}; size 64x64" in capsys.readouterr().out
    with pytest.raises(FaimError, match="repp given with mode stream"):
        predict_in_terminal(predict_options(str(video), "w.pth", mode="stream", post="repp"))


def test_load_reads_the_pair_model(shared: Path, tmp_path: Path) -> None:
    weights = shared / "weights" / "yolox_nano_coco.pth"
    with pytest.raises(FaimError, match=r"repp.json: no such file"):
        faim.load(weights, post="repp", post_model=tmp_path / "repp.json")
    PairModel(intercept=-2.0).to_json(tmp_path / "repp.json")
    made = faim.load(
        weights, device="cpu", backend="torch", post="repp", post_model=tmp_path / "repp.json"
    )
    assert isinstance(made.post, WholeVideoPost)
    assert made.post.model == PairModel(intercept=-2.0)


@pytest.mark.parametrize(
    ("mode", "post"),
    [("stream", "auto"), ("stream", "none"), ("global", "none"), ("global", "repp")],
)
def test_nothing_is_shown_where_an_object_is_gone(mode: Any, post: Any) -> None:
    model = FakeModel()
    model.aggregator = Affinity()
    made = make_detector(model, post=post, score_threshold=0.3, scene_cuts=False)
    found = made.predict(flat_frames(*[230] * 10, *[20] * 40), mode)
    shown = [len(one) for one in found]
    gone = 2 if post == "auto" else 0
    assert shown == [1] * (10 + gone) + [0] * (40 - gone)
