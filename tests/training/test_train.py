from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from faim.cli import main
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_checkpoint
from faim.training.checkpoints import SaveProgress
from faim.training.experiment import BaseExperiment, Experiment, FaimExperiment

ROOT = Path(__file__).parents[2]
Fit = Callable[..., Path]


class _KilledError(Exception):
    pass


def weights(path: Path) -> dict[str, Tensor]:
    return load_checkpoint(path)[1]


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


def kill_after(monkeypatch: pytest.MonkeyPatch, iterations: int) -> None:
    """Leave on disk what a kill after so many iterations would."""
    save = SaveProgress.on_train_batch_end

    def save_or_die(self: SaveProgress, trainer: Any, *rest: Any) -> None:
        save(self, trainer, *rest)
        if trainer.global_step == iterations:
            raise _KilledError

    monkeypatch.setattr(SaveProgress, "on_train_batch_end", save_or_die)


@pytest.mark.parametrize(
    ("stage", "killed_at", "every"),
    [
        ("base_experiment", 3, 2),  # redoes iteration 3, in the middle of the first epoch
        ("faim_experiment", 7, 3),  # redoes iteration 7, in the second
    ],
)
def test_an_interrupted_training_ends_in_the_same_weights(
    stage: str,
    killed_at: int,
    every: int,
    request: pytest.FixtureRequest,
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    experiment: Experiment = request.getfixturevalue(stage)
    experiment.checkpoint_every = every
    whole = weights(fit(experiment, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        kill_after(patch, killed_at)
        with pytest.raises(_KilledError):
            fit(experiment, tmp_path / "killed")
    saved = torch.load(tmp_path / "killed/last.ckpt", weights_only=True)
    assert saved["global_step"] == killed_at // every * every
    resumed = weights(fit(experiment, tmp_path / "killed", resume=tmp_path / "killed/last.ckpt"))
    assert_same(whole, resumed)


def test_kill_9_and_resume(
    annotations: Path, base_experiment: BaseExperiment, fit: Fit, tmp_path: Path
) -> None:
    """The same by a real signal, with worker processes, wherever it hits."""
    file = tmp_path / "exp.py"
    fields = asdict(base_experiment) | {"workers": 1, "checkpoint_every": 1}
    file.write_text(
        f"from faim.training.experiment import BaseExperiment\nexp = BaseExperiment(**{fields!r})\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, "tools/train.py", "-f", str(file), "-o", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    while not (out / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    step = torch.load(out / "last.ckpt", weights_only=True)["global_step"]
    assert 1 <= step < 8
    resumed = weights(fit(base_experiment, out, resume=out / "last.ckpt"))
    assert_same(weights(fit(base_experiment, tmp_path / "whole")), resumed)


def test_frozen_base_stays_bit_by_bit_and_the_rest_learns(
    faim_experiment: FaimExperiment, base_weights: Path, fit: Fit, tmp_path: Path
) -> None:
    before = weights(base_weights)
    after = weights(fit(faim_experiment, tmp_path))
    assert_same(before, {n: t for n, t in after.items() if n.startswith("detector.")})
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)["current_model_state"]
    assert_same(before, {n[6:]: t for n, t in last.items() if n.startswith("model.detector.")})
    branch = "video_branch.convs.0.0.dconv.conv.weight"
    base = before["detector.head.cls_convs.0.0.dconv.conv.weight"]
    assert not torch.equal(after[branch], base)
    assert torch.allclose(after[branch], base, atol=0.1)  # it started there


def test_two_processes_share_the_batch(
    base_experiment: BaseExperiment, annotations: Path, tmp_path: Path
) -> None:
    command = [
        *(sys.executable, "tools/train.py", "-f", "exps/yolox_nano_vid.py", "-d", "2", "-b", "8"),
        *("--data", str(annotations), "-o", str(tmp_path), "--workers", "0"),
        *("accelerator=cpu", "strategy=ddp", "input_size=64,64", "multiscale_range=0"),
        *("frame_stride=1", "max_epochs=2", "no_aug_epochs=1", "model.test_size=64,64"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    # 16 frames in batches of 2 processes x 4: two steps an epoch.
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    # Of both processes, in the epoch without augmentation.
    boxes = saved["callbacks"]["LevelWatch"]["seen"]["boxes"]
    assert boxes == len(json.loads(annotations.read_text())["annotations"])
    assert done.stderr.count(b", levels: P3 ") == 2
    assert all(t.isfinite().all() for t in weights(tmp_path / "weights.safetensors").values())


def test_the_average_is_what_is_kept(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path
) -> None:
    kept = weights(fit(base_experiment, tmp_path))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert_same(kept, {n.removeprefix("model."): t for n, t in saved["state_dict"].items()})
    name = "detector.backbone.backbone.stem.conv.bn.running_mean"
    assert not torch.equal(kept[name], saved["current_model_state"][f"model.{name}"])


def test_without_average_the_last_weights_are_kept(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path
) -> None:
    kept = weights(fit(replace(base_experiment, ema=False, max_epochs=1), tmp_path))
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert_same(kept, {n.removeprefix("model."): t for n, t in saved["state_dict"].items()})


def test_accumulating_gives_one_step_of_several_videos(
    faim_experiment: FaimExperiment, fit: Fit, tmp_path: Path
) -> None:
    fit(replace(faim_experiment, batch_size=2, grad_clip=1.0), tmp_path)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


@pytest.mark.parametrize("stage", ["base_experiment", "faim_experiment"])
def test_bfloat16(stage: str, request: pytest.FixtureRequest, fit: Fit, tmp_path: Path) -> None:
    experiment: Experiment = request.getfixturevalue(stage)
    result = weights(fit(replace(experiment, precision="bf16-mixed", max_epochs=1), tmp_path))
    assert all(t.isfinite().all() for t in result.values())
    assert all(t.dtype != torch.bfloat16 for t in result.values())


def test_every_part_of_the_loss_is_logged(
    faim_experiment: FaimExperiment, fit: Fit, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(replace(faim_experiment, log_every=1), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    parts = {
        name: [e.value for e in events.Scalars(f"train/{name}")]
        for name in ("total", "detection", "refined", "mask", "lr")
    }
    assert [len(values) for values in parts.values()] == [8] * 5
    for total, detection, refined, mask in zip(
        *(parts[name] for name in ("total", "detection", "refined", "mask")), strict=True
    ):
        assert total == pytest.approx(detection + refined + mask, rel=1e-4)


def write_changed(annotations: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads(annotations.read_text())
    for image in content["images"]:
        image["file_name"] = str(annotations.parent / image["file_name"])
    change(content)
    to.write_text(json.dumps(content))
    return to


def _no_image(content: dict[str, Any]) -> None:
    content["images"][3]["file_name"] = "gone.jpg"


def _outside(content: dict[str, Any]) -> None:
    content["annotations"][0]["bbox"] = [600, 600, 30, 30]


def _no_mask(content: dict[str, Any]) -> None:
    del content["annotations"][0]["segmentation"]


def _damaged_mask(content: dict[str, Any]) -> None:
    mask = content["annotations"][-1]["segmentation"]
    mask["counts"] = mask["counts"][:-2]


def _more_classes(content: dict[str, Any]) -> None:
    content["categories"].append({"id": 99, "name": "other"})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_no_image, "gone.jpg"),
        (_outside, "outside image"),
        (_no_mask, "has no mask"),
        (_damaged_mask, "damaged mask"),
        (_more_classes, "2 classes, the data have 3"),
    ],
)
def test_wrong_data_fails_in_one_sentence_before_the_first_step(
    change: Callable[[dict[str, Any]], None],
    sentence: str,
    annotations: Path,
    base_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_changed(annotations, tmp_path / "changed.json", change)
    out = tmp_path / "out"
    status = main(
        [
            *("train", "-f", "exps/faim_nano.py", "--data", str(data), "-c", str(base_weights)),
            *("-o", str(out), "model.test_size=64,64", "frame_stride=1"),
        ]
    )
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 2
    assert error.startswith("faim: ")
    assert sentence in error
    assert not out.exists()


def test_without_data_the_sentence_says_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-f", "exps/faim_s.py", "-c", "weights.safetensors"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "data/imagenet_vid/train.json: no training data there" in error
    assert "faim synth --out data/synthvid" in error
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_a_training_is_not_overwritten_unasked(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path
) -> None:
    short = replace(base_experiment, max_epochs=1)
    fit(short, tmp_path)
    with pytest.raises(FaimError, match="holds a training already"):
        fit(short, tmp_path)
    fit(short, tmp_path, overwrite=True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"batch_size": 8}, "batch_size=4, not 8"),
        ({"seed": 5}, "seed=0, not 5"),
        ({"optimizer": "adamw"}, "optimizer='sgd', not 'adamw'"),
        ({"ema": False}, "ema=True, not False"),
        ({"augment": {"degrees": 5.0}}, "augment={}, not {'degrees': 5.0}"),
        ({"model": {"test_size": (64, 96)}}, r"model.test_size=\(64, 64\), not \(64, 96\)"),
    ],
)
def test_resuming_with_other_settings_is_refused(
    change: dict[str, Any],
    sentence: str,
    base_experiment: BaseExperiment,
    fit: Fit,
    tmp_path: Path,
) -> None:
    short = replace(base_experiment, max_epochs=1)
    fit(short, tmp_path)
    with pytest.raises(FaimError, match=sentence):
        fit(replace(short, **change), tmp_path, resume=tmp_path / "last.ckpt")


def test_resuming_with_other_class_names_is_refused(
    base_experiment: BaseExperiment, annotations: Path, fit: Fit, tmp_path: Path
) -> None:
    short = replace(base_experiment, max_epochs=1)
    fit(short, tmp_path)
    renamed = write_changed(
        annotations,
        tmp_path / "renamed.json",
        lambda content: content["categories"][0].update(name="other"),
    )
    with pytest.raises(FaimError, match=r"class_names=.*, not .*'other'"):
        fit(replace(short, train_ann=str(renamed)), tmp_path, resume=tmp_path / "last.ckpt")


def test_resuming_may_change_what_leaves_the_result_alone(
    base_experiment: BaseExperiment, annotations: Path, fit: Fit, tmp_path: Path
) -> None:
    fit(base_experiment, tmp_path)
    moved = write_changed(annotations, tmp_path / "moved.json", lambda content: None)
    other = replace(
        base_experiment,
        name="other",
        ckpt="",
        train_ann=str(moved),
        cache=True,
        log_every=1,
        checkpoint_every=3,
        save_history=True,
    )
    fit(other, tmp_path, resume=tmp_path / "last.ckpt")


def test_an_output_folder_that_cannot_be_written(
    base_experiment: BaseExperiment, fit: Fit, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FaimError, match="cannot be made"):
        fit(base_experiment, tmp_path / "file" / "out")


@pytest.mark.skipif(not Path("/sys").is_dir(), reason="this system has no folder /sys")
def test_an_output_folder_that_is_there_but_cannot_be_written(
    base_experiment: BaseExperiment, fit: Fit
) -> None:
    with pytest.raises(FaimError, match="/sys: cannot be written to"):
        fit(base_experiment, Path("/sys"))


@pytest.mark.parametrize(
    ("name", "value"), [("accelerator", "foo"), ("strategy", "foo"), ("accelerator", "gpu")]
)
def test_a_machine_that_is_not_there(
    name: str, value: str, base_experiment: BaseExperiment, fit: Fit, tmp_path: Path
) -> None:
    if value == "gpu" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(FaimError, match=f"{name}={value} .*cannot be used here") as caught:
        fit(replace(base_experiment, **{name: value}), tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_frame_that_is_damaged_ends_the_training_in_one_sentence(
    workers: int,
    base_experiment: BaseExperiment,
    annotations: Path,
    tmp_path: Path,
    fit: Fit,
) -> None:
    (tmp_path / "damaged.jpg").write_bytes(b"no image")
    data = write_changed(
        annotations,
        tmp_path / "changed.json",
        lambda content: content["images"][5].update(file_name=str(tmp_path / "damaged.jpg")),
    )
    with pytest.raises(FaimError) as caught:
        fit(replace(base_experiment, train_ann=str(data), workers=workers), tmp_path / "out")
    assert str(caught.value) == f"{tmp_path}/damaged.jpg: cannot be decoded; expected an image"


def test_a_failure_in_one_of_two_processes_ends_both(
    base_experiment: BaseExperiment, annotations: Path, tmp_path: Path
) -> None:
    (tmp_path / "damaged.jpg").write_bytes(b"no image")
    data = write_changed(
        annotations,
        tmp_path / "changed.json",
        lambda content: content["images"][5].update(file_name=str(tmp_path / "damaged.jpg")),
    )
    command = [
        *(sys.executable, "tools/train.py", "-f", "exps/yolox_nano_vid.py", "-d", "2", "-b", "8"),
        *("--data", str(data), "-o", str(tmp_path / "out"), "--workers", "0", "frame_stride=1"),
        *("accelerator=cpu", "strategy=ddp", "input_size=64,64", "multiscale_range=0"),
        *("max_epochs=2", "no_aug_epochs=1", "model.test_size=64,64"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("damaged.jpg: cannot be decoded") in (1, 2)


def test_validation_classes_are_compared_by_name(
    base_experiment: BaseExperiment, annotations: Path, fit: Fit, tmp_path: Path
) -> None:
    renamed = write_changed(
        annotations,
        tmp_path / "renamed.json",
        lambda content: content["categories"][0].update(name="other"),
    )
    with pytest.raises(FaimError, match=r"renamed.json: 1 of its 2 classes \(other\)"):
        fit(replace(base_experiment, val_ann=str(renamed)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_validation_that_fails_loses_nothing(
    base_experiment: BaseExperiment,
    annotations: Path,
    fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from faim.evaluation import in_hand

    def failing(*arguments: Any) -> dict[str, float]:
        raise FaimError("no such thing")

    experiment = replace(base_experiment, val_ann=str(annotations), val_start=0)
    with monkeypatch.context() as patch:
        patch.setattr(in_hand, "evaluate_model", failing)
        with pytest.raises(FaimError, match="no such thing"):
            fit(experiment, tmp_path / "out")
    last = tmp_path / "out/last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 4
    resumed = weights(fit(experiment, tmp_path / "out", resume=last))
    assert_same(weights(fit(base_experiment, tmp_path / "whole")), resumed)
