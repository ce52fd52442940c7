from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from faim.errors import FaimError
from faim.experiments.file import load_experiment
from faim.experiments.overrides import apply_overrides
from faim.training.experiment import BaseExperiment, FaimExperiment
from faim.training.options import TrainRequest, add_arguments, read_options

EXPERIMENTS = sorted(
    path
    for path in (Path(__file__).parents[2] / "exps").rglob("*.py")
    if not path.stem.startswith("boxvos")
)


def read(*arguments: str) -> TrainRequest:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return read_options(parser.parse_args(arguments))


def test_options_as_in_yolox() -> None:
    request = read(
        *("-f", "exps/yolox_s_vid.py", "-d", "2", "-b", "32", "-c", "yolox_s.pth", "--fp16"),
        *("-expn", "mine", "--num-nodes", "2", "--seed", "7", "--data", "a.json"),
        *("--val", "b.json", "--workers", "3", "max_epochs=3", "momentum=0.8"),
    )
    exp = request.experiment
    assert (exp.devices, exp.batch_size, exp.ckpt, exp.precision) == (
        2,
        32,
        "yolox_s.pth",
        "16-mixed",
    )
    assert (exp.name, exp.num_nodes, exp.seed, exp.train_ann) == ("mine", 2, 7, "a.json")
    assert (exp.val_ann, exp.workers, exp.max_epochs, exp.momentum) == ("b.json", 3, 3, 0.8)
    assert request.out == Path("runs/mine")
    assert request.resume is None
    assert exp.process_batch == 8  # 32 over 2 x 2 devices


def test_yolox_spelling_with_underscores() -> None:
    exp = read("--exp_file", "exps/faim_s.py", "--batch_size", "2").experiment
    assert (exp.name, exp.batch_size, exp.accumulate) == ("faim_s", 2, 2)


def test_overrides_before_and_after_options() -> None:
    from faim.cli import build_parser

    arguments = ["-f", "exps/faim_s.py", "ema=false", "-o", "out", "model.top_k=100", "--seed", "3"]
    for request in (
        read(*arguments, "frame_stride=1"),
        read_options(build_parser().parse_args(["train", *arguments, "frame_stride=1"])),
    ):
        exp = request.experiment
        assert (exp.ema, exp.model["top_k"], exp.seed, exp.frame_stride) == (False, 100, 3, 1)
        assert request.out == Path("out")
    for wrong in ("--frames=3", "stray"):
        with pytest.raises(SystemExit):
            read(*arguments, wrong)


@pytest.mark.parametrize(
    ("arguments", "resume"),
    [
        (("--resume",), "out/last.ckpt"),
        (("--resume", "other.ckpt"), "other.ckpt"),
        (("--resume", "max_epochs=3"), "out/last.ckpt"),
    ],
)
def test_resume(arguments: tuple[str, ...], resume: str) -> None:
    request = read("-f", "exps/faim_s.py", "-o", "out", *arguments)
    assert request.resume == Path(resume)
    assert request.experiment.max_epochs == (3 if "max_epochs=3" in arguments else 7)


def test_overrides_are_typed() -> None:
    exp = BaseExperiment(variant="s")
    apply_overrides(
        exp,
        [
            *("cache=true", "input_size=256,320", "basic_lr_per_img=1e-3", "warmup_epochs=2"),
            *("val_ann=none", "model.num_proposals=50", "model.mask_levels=P3,P5"),
            *("augment.mosaic_scale=0.8,1.2", "num_classes=30", "name=12"),
        ],
    )
    assert exp.cache is True
    assert exp.input_size == (256, 320)
    assert exp.basic_lr_per_img == 1e-3
    assert exp.warmup_epochs == 2.0
    assert exp.val_ann is None
    assert exp.num_classes == 30
    assert exp.name == "12"
    assert exp.model == {"num_proposals": 50, "mask_levels": ("P3", "P5")}
    assert exp.augment == {"mosaic_scale": (0.8, 1.2)}
    assert exp.config(("a",)).num_proposals == 50


def test_overriding_one_experiment_leaves_the_next() -> None:
    first, second = BaseExperiment(), BaseExperiment()
    apply_overrides(first, ["model.top_k=100"])
    assert second.model == {}


