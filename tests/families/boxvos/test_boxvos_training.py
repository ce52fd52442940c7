from __future__ import annotations

import ast
import importlib.util
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from boxvos_helpers import SMALL, small_network
from torch import Tensor

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.data.synth import generate
from faim.errors import FaimError
from faim.experiments.file import load_any_experiment, load_experiment
from faim.families.boxvos.checkpoint import load_box_vos, make_box_vos, save_box_vos
from faim.families.boxvos.config import BoxVosConfig
from faim.families.boxvos.experiment import BoxVosExperiment
from faim.families.boxvos.stage import BoxVosStage, starting_model
from faim.families.boxvos.tracks import tracks_of
from faim.families.boxvos.validation import track_overlaps
from faim.training.callbacks import TrainingStoppedError
from faim.training.module import TrainingModule, make_module
from faim.training.request import TrainRequest
from faim.training.run import train


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of four frames with masks."""
    folder = tmp_path_factory.mktemp("synth")
    return generate(
        folder, videos=2, frames=4, size=96, classes=2, severity="easy", seed=1, progress=False
    )


@pytest.fixture
def experiment(annotations: Path) -> BoxVosExperiment:
    """Two epochs of two steps."""
    return BoxVosExperiment(
        name="boxvos",
        model=dict(SMALL),
        train_ann=(str(annotations),),
        backbone_weights="random",
        backbone_rate=0.5,
        train_frames=2,
        iterations_per_epoch=2,
        max_epochs=2,
        batch_size=2,
        learning_rate=1e-3,
        lr_steps=(3,),
        workers=0,
        accelerator="cpu",
    )


def fit(experiment: BoxVosExperiment, out: Path, resume: Path | None = None) -> dict[str, Tensor]:
    experiment.validate()
    return load_box_vos(train(TrainRequest(experiment, out, resume))).state_dict()


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_the_command_trains_resumes_and_makes_masks(
    annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    small = [f"model.{name}={value}" for name, value in SMALL.items()]
    command = [
        *("train", "-f", "exps/boxvos_light.py", "--data", str(annotations), "-o", str(out)),
        *("--val", str(annotations), "--workers", "0", "-b", "2", "iterations_per_epoch=2"),
        *("train_frames=2", "ema=false", "warmup_iters=0", *small),
    ]
    assert main([*command, "max_epochs=1"]) == 0
    last = torch.load(out / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2
    assert main([*command, "max_epochs=1"]) == 2
    assert "holds a training already" in capsys.readouterr().err
    assert main([*command, "max_epochs=1", "train_frames=3", "--resume"]) == 2
    assert "train_frames=2, not 3" in capsys.readouterr().err
    assert main([*command, "max_epochs=1", "--resume"]) == 0
    weights = out / "weights.safetensors"
    assert load_box_vos(weights).config.size == (64, 96)
    assert load_box_vos(out / "best.safetensors").config.backbone == "mobilenet_v3_large"
    masks = tmp_path / "masks.json"
    command = ["masks", str(annotations), "--method", "video", "--checkpoint", str(weights)]
    assert main([*command, "--out", str(masks), "--replace", "frames=3", "interval=1"]) == 0
    objects = [a for frame in CocoVid(masks).frames for a in frame.annotations]
    assert len(objects) > 0
    assert all(a.segmentation for a in objects)


def test_an_interrupted_training_ends_in_the_same_weights(
    experiment: BoxVosExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(experiment, tmp_path / "whole")
    losses = TrainingModule.losses

    def interrupted(self: TrainingModule, *batch: Tensor) -> dict[str, Tensor]:
        if self.global_step == 2:
            signal.raise_signal(signal.SIGINT)
        return losses(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "losses", interrupted)
        with pytest.raises(TrainingStoppedError):
            fit(experiment, tmp_path / "out")
    last = tmp_path / "out/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 3
    assert_same(whole, fit(experiment, tmp_path / "out", last))


def test_one_clip_is_learnt_by_heart(experiment: BoxVosExperiment) -> None:
    torch.manual_seed(0)
    experiment = replace(experiment, augment={"crop": (2.0, 2.0), "flip": 0.0}, backbone_rate=1.0)
    stage = BoxVosStage(experiment)
    dataset = stage.dataset(stage.read_data())
    batch = stage.collate([dataset[0]])
    model = starting_model(experiment)
    module = make_module(model, stage, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    totals = []
    for _ in range(25):
        losses = module.losses(*batch)
        assert float(losses["total"].detach()) == pytest.approx(
            float((losses["first"] + losses["refined"]).detach())
        )
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        totals.append(float(losses["total"].detach()))
    assert totals[-1] < 0.5 * totals[0]


def test_a_frozen_backbone_stays_bit_by_bit_and_the_rest_learns(
    experiment: BoxVosExperiment, tmp_path: Path
) -> None:
    frozen = replace(experiment, backbone_rate=0.0)
    before = starting_model(frozen).state_dict()
    after = fit(frozen, tmp_path)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in changed if name.startswith("backbone.")]
    learnt = {"reduce.weight", "decoder.output.0.weight", "single_encoder.head.0.weight"}
    assert learnt <= changed
    trained = fit(experiment, tmp_path / "trained")
    assert not torch.equal(
        trained["backbone.net.features.0.0.weight"], before["backbone.net.features.0.0.weight"]
    )


def test_the_papers_numbers() -> None:
    exp = load_any_experiment("exps/boxvos_r50.py")
    assert isinstance(exp, BoxVosExperiment)
    exp.validate()
    assert exp.max_epochs * exp.iterations_per_epoch == 80_000
    assert (exp.batch_size, exp.train_frames, exp.window) == (4, 3, 100)
    schedule = BoxVosStage(exp).schedule(exp.iterations_per_epoch)
    rates = [exp.learning_rate * schedule(i) for i in (0, 29_999, 30_000, 60_000, 79_999)]
    assert rates == pytest.approx([1e-2, 1e-2, 2e-3, 4e-4, 4e-4])
    assert exp.data_weights == (6.0, 1.0)
    assert (exp.backbone_weights, exp.backbone_rate) == ("coco-maskrcnn", 0.0)
    config = exp.config()
    assert (config.backbone, config.size, config.stride) == ("resnet50", (480, 832), 16)
    assert (config.feature_dim, config.encoding_dim, config.kernel) == (512, 16, 3)
    assert (config.train_iterations, config.test_iterations) == (5, 15)
    assert (config.frames, config.interval, config.crop_factor) == (9, 15, 4)
    augment = exp.clip_augment()
    assert (augment.crop, augment.flip) == ((5, 5), 0.5)
    assert (augment.hue, augment.saturation, augment.brightness, augment.box_jitter) == (0,) * 4
    light = load_any_experiment("exps/boxvos_light.py")
    light.validate()
    assert light.name == "boxvos_light"


def test_optimizer_groups(experiment: BoxVosExperiment) -> None:
    model = small_network()
    own, backbone = BoxVosStage(experiment).make_optimizer(model).param_groups
    assert (own["lr"], backbone["lr"]) == (1e-3, 5e-4)
    counts = len(own["params"]), len(backbone["params"])
    assert sum(counts) == len(list(model.parameters()))
    assert counts[1] == len(list(model.backbone.parameters()))
    frozen = BoxVosStage(replace(experiment, backbone_rate=0.0))
    (alone,) = frozen.make_optimizer(model).param_groups
    assert len(alone["params"]) == counts[0]


def test_overlaps_of_a_perfect_and_of_an_empty_network(
    experiment: BoxVosExperiment, annotations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_network()
    track = max(tracks_of(CocoVid(annotations)), key=len)
    every = replace(experiment, val_stride=1)
    monkeypatch.setattr(type(model.decoder), "forward", _constant(1.0))
    full = list(track_overlaps(model, track, every))
    frame = track.frames[0]
    assert len(full) == len(track)
    assert 0 < np.mean(full) < 1
    assert max(full) <= 1
    monkeypatch.setattr(type(model.decoder), "forward", _constant(-1.0))
    assert list(track_overlaps(model, track, every)) == [0.0] * len(track)
    assert frame.height == 96


def _constant(value: float) -> Callable[..., Tensor]:
    def forward(self: Any, encoding: Tensor, levels: Any, size: tuple[int, int]) -> Tensor:
        return torch.full((len(encoding), *size), value)

    return forward


def test_a_checkpoint_is_gone_on_with(experiment: BoxVosExperiment, tmp_path: Path) -> None:
    known = small_network(seed=9)
    path = tmp_path / "known.safetensors"
    save_box_vos(path, known)
    started = starting_model(replace(experiment, ckpt=str(path)))
    assert_same(known.state_dict(), started.state_dict())
    other = {**SMALL, "mask_dim": 4}
    with pytest.raises(FaimError, match=r"known.safetensors: a network of .*mask_dim=8"):
        starting_model(replace(experiment, ckpt=str(path), model=other))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model": {"backbone": "vgg"}}, "model.backbone is 'vgg'; expected one of resnet18"),
        ({"model": {"size": (50, 64)}}, "size is .50, 64.; expected multiples of 32"),
        ({"model": {"depth": 3}}, "model: .*depth.*; expected fields of BoxVosConfig"),
        ({"augment": {"crop": (9.0, 5.0)}}, "two rising numbers"),
        ({"augment": {"zoom": 3}}, "augment: .*zoom.*; expected fields of ClipAugment"),
        ({"train_ann": ()}, "train_ann is .*; expected annotation files"),
        ({"train_ann": ("a", "b", "c")}, "data_weights is .*; expected 3 numbers"),
        ({"data_weights": (0.0, 1.0)}, "data_weights is .*; expected numbers above 0"),
        ({"learning_rate": 10**400}, r"learning_rate is 10+\.\.\.0+; expected a number"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; expected a number above 0"),
        ({"train_frames": 0}, "train_frames is 0; expected at least 1"),
        ({"lr_factor": 2.0}, "lr_factor is 2.0; expected a number from 0 to 1"),
        ({"decay": "linear"}, "decay is 'linear'; expected one of steps, cosine"),
        ({"devices": 3}, "batch_size is 4; expected a multiple of the 3 devices"),
    ],
)
def test_wrong_experiments(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        BoxVosExperiment(**fields).validate()


def test_wrong_data_and_weights_end_in_one_sentence(
    annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "-f", "exps/boxvos_light.py", "-o", str(tmp_path / "out"), "--workers", "0"]
    gone = str(tmp_path / "gone.json")
    for options, sentence in (
        (["--data", f"{annotations},{gone}"], "gone.json: no training data there"),
        (["--data", str(annotations), "--val", gone], "gone.json: no validation data there"),
        (["--data", str(annotations), f"backbone_weights={gone}"], "gone.json: no such file"),
        (["--data", str(annotations), "-c", gone], "gone.json: no such file"),
    ):
        assert main([*command, *options]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("faim: ")
        assert sentence in error
    assert not (tmp_path / "out").exists()


def test_validation_data_of_empty_masks_is_refused(
    experiment: BoxVosExperiment, annotations: Path
) -> None:
    content = json.loads(annotations.read_text())
    sizes = {image["id"]: [image["height"], image["width"]] for image in content["images"]}
    for entry in content["annotations"]:
        size = sizes[entry["image_id"]]
        entry["segmentation"] = {"size": size, "counts": [size[0] * size[1]]}
    empty = annotations.with_name("empty.json")
    empty.write_text(json.dumps(content))
    with pytest.raises(FaimError, match=r"empty\.json: no object with a mask; expected validation"):
        BoxVosStage(replace(experiment, val_ann=str(empty))).read_data()


def test_an_evaluation_of_detectors_refuses_the_experiment() -> None:
    with pytest.raises(FaimError, match="is a BoxVosExperiment; expected the experiment of a det"):
        load_experiment("exps/boxvos_r50.py")


def test_a_training_does_not_need_yolox() -> None:
    """No module that it imports at once imports YOLOX, by however many others."""
    seen: set[str] = set()
    queue = ["faim.training.run", "faim.families.boxvos.stage", "faim.masks.box_to_mask"]
    while queue:
        name = queue.pop()
        known = name in seen or not name.startswith("faim")
        spec = None if known else importlib.util.find_spec(name)
        seen.add(name)
        if spec is not None and spec.origin:
            queue += _imports(Path(spec.origin))
    assert "faim.families.boxvos.network" in seen
    assert not {name for name in seen if name.split(".")[0] == "yolox"}


def _imports(file: Path) -> Iterator[str]:
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_a_folded_backbone_that_trains_is_unfolded(
    experiment: BoxVosExperiment, tmp_path: Path
) -> None:
    levels = {**SMALL, "backbone": "yolox_nano"}
    model = make_box_vos(BoxVosConfig(**levels))
    state = model.backbone.net.state_dict()
    for name, value in state.items():
        if name.endswith(".bn.bias"):
            value.fill_(0.1)
    torch.save(state, tmp_path / "folded.pth")
    one = replace(experiment, model=levels, backbone_weights=str(tmp_path / "folded.pth"))
    name = "backbone.net.stem.conv.bn.running_mean"
    assert fit(replace(one, learning_rate=1e-9), tmp_path / "trains")[name].abs().min() > 0.01
    assert not fit(replace(one, backbone_rate=0.0), tmp_path / "frozen")[name].any()
