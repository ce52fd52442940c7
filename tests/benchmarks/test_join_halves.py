"""benchmarks/join_halves.py: how it splits, what it compares, and what it chooses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import join_halves as halves
from faim.data.coco_vid import CocoVid
from faim.data.synth import generate
from faim.errors import FaimError
from faim.evaluation.modes import ModeRunner
from faim.families.yolox.aggregation import TicamAggregator
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.join import Join
from faim.structures import Detections
from faim.weights import default_weights

ALL, NONE = (f"model.correction_up={up} model.correction_down={down}" for up, down in ("11", "40"))


@pytest.fixture(scope="module")
def synth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth")
    options = {"size": 128, "classes": 7, "severity": "easy", "seed": 1, "progress": False}
    return generate(folder, videos=4, frames=4, **options)


def test_each_half_has_half_of_a_class():
    """Four, two and one of a kind; a video of two kinds counts as the more frequent."""
    classes = {f"p{number}": ["person"] for number in range(4)}
    classes |= {"c0": ["car"], "c1": ["car", "person"], "c2": ["car"], "d": ["dog"]}
    first, second = halves.split(classes, seed=3)
    assert sorted(first + second) == sorted(classes)
    persons = {"p0", "p1", "p2", "p3", "c1"}
    for half in (first, second):
        assert len(half) == 4
        assert 2 <= len(persons & {*half}) <= 3
        assert len({"c0", "c2"} & {*half}) == 1
    assert halves.split(dict(reversed(classes.items())), seed=3) == [first, second]
    assert halves.split(classes, seed=4) != [first, second]


def rows(base, **settings):
    """Figures of a half; of each setting found, AP50, F1, and found in two videos."""
    named = {halves.BASE: base, **settings}
    return {
        name: {
            **{"found_share": found, "ap50": ap50, "ap75": 50.0, "f1": f1},
            "found": {"a": a, "b": b},
        }
        for name, (found, ap50, f1, a, b) in named.items()
    }


def test_no_video_may_lose_and_then_the_most_wins():
    base = (50.0, 60.0, 70.0, 40.0, 60.0)
    one = rows(
        base,
        mild=(51.0, 60.5, 71.0, 41.0, 61.0),
        bold=(58.0, 68.0, 78.0, 37.9, 78.0),
        shows_all=(55.0, 64.0, 60.0, 45.0, 65.0),
    )
    two = rows(
        base,
        mild=(50.0, 61.5, 69.0, 38.0, 62.0),
        bold=(58.0, 68.0, 78.0, 60.0, 60.0),
        shows_all=(55.0, 64.0, 60.0, 45.0, 65.0),
    )
    pooled = halves.pooled([one, two])
    assert pooled["mild"] == {
        **{"found_share": 0.5, "ap50": 1.0, "ap75": 0.0, "f1": 0.0},
        **{"worst": -2.0, "video": "a"},
    }
    assert pooled["bold"]["worst"] == pytest.approx(-2.1)
    assert halves.choose(pooled) == "mild"
    assert halves.choose({name: pooled[name] for name in (halves.BASE, "bold")}) == halves.BASE


def test_boxes_shown(synth):
    """An object found twice, a box beside it, one too weak: 1 of 3 shown is right, of 2 objects."""
    data = CocoVid(synth)
    frame = next(f for f in data.frames if len(f.annotations) > 1)
    (video,) = (v for v in data.videos if frame in v.frames)
    first = frame.annotations[0]
    second = replace(frame.annotations[1], category_id=first.category_id)
    data.videos = [replace(video, frames=(replace(frame, annotations=(first, second)),))]
    boxes = torch.tensor([first.box, first.box, (0.0, 0.0, 1.0, 1.0), second.box])
    found = Detections(
        boxes, torch.tensor([0.9, 0.8, 0.3, 0.29]), torch.full((4,), first.category_id)
    )
    score = halves.shown_f1(data, {frame.image_id: found}, {video.name})
    assert score == pytest.approx(200 * 1 / (2 + 3))
    assert halves.shown_f1(data, {frame.image_id: found}, set()) == 0


def test_what_there_is_to_choose():
    config = FaimConfig(class_names=("a",), join="correction")
    rules = halves.settings_of(config)
    assert rules[ALL] == Join("correction", up=1, down=1)
    assert rules[NONE] == Join("correction", up=4, down=0)
    assert len(rules) == len(halves.UPS) * len(halves.DOWNS)
    rules = halves.settings_of(FaimConfig(class_names=("a",), join="mean"))
    assert rules["model.base_share=0.7"] == Join("mean", 0.7)
    with pytest.raises(FaimError, match=r"model\.join=replace: nothing to choose; expected corr"):
        halves.settings_of(FaimConfig(class_names=("a",)))


def test_the_default_is_among_them():
    config = FaimConfig(class_names=("a",), join="correction")
    assert Join("correction", up=config.correction_up, down=config.correction_down) in [
        Join("correction", up=up, down=down) for up in halves.UPS for down in halves.DOWNS
    ]
    assert config.base_share in halves.SHARES


@torch.inference_mode()
def test_detections_are_those_of_a_model_with_the_setting(synth):
    """One pass over the frames gives what evaluations of each setting give, class by class."""
    model, data = load_model(default_weights()), CocoVid(synth)
    object.__setattr__(model.config, "join", "correction")
    names = [name for name in model.config.class_names if name in data.classes][:3]
    found = halves.detections(model, data, names)
    labels = torch.tensor([data.classes.index(name) for name in names])
    for setting, rule in ((ALL, Join("correction")), (NONE, Join("correction", up=4, down=0))):
        runner = ModeRunner(
            model,
            data,
            ("frame", "stream"),
            in_stream=model.joined_by(TicamAggregator(model.ticam, rule)),
        )
        runs = runner.run()
        for name, expected in (
            (setting, runs["stream"].detections),
            (halves.BASE, runs["frame"].detections),
        ):
            for image, every in expected.items():
                own = every[torch.isin(every.class_ids, labels)]
                torch.testing.assert_close(found[name][image].boxes, own.boxes)
                torch.testing.assert_close(found[name][image].scores, own.scores)
    assert any(
        not torch.equal(found[ALL][image].scores, found[NONE][image].scores) for image in found[ALL]
    )


def test_from_videos_to_a_choice(synth, tmp_path, capsys):
    """Both halves are trained once, and a second run only reads what is kept."""
    experiment = Path(__file__).resolve().parents[2] / "exps/faim_nano.py"
    arguments = ["-f", str(experiment), "--weights", str(default_weights()), "--data", str(synth)]
    arguments += ["--out", str(tmp_path), "--json", str(tmp_path / "all.json"), "sizes=(128,)"]
    arguments += ["model.test_size=(128,128)", "model.train_frames=4", "model.mask_weight=0"]
    arguments += ["model.join=correction", "max_epochs=1", "frame_stride=1", "workers=0"]
    assert halves.main(arguments) == 0
    report = json.loads((tmp_path / "all.json").read_text())
    videos = [video.name for video in CocoVid(synth).videos]
    assert sorted(report["halves"][0] + report["halves"][1]) == sorted(videos)
    assert report["rows"][halves.BASE]["worst"] == 0
    assert f"chosen: {report['chosen']}" in capsys.readouterr().out.replace("\n", " ")
    weights = [tmp_path / f"run_{number}/weights.safetensors" for number in range(2)]
    before = [file.stat().st_mtime_ns for file in weights]
    assert halves.main(arguments) == 0
    assert [file.stat().st_mtime_ns for file in weights] == before
    assert halves.main([*arguments, "max_epochs=2"]) == 2
    assert "the result of other settings" in capsys.readouterr().err