def test_a_choice_may_be_called_none() -> None:
    experiment = FaimExperiment()
    apply_overrides(experiment, ["model.mask_upsampling=none", "refined_classes=none"])
    assert experiment.config(("a",)).mask_upsampling == "none"
    assert experiment.refined_classes is None


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("max_epoch=3", "override max_epoch: no such field; the nearest are max_epochs"),
        ("model.num_proposal=3", "the nearest are model.num_proposals"),
        ("sizes.x=3", "no such field"),
        ("max_epochs=many", "override max_epochs=many: expected a whole number"),
        ("max_epochs=1.5", "expected a whole number"),
        ("max_epochs=true", "expected a whole number"),
        ("flip=1", "expected true or false"),
        ("sampling=all", "expected one of global, local"),
        ("model=3", "override model: expected one of its fields"),
        ("max_epochs", "expected key=value"),
        ("sizes=a,b", "expected values separated by commas"),
        ("sizes={[]}", "expected values separated by commas"),
        (f"max_epochs={'~' * 5000}1", "expected a whole number"),
        (f"max_epochs={'-' * 100_000}1", "expected a whole number"),
    ],
)
def test_wrong_overrides(override: str, sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        apply_overrides(FaimExperiment(), [override])


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("max_epochs=0", "max_epochs is 0; expected at least 1"),
        (
            "input_size=64000,64000",
            r"input_size is \(64000, 64000\); expected multiples of 32 from",
        ),
        ("input_size=100,100", r"input_size is \(100, 100\); expected multiples of 32 from 32 to"),
        ("multiscale_range=999", r"the largest side is \(32\d+,\); expected .* from 32 to 8192"),
        ("batch_size=1000000", "batch_size is 1000000; expected at most 65536"),
        ("workers=10**9", "expected a whole number"),
        ("workers=1000000000", "workers is 1000000000; expected at most 1024"),
        (f"max_epochs={'9' * 4000}", r"max_epochs is 9+\.\.\.9+; expected at most 100000"),
        (f"max_epochs={'9' * 5000}", "override max_epochs=9{60}…: expected a whole number"),
        (f"max_epochs={'(' * 5000}", r"override max_epochs=\({60}…: expected a whole number"),
        ("devices=3", "batch_size is 16; expected a multiple of the 3 devices"),
        ("basic_lr_per_img=0", "expected a number above 0"),
        ("model.nms_train=2", "nms_train is 2.0"),
        ("precision=8", "expected one of 32-true"),
        ("ema_decay=1.5", "ema_decay is 1.5; expected a number from 0 to 1"),
        ("momentum=2", "momentum is 2.0; expected a number from 0 to 1"),
        ("min_lr_ratio=-1", "min_lr_ratio is -1.0; expected a number from 0 to 1"),
        ("weight_decay=1e999", "expected a number"),
    ],
)
def test_wrong_values(override: str, sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        read("-f", "exps/yolox_s_vid.py", override)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"precision": "fp16"}, "precision is 'fp16'; expected one of 32-true, 16-mixed"),
        ({"max_epochs": "7"}, "max_epochs is '7'; expected a whole number"),
        ({"ema": 1}, "ema is 1; expected true or false"),
        ({"grad_clip": float("nan")}, "grad_clip is nan; expected a number"),
        ({"model": None}, "model is None; expected a dictionary"),
        ({"model": {"top_k": "9"}}, "model.top_k is '9'; expected a whole number"),
        ({"model": {"train_parts": []}}, r"model.train_parts is \(\) and leaves nothing to train"),
        ({"model": {"train_parts": ["mask_head"], "mask_weight": 0}}, "leaves nothing to train"),
        ({"hsv_prob": 2}, "hsv_prob is 2.0; expected a number from 0 to 1"),
    ],
)
def test_wrong_types_in_an_experiment_file(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        FaimExperiment(**fields).validate()


def test_harmless_types_are_adapted(tmp_path: Path) -> None:
    exp = FaimExperiment(
        ckpt=tmp_path,  # type: ignore[arg-type]
        sizes=[64, 96],  # type: ignore[arg-type]
        grad_clip=1,
        model={"mask_levels": ["P3"]},
    )
    exp.validate()
    assert (exp.ckpt, exp.sizes, exp.grad_clip) == (str(tmp_path), (64, 96), 1.0)
    assert exp.model == {"mask_levels": ("P3",)}
    with pytest.raises(FaimError, match=r"augment.degrees is 'a'; expected a number"):
        BaseExperiment(augment={"degrees": "a"}).validate()


def test_defaults_are_the_papers() -> None:
    base, faim = BaseExperiment(), FaimExperiment()
    assert (base.max_epochs, base.batch_size, base.no_aug_epochs, base.warmup_epochs) == (
        7,
        16,
        2,
        1,
    )
    assert (base.frame_stride, base.momentum, base.weight_decay) == (10, 0.9, 5e-4)
    assert faim.warmup_iters == 15_000
    assert faim.sizes == tuple(range(352, 673, 32))
    assert faim.config(("a",)).train_frames == 16
    assert [base.strong_augmentation(epoch) for epoch in range(7)] == [True] * 5 + [False] * 2


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_every_shipped_experiment_is_valid(path: Path) -> None:
    experiment = load_experiment(path)
    experiment.validate()
    assert experiment.name == path.stem
    assert experiment.variant in path.stem.split("_")
    assert isinstance(experiment, BaseExperiment if "yolox" in path.stem else FaimExperiment)


def test_there_is_an_experiment_for_every_size_and_stage() -> None:
    names = {path.stem for path in EXPERIMENTS}
    sizes = ("nano", "tiny", "s", "m", "l", "x")
    assert {f"yolox_{s}_vid" for s in sizes} | {f"faim_{s}" for s in sizes} <= names


def test_experiments_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_experiment("exps/faim_m.py").variant == "m"
    assert load_experiment("faim_m.py").variant == "m"


def test_an_experiment_may_be_a_class(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from faim.training.experiment import FaimExperiment\n"
        "class Exp(FaimExperiment):\n"
        "    def __init__(self):\n"
        "        super().__init__(variant='m', max_epochs=2)\n"
    )
    experiment = load_experiment(path)
    assert (experiment.name, experiment.variant, experiment.max_epochs) == ("mine", "m", 2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x = 1", "AttributeError"),
        ("exp = 1", "exp is a int; expected a BaseExperiment"),
        ("1 / 0", "ZeroDivisionError"),
        ("exp = (", "SyntaxError"),
        ("import no_such_module", "No module named"),
        ("from faim.training.experiment import *\nexp = BaseExperiment(epochs=1)", "epochs"),
    ],
)
def test_faulty_experiment_files(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(text)
    with pytest.raises(FaimError, match=sentence) as caught:
        load_experiment(path)
    assert str(path) in str(caught.value)


def test_a_missing_experiment_file() -> None:
    with pytest.raises(FaimError, match=r"none\.py: no such experiment file"):
        load_experiment("none.py")


def test_without_the_mask_loss_masks_are_not_needed_and_their_head_not_trained() -> None:
    exp = FaimExperiment(model={"mask_weight": 0.0})
    assert not exp.masks_required
    assert exp.config(("a",)).train_parts == ("video_branch", "ifem", "ticam")
    assert FaimExperiment().masks_required
