from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from evaluation_cases import MakeData
from rich.console import Console

from faim.cli import main
from faim.config import FaimConfig
from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.modes import ModeRunner, match_classes, median_ms
from faim.evaluation.post import open_post
from faim.evaluation.run import EvalOptions, run_eval
from faim.evaluation.subject import open_models, set_proposals
from faim.models.affinity import Affinity
from faim.models.checkpoint import load_model, save_checkpoint
from faim.models.faim import build_model
from faim.runtime.backends.select import torch_detector
from faim.runtime.pipeline import Detector
from faim.runtime.sources import open_source
from faim.structures import Proposals, RawPredictions, ScoredBoxes

#: Where the object of frame t stands; frames are 200x100, network input 64x128 (scale 0.64).
BOXES = [(10.0 + 4 * t, 20.0, 50.0 + 4 * t, 60.0) for t in range(6)]


class Scripted:
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


@pytest.fixture
def data(make_data: MakeData, tmp_path: Path) -> CocoVid:
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number + 1}.png"), np.full((100, 200, 3), 10 * number, "u1"))
    return make_data([[(1, box, 7)] for box in BOXES], classes=("cat", "dog"))


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
    # What was seen before lifts frame 3; a whole video does too.
    assert runs["stream"].detections[4].scores[0] > 0.3
    assert runs["global"].detections[4].scores[0] > 0.3


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
    torch.testing.assert_close(found[1].scores, plain[1].scores)
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
    assert median_ms([9, 9, 9, 0.001, nan, 0.002, 0.003]) == pytest.approx(2)
    assert median_ms([0.001, 0.003]) == pytest.approx(2)
    assert np.isnan(median_ms([]))


def test_a_class_the_weights_do_not_know(data: CocoVid) -> None:
    assert match_classes(("cow", "dog", "cat"), data).tolist() == [-1, 1, 0]
    with pytest.raises(FaimError, match=r"1 of 2 classes are unknown to the weights \(cat\)"):
        match_classes(("dog", "horse"), data)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    config = FaimConfig(variant="nano", class_names=("cat", "dog"), test_size=(64, 64))
    save_checkpoint(tmp_path / "w.safetensors", build_model(config))
    return tmp_path / "w.safetensors"


def test_run_eval_writes_what_it_prints(data: CocoVid, weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "out" / "figures.json"
    console = Console(file=io.StringIO(), width=120)
    options = EvalOptions(
        weights=weights, data=data.annotation_file, json=file, sampling="shuffled", seed=5
    )
    torch.manual_seed(11)
    report = run_eval(options, console)
    assert torch.initial_seed() == 11  # the caller's randomness is its own
    assert json.loads(file.read_text()) == report
    assert list(report["modes"]) == ["frame", "stream", "global"]
    assert (report["images"], report["videos"]) == (6, 1)
    assert (report["sampling"], report["seed"]) == ("shuffled", 5)
    assert report["size"] == [64, 64]
    assert report["modes"]["stream"]["ms_per_frame"] > 0
    assert report["base_ms"] == report["modes"]["frame"]["ms_per_frame"]
    assert set(report["modes"]["global"]["per_class"]) == {"dog"}
    assert report["machine"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert "AP50:95" in console.file.getvalue()


FILE = {"detections": Path("nowhere.json")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "batch"}, "--mode: 'batch'"),
        ({"data": None}, "--data: not given"),
        ({"data": Path("nowhere.json")}, r"nowhere\.json: no such file"),
        ({"weights": "nowhere.pth"}, r"nowhere\.pth: no such file"),
        ({"size": 100}, "multiple of 32"),
        ({"sampling": "some"}, "sampling: 'some'"),
        ({"seed": -2}, "seed: -2"),
        ({"post": "seq-nms"}, "--post: 'seq-nms'"),
        ({"post_model": Path("repp.json"), "post": "none"}, "expected --post repp or causal"),
        ({"post": "repp", "post_model": Path("nowhere.json")}, r"nowhere\.json"),
        ({"frames": 0}, "--frames: 0"),
        ({"proposals": 0}, "--proposals: 0"),
        ({"proposal_nms": 1.5}, "--proposal-nms: 1.5 given; expected 0 to 1"),
        ({"weights": None}, "--ckpt: not given"),
        ({"post": "repp", "mode": "stream"}, "repp given with mode stream"),
        ({"post": "causal", "mode": "global"}, "causal given with mode global"),
        ({**FILE, "weights": None}, r"nowhere\.json: no such file"),
        (FILE, r"--ckpt: .*w\.safetensors given with --detections; expected it without"),
        ({**FILE, "weights": None, "mode": "stream"}, "--mode: stream given with --detections"),
        ({**FILE, "weights": None, "post": "repp"}, "--post: repp given with"),
        ({**FILE, "weights": None, "bank_frames": 3}, "--bank: 3 given with"),
        ({**FILE, "weights": None, "bank_policy": "recent"}, "--bank-policy: recent given with"),
        ({**FILE, "weights": None, "size": (64, 64)}, r"--size: \(64, 64\) given with"),
        ({"out": Path("/dev/null/run")}, "cannot make its folder"),
    ],
)
def test_wrong_options(
    data: CocoVid, weights: Path, change: dict[str, object], message: str
) -> None:
    options = {"weights": weights, "data": data.annotation_file, **change}
    with pytest.raises(FaimError, match=message):
        run_eval(EvalOptions(**options), Console(file=io.StringIO()))


