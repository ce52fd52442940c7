"""Modes of the evaluation, on a model that finds what the frames say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from evaluation_cases import BOXES, MakeData

from faim.choices import PostName
from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.classes import match_classes
from faim.evaluation.modes import ModeRunner, after_warm_up
from faim.evaluation.post import open_post
from faim.evaluation.viewer import viewer_figures
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import build_model
from faim.families.yolox.proposal_detector import ProposalDetector
from faim.nn.affinity import Affinity
from faim.postprocess.one_object import OneObjectConfig, calibrated
from faim.runtime.pipeline import Detector
from faim.runtime.sources import open_source
from faim.structures import Proposals, ScoredBoxes
from faim.timing import median_ms


class Scripted(ProposalDetector):
    """Proposes the object that the frame's colour names; loses the class in frame 3."""

    def __init__(self, test_frames: int = 32) -> None:
        self.config = FaimConfig(
            variant="nano",
            class_names=("cow", "dog", "cat"),
            test_size=(64, 128),
            test_frames=test_frames,
            architecture="yolox",
        )
        self.aggregator = Affinity()
        self.calls = 0

    def propose(self, images: torch.Tensor) -> Proposals:
        self.calls += 1
        frame = int(images[0, 0, 10, 10].item()) // 10
        scores = torch.tensor([0.0, 0.1, 0.05] if frame == 3 else [0.0, 0.9, 0.05])
        return Proposals(
            boxes=0.64 * torch.tensor([[BOXES[frame], (0, 0, 0, 0)]]),
            objectness=torch.tensor([[0.9, 0.0]]),
            class_scores=torch.stack([scores, torch.zeros(3)])[None],
            cls_features=torch.ones(1, 2, 4),
            ins_features=torch.ones(1, 2, 4),
            valid=torch.tensor([[True, False]]),
        )


def test_modes_share_proposals_and_map_classes_by_name(data: CocoVid) -> None:
    model = Scripted()
    runs = ModeRunner(model, data).run()
    assert model.calls == 6
    for mode, run in runs.items():
        assert sorted(run.detections) == [1, 2, 3, 4, 5, 6], mode
        assert len(run.seconds) == 6
        for image_id, found in run.detections.items():
            # The best is a dog: class 1 of the dataset too. A cat is class 2 of the model, 0 here.
            assert found.class_ids.tolist() == [1, 0]
            np.testing.assert_allclose(found.boxes[0], BOXES[image_id - 1], atol=1e-4)
    assert runs["frame"].detections[4].scores[0] == pytest.approx(0.09)
    # What was seen before lifts frame 3, as far as it supports it; a whole video does too.
    assert runs["stream"].detections[4].scores[0] == pytest.approx(2.9 * 0.09)
    assert runs["global"].detections[4].scores[0] == pytest.approx(2.9 * 0.09)


def test_a_stream_without_a_past_is_frame_mode(data: CocoVid) -> None:
    runs = ModeRunner(Scripted(), data, ("frame", "stream"), past=0).run()
    for image_id, found in runs["frame"].detections.items():
        torch.testing.assert_close(runs["stream"].detections[image_id].scores, found.scores)


def test_the_past_of_a_stream_is_bounded(data: CocoVid) -> None:
    # Frame 3 alone is weak: with one past frame, frame 5 sees 4 and 5, so it does not know of it.
    runs = ModeRunner(Scripted(), data, ("stream",), past=1).run()
    assert runs["stream"].detections[6].scores[0] == pytest.approx(0.81)


def test_more_or_fewer_frames_than_the_model_has(data: CocoVid) -> None:
    whole = ModeRunner(Scripted(), data, ("global",)).run()["global"].detections
    runner = ModeRunner(Scripted(), data, ("global", "stream"), frames=4)
    runs = runner.run()
    # As with test_frames 4: groups {0, 2, 4} and {1, 3, 5}, and a stream that looks back at 3.
    assert runner.past == 3
    scores = {i: found.scores[0].item() for i, found in runs["global"].detections.items()}
    assert [scores[i] for i in (1, 3, 5)] == pytest.approx([0.81] * 3)
    assert whole[1].scores[0] < 0.8095
    shorter = ModeRunner(Scripted(), data, ("stream",), frames=2).run()
    assert shorter["stream"].detections[6].scores[0] == pytest.approx(0.81)
    assert ModeRunner(Scripted(), data, frames=4, past=9).past == 9