def test_an_experiment_names_data_and_input(data: CocoVid, weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "exp.py"
    file.write_text(
        "from faim.training.experiment import FaimExperiment\n"
        f"exp = FaimExperiment(variant='nano', val_ann={str(data.annotation_file)!r},\n"
        "    model={'test_size': (64, 96)})\n"
    )
    options = EvalOptions(weights=weights, exp_file=file, mode="stream")
    report = run_eval(options, Console(file=io.StringIO()))
    assert (report["images"], report["size"], report["base_ms"]) == (6, [64, 96], None)
    assert list(report["modes"]) == ["stream"]
    file.write_text(file.read_text().replace("nano", "tiny"))
    with pytest.raises(FaimError, match="weights of variant nano; expected tiny"):
        run_eval(options, Console(file=io.StringIO()))


def test_a_run_folder(data: CocoVid, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "first"
    out.mkdir(parents=True)
    (out / "detections_file.json").write_text("[]")  # of an earlier run
    options = EvalOptions(weights=weights, data=data.annotation_file, out=out, frames=3)
    report = run_eval(options, Console(file=io.StringIO()))
    content = json.loads((out / "run.json").read_text())
    assert content == {"name": "first", **report}
    assert (report["test_frames"], report["post"], report["notes"]) == (3, "causal", [])
    assert report["bank_frames"] == 2
    names = {path.name for path in out.iterdir()}
    assert {f"detections_{mode}.json" for mode in report["modes"]} < names
    assert "detections_file.json" not in names
    for figures in report["modes"].values():
        # 4 of 40 pixels a frame: the mean IoU is 0.70 in the two frames of the middle.
        counts = {speed: part["objects"] for speed, part in figures["by_speed"].items()}
        assert counts == {"slow": 0, "medium": 2, "fast": 4}
        assert sum(figures["errors"].values()) > 0
        assert figures["by_size"]["small"]["ap50"] is None


def test_detections_of_a_file_have_the_figures_of_the_run(
    data: CocoVid, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    options = EvalOptions(weights=weights, data=data.annotation_file, out=out, mode="frame")
    by_model = run_eval(options, Console(file=io.StringIO()))
    for frame in data.frames:
        frame.path.unlink()  # neither a model nor images are needed
    again = EvalOptions(
        detections=out / "detections_frame.json", data=data.annotation_file, out=tmp_path / "again"
    )
    by_file = run_eval(again, Console(file=io.StringIO()))
    assert (list(by_file["modes"]), by_file["base_ms"]) == (["file"], None)
    assert by_file["modes"]["file"]["ap50"] == pytest.approx(by_model["modes"]["frame"]["ap50"])
    assert (tmp_path / "again" / "detections_file.json").exists()
    assert not (tmp_path / "again" / "features.npz").exists()


def test_what_cannot_be_measured_is_said(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data([[(1, BOXES[0], -1)]] * 2)
    (tmp_path / "found.json").write_text("[]")
    console = Console(file=io.StringIO(), width=200)
    options = EvalOptions(detections=tmp_path / "found.json", data=data.annotation_file)
    report = run_eval(options, console)
    assert "the annotations have no instance_id" in report["notes"][0]
    assert report["notes"][0] in console.file.getvalue()
    assert "by_speed" not in report["modes"]["file"]
    assert report["modes"]["file"]["class_switches"] is None


def test_fewer_proposals(data: CocoVid, weights: Path) -> None:
    options = EvalOptions(weights=weights, data=data.annotation_file, mode="frame", proposals=1)
    report = run_eval(options, Console(file=io.StringIO()))
    assert report["proposals"] == 1
    compiled = EvalOptions(
        weights=weights,
        data=data.annotation_file,
        mode="frame",
        proposals=1,
        precision="fp32",
    )
    same = run_eval(compiled, Console(file=io.StringIO()))
    assert same["modes"]["frame"]["ap50"] == report["modes"]["frame"]["ap50"]


def test_more_proposals_of_one_object(data: CocoVid, weights: Path) -> None:
    kept = []
    for threshold in (0.0, 0.5, 1.0):
        options = EvalOptions(weights, data.annotation_file, proposal_nms=threshold)
        model, _ = open_models(options, None, None, with_base=False)
        assert model.config.nms_test == threshold
        picks = model.fspm(_alike(10))  # type: ignore[attr-defined]
        kept.append(int(picks.valid.sum()))
    # Neighbours in a row of boxes of 10 pixels at distances of 2 overlap by 8/12.
    assert kept == [2, 5, 10]


def _alike(count: int) -> RawPredictions:
    left = 2.0 * torch.arange(count)
    boxes = torch.stack([left, torch.zeros(count), left + 10, torch.full((count,), 10.0)], dim=1)
    scores = torch.linspace(0.9, 0.5, count)
    return RawPredictions(boxes[None], scores[None], torch.ones(1, count, 2))


def test_exported_graphs_keep_their_proposals(weights: Path) -> None:
    model = load_model(weights)
    detector = torch_detector(model)
    detector.runner.backend = "onnxruntime"
    with pytest.raises(FaimError, match=r"--proposals: 5 given with backend onnxruntime"):
        set_proposals(detector, 5)
    detector.runner.backend = "torch"
    set_proposals(detector, 5)
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    assert detector.propose(images).valid.shape == (1, 5)


def test_by_the_command_line(
    data: CocoVid, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    common = ["eval", "--data", str(data.annotation_file)]
    chosen = ["--sampling", "global", "--frames", "4", "--proposals", "7", "--post", "repp"]
    assert main([*common, "-c", str(weights), *chosen, "--out", str(out)]) == 0
    report = json.loads((out / "run.json").read_text())
    assert (report["sampling"], report["post"]) == ("global", "repp")
    assert (report["post_model"], report["bank_frames"]) == (None, None)  # no stream was run
    assert {mode: f["post"] for mode, f in report["modes"].items()} == dict.fromkeys(
        ("frame", "global"), "repp"
    )
    assert report["notes"] == ["mode stream is left out: post repp needs the whole video"]
    text = capsys.readouterr().out
    assert report["notes"][0] in " ".join(text.split())
    assert "global + repp" in text
    assert (report["test_frames"], report["proposals"]) == (4, 7)
    assert main([*common, "--detections", str(out / "detections_global.json")]) == 0
    assert main([*common, "--detections", str(out / "run.json"), "--frames", "4"]) == 2
    assert "--frames: 4 given with --detections" in capsys.readouterr().err
    assert main([*common, "--detections", str(out / "run.json")]) == 2
    assert "expected a list of detections" in capsys.readouterr().err


def test_causal_post_is_for_the_stream_alone(data: CocoVid, weights: Path) -> None:
    options = EvalOptions(
        weights=weights,
        data=data.annotation_file,
        post="causal",
        bank_frames=2,
        bank_policy="recent",
    )
    console = Console(file=io.StringIO(), width=200)
    report = run_eval(options, console)
    posts = {mode: figures["post"] for mode, figures in report["modes"].items()}
    assert posts == {"frame": "none", "stream": "causal", "global": "none"}
    assert (report["bank_frames"], report["notes"]) == (2, [])
    assert "stream + causal" in console.file.getvalue()


class Closed(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_files_come_before_the_tables(data: CocoVid, tmp_path: Path) -> None:
    (tmp_path / "found.json").write_text("[]")
    options = EvalOptions(
        detections=tmp_path / "found.json",
        data=data.annotation_file,
        out=tmp_path / "run",
        json=tmp_path / "figures.json",
    )
    with pytest.raises(OSError, match="Input"):
        run_eval(options, Console(file=Closed()))
    content = json.loads((tmp_path / "run" / "run.json").read_text())
    assert content == {"name": "run", **json.loads((tmp_path / "figures.json").read_text())}


@pytest.mark.parametrize("when", ["writing", "swapping"])
def test_what_fails_leaves_the_run_before(
    data: CocoVid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    (tmp_path / "found.json").write_text("[]")
    out = tmp_path / "run"
    options = EvalOptions(detections=tmp_path / "found.json", data=data.annotation_file, out=out)
    run_eval(options, Console(file=io.StringIO()))
    (out / "detections_stream.json").write_text("[1]")
    before = {path.name: path.read_text() for path in out.iterdir()}
    assert set(before) == {"run.json", "detections_file.json", "detections_stream.json"}

    write_text, rename = Path.write_text, Path.replace

    def half(file: Path, text: str, **options: str) -> None:
        write_text(file, text[:5], **options)
        raise OSError(27, "File too large")

    def refuse(file: Path, target: Path) -> Path:
        if target == out / "run.json" and "old" not in file.parts:
            raise OSError(27, "File too large")
        return rename(file, target)

    if when == "writing":
        monkeypatch.setattr(Path, "write_text", half)
    else:
        monkeypatch.setattr(Path, "replace", refuse)
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(FaimError, match=r"cannot be written \(File too large\)"):
        run_eval(options, console)
    assert {path.name: path.read_text() for path in out.iterdir()} == before
    assert "AP50" in console.file.getvalue()  # the figures are not lost
    assert "wrote" not in console.file.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ["eval", "--out", ""],
        ["eval", "--json", ""],
        ["eval", "--detections", ""],
        ["report", ""],
        ["report", "run", "--out", ""],
        ["repp", "fit", "a.json", "--out", ""],
    ],
)
def test_the_empty_path_is_no_folder(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "'' is no path; expected a file or folder" in capsys.readouterr().err


def test_a_terminal_without_accents(
    data: CocoVid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tmp_path / "gefälscht.json"
    found.write_text("[]")
    terminal = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(terminal, encoding="ascii"))
    assert main(["eval", "--data", str(data.annotation_file), "--detections", str(found)]) == 0
    sys.stdout.flush()
    assert b"gef?lscht.json" in terminal.getvalue()