class Halving:
    """Post-processing whose result is known: all scores halved."""

    def __init__(self) -> None:
        self.sizes: list[list[tuple[int, int]]] = []

    def run(
        self, frames: Sequence[ScoredBoxes], sizes: Sequence[tuple[int, int]]
    ) -> list[ScoredBoxes]:
        self.sizes.append(list(sizes))
        return [ScoredBoxes(frame.boxes, frame.scores / 2) for frame in frames]


def test_post_processing_sees_every_video_of_its_modes(data: CocoVid) -> None:
    plain = ModeRunner(Scripted(), data).run()
    post = Halving()
    runs = ModeRunner(Scripted(), data, post={"frame": post, "global": post}).run()
    assert post.sizes == [[(100, 200)] * 6] * 2
    for mode, run in runs.items():
        assert len(run.seconds) == 6
        for image_id, found in run.detections.items():
            expected = plain[mode].detections[image_id]
            share = 1 if mode == "stream" else 2
            torch.testing.assert_close(found.scores, expected.scores / share)
            torch.testing.assert_close(found.boxes, expected.boxes)
            assert torch.equal(found.class_ids, expected.class_ids)


def test_repp_lifts_the_weak_frame(data: CocoVid) -> None:
    post = open_post("repp", None)
    assert post is not None
    found = ModeRunner(Scripted(), data, ("frame",), post={"frame": post}).run()["frame"].detections
    # The mean of five times 0.81 and once 0.09.
    assert found[4].scores[0] == pytest.approx((5 * 0.81 + 0.09) / 6, abs=1e-3)


def test_frames_of_several_sizes(data: CocoVid) -> None:
    for video in data.videos:
        frames = [replace(f, height=100 + f.frame_id // 4) for f in video.frames]
        data.videos = [replace(video, frames=tuple(frames))]
    for frame in data.frames:
        cv2.imwrite(str(frame.path), np.full((frame.height, 200, 3), 10 * frame.frame_id, "u1"))
    repp, causal = open_post("repp", None), open_post("causal", None)
    assert repp is not None
    assert causal is not None
    with pytest.raises(FaimError, match="frame 4 is 200x101; expected 200x100 like the first"):
        ModeRunner(Scripted(), data, ("frame",), post={"frame": repp}).run()
    runs = ModeRunner(Scripted(), data, ("stream",), post={"stream": causal}).run()
    assert len(runs["stream"].detections) == 6


def test_causal_post_lifts_the_weak_frame(data: CocoVid) -> None:
    causal = open_post("causal", None)
    assert causal is not None
    model = Scripted()
    runs = ModeRunner(model, data, ("stream",), past=0, post={"stream": causal}).run()
    plain = ModeRunner(model, data, ("stream",), past=0).run()["stream"].detections
    found = runs["stream"].detections
    # The first frame knows nothing of the others; the weak one is lifted by those before it.
    sure = calibrated(plain[1].scores[:1].double().numpy(), OneObjectConfig())
    assert found[1].scores[0] == pytest.approx(float(sure[0]), abs=1e-6)
    assert plain[4].scores[0] == pytest.approx(0.09)
    assert found[4].scores[0] > 0.3


def test_every_frame_is_in_one_group_of_global_mode(data: CocoVid) -> None:
    runs = ModeRunner(Scripted(test_frames=4), data, ("global",)).run()
    # Groups {0, 2, 4} and {1, 3, 5}: only the second knows the weak frame.
    scores = {i: found.scores[0].item() for i, found in runs["global"].detections.items()}
    assert [scores[i] for i in (1, 3, 5)] == pytest.approx([0.81] * 3)


def test_groups_of_global_mode_by_sampling(data: CocoVid) -> None:
    def scores(sampling: str, seed: int = 0) -> list[float]:
        runner = ModeRunner(
            Scripted(test_frames=4),
            data,
            ("global",),
            sampling=sampling,  # type: ignore[arg-type]
            seed=seed,
        )
        found = runner.run()["global"].detections
        return [found[image_id].scores[0].item() for image_id in range(1, 7)]

    # Local groups are {0, 1, 2} and {3, 4, 5}: the first does not know the weak frame 3.
    assert scores("local")[:3] == pytest.approx([0.81] * 3)
    assert max(scores("local")[3:]) < 0.809
    assert scores("shuffled", 1) == scores("shuffled", 1)
    assert any(scores("shuffled", 1) != scores("shuffled", seed) for seed in range(2, 6))
    with pytest.raises(FaimError, match="sampling: 'all' given"):
        scores("all")


@pytest.mark.parametrize("sampling", ["uniform", "shuffled", "local"])
def test_modes_agree_with_the_running_detector(
    make_data: MakeData, tmp_path: Path, sampling: Literal["uniform", "shuffled", "local"]
) -> None:
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (100, 200, 3), dtype=np.uint8) for _ in range(5)]
    for number, image in enumerate(images, start=1):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    data = make_data([[(1, box, 7)] for box in BOXES[:5]], classes=("cat", "dog"))
    config = FaimConfig(
        variant="nano",
        class_names=("cat", "dog"),
        test_size=(64, 128),
        test_frames=3,
        score_threshold=0.0,
    )
    model = build_model(config).eval()
    for layer in model.detector.head.obj_preds:  # random weights find no objects
        torch.nn.init.constant_(layer.bias, 1.0)
    runs = ModeRunner(model, data, sampling=sampling, seed=3).run()
    # One frame at a time: convolutions of a batch round differently.
    detector = Detector(model, score_threshold=0.0, batch_size=1, sampling=sampling, seed=3)
    for mode, run in runs.items():
        results = list(detector.run(open_source(images), mode))
        assert len(results) == len(run.detections) == 5
        for result in results:
            expected = run.detections[result.frame.index + 1]
            assert len(expected.scores) > 5
            assert torch.equal(result.detections.boxes, expected.boxes)
            assert torch.equal(result.detections.scores, expected.scores)
            assert torch.equal(result.detections.class_ids, expected.class_ids)


def test_the_base_detector_gives_frame_mode_its_time_only(data: CocoVid) -> None:
    base, model = Scripted(), Scripted()
    runs = ModeRunner(model, data, ("frame", "stream"), base=base).run()
    assert (base.calls, model.calls) == (2, 6)  # frames 0 and 4
    assert np.isfinite(runs["frame"].seconds).tolist() == [True, False, False, False, True, False]
    assert np.isfinite(runs["stream"].seconds).all()


def test_median_without_the_warm_up() -> None:
    nan = float("nan")
    assert median_ms(after_warm_up([9, 9, 9, 0.001, nan, 0.002, 0.003])) == pytest.approx(2)
    assert median_ms(after_warm_up([0.001, 0.003])) == pytest.approx(2)
    assert np.isnan(median_ms(after_warm_up([])))


@pytest.mark.parametrize("post", ["none", "causal"])
def test_what_is_shown_of_other_classes_is_kept_apart(
    make_data: MakeData, data: CocoVid, post: PostName
) -> None:
    # Of the model's cow, dog and cat the file knows the cat alone; the dog is not shown in frame 3.
    few = make_data([[(0, box, 7)] for box in BOXES], classes=("cat",))
    posts = {"stream": made} if (made := open_post(post, None)) else {}
    run = ModeRunner(Scripted(), few, ("stream",), past=0, post=posts).run()["stream"]
    assert all(set(found.class_ids.tolist()) <= {0} for found in run.detections.values())
    assert run.others.names == ("cow", "dog")
    shown = [1, 2, 3, 5, 6] if post == "none" else [1, 2, 3, 4, 5, 6]
    assert sorted(run.others.detections) == shown
    first = run.others.detections[1]
    assert first.class_ids.tolist() == [2]  # cow 1, dog 2
    score = 0.81 if post == "none" else float(calibrated(np.array(0.81), OneObjectConfig()))
    assert first.scores[0] == pytest.approx(score, abs=1e-4)
    seen = viewer_figures(few, run.detections, run.others)
    assert seen.wrong_labels == pytest.approx(100 * len(shown) / 6)
    assert seen.boxes_per_frame == pytest.approx(len(shown) / 6)


def test_a_class_the_weights_do_not_know(data: CocoVid) -> None:
    assert match_classes(("cow", "dog", "cat"), data).tolist() == [-1, 1, 0]
    with pytest.raises(FaimError, match=r"1 of 2 classes are unknown to the weights \(cat\)"):
        match_classes(("dog", "horse"), data)
