from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from faim.errors import FaimError
from faim.experiments.stage import stage_of
from faim.families.yolox.base import DetectorOutput
from faim.families.yolox.base_cache import GIGABYTE, CachedDetector, LastCache, cache_base
from faim.families.yolox.second_stage import SecondStage
from faim.families.yolox.ticam_detector import TicamDetector
from faim.training.experiment import FaimExperiment, YolovExperiment

ALL = {"stem_features": 64, "reg_features": 64}


@pytest.fixture
def experiment(faim_experiment: FaimExperiment) -> FaimExperiment:
    return replace(faim_experiment, sizes=(64,), cache_base=0.1, ema_decay=0.5, ema_ramp=1)


def start(experiment: FaimExperiment) -> Any:
    """The model that the training starts from."""
    stage = stage_of(experiment)
    return stage.starting_model(stage.read_data())


def cached(
    experiment: FaimExperiment, caches: LastCache | None = None
) -> tuple[TicamDetector, list[int]]:
    """The model with an empty cache, and how many images its backbone has seen at each pass."""
    model = start(experiment)
    SecondStage(experiment, caches).prepare(model)
    seen: list[int] = []
    model.detector.backbone.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    return model.train(), seen


def assert_close(output: DetectorOutput, expected: DetectorOutput, reads: tuple[str, ...]) -> None:
    for name in ("maps", *reads):
        for level, other in zip(getattr(output, name), getattr(expected, name), strict=True):
            assert level.dtype == other.dtype
            torch.testing.assert_close(level, other)
    torch.testing.assert_close(output.raw.boxes, expected.raw.boxes)


@pytest.mark.parametrize("kind", [FaimExperiment, YolovExperiment])
def test_every_image_is_seen_once(kind: type[FaimExperiment], experiment: FaimExperiment) -> None:
    chosen = kind(**vars(experiment))
    model, seen = cached(chosen)
    plain = start(chosen).train()
    images = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8)
    mixed = images[[3, 1, 1, 0]].clone()
    mixed[0, 0, 0, 0] += 1
    with torch.no_grad():
        first = model.detector(images[:3])
        second = model.detector(images[:3])
        assert_close(first, plain.detector(images[:3]), model.reads)
        assert_close(model.detector(mixed), plain.detector(mixed), model.reads)
    assert seen == [3, 1]
    for name in ("maps", *model.reads):
        for one, other in zip(getattr(first, name), getattr(second, name), strict=True):
            assert torch.equal(one, other)
    assert model.reads == (("stem_features",) if kind is FaimExperiment else tuple(ALL))


def test_a_full_cache_still_gives_all(experiment: FaimExperiment) -> None:
    model, seen = cached(experiment)
    images = torch.randint(0, 255, (3, 3, 64, 64), dtype=torch.uint8)
    model.detector(images[:1])
    cache = model.detector.cache  # type: ignore[union-attr]
    # Of 64x64 pixels there are 84 cells, with 7 numbers of maps and 64 features.
    assert cache.size == 84 * (7 + 64) * 4
    cache.limit = 2.5 * cache.size
    for _ in range(2):
        assert len(model.detector(images).maps[0]) == 3
    assert seen == [1, 2, 1]
    assert len(cache.images) == 2


def test_the_cache_is_shared_by_copies_and_by_trainings_on_the_same_detector(
    experiment: FaimExperiment,
) -> None:
    caches = LastCache()
    model, _ = cached(experiment, caches)
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    model.detector(images)
    assert deepcopy(model).detector.cache is model.detector.cache
    again = start(replace(experiment, seed=1))
    cache_base(again, 1, caches)
    again.detector(images)
    assert again.detector.cache is model.detector.cache
    assert again.detector.cache.limit == GIGABYTE
    with torch.autocast("cpu", torch.bfloat16):
        cache_base(again, 1, caches)
        assert again.detector(images).maps[0].dtype == torch.bfloat16
    cache_base(again, 1, caches)
    assert again.detector(images).maps[0].dtype == torch.float32
    with torch.no_grad():
        again.detector.head.obj_preds[0].bias += 1
    cache_base(again, 1, caches)
    again.detector(images)
    assert again.detector.cache is not model.detector.cache
    # Equal bytes of another shape are another image.
    assert again.detector(torch.zeros(1, 3, 64, 128)).maps[0].shape[2:] == (8, 16)
    assert again.detector(torch.zeros(1, 3, 128, 64)).maps[0].shape[2:] == (16, 8)
    assert isinstance(again.detector, CachedDetector)


def test_an_evaluation_leaves_the_cache_alone(experiment: FaimExperiment) -> None:
    model, seen = cached(experiment)
    plain = start(experiment)
    images = torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8)
    for _ in range(2):
        with torch.inference_mode():
            assert_close(model.detector(images), plain.detector(images), model.reads)
    model.detector(images)
    assert seen == [2, 2, 2]


def test_a_training_with_it_ends_in_the_same_weights(
    experiment: FaimExperiment, fit: Callable[..., Path], tmp_path: Path
) -> None:
    with_cache = load_file(fit(experiment, tmp_path / "cached"))
    without = load_file(fit(replace(experiment, cache_base=0), tmp_path / "plain"))
    assert with_cache.keys() == without.keys()
    before = load_file(experiment.ckpt)
    for name, tensor in with_cache.items():
        if name.startswith("detector."):
            assert torch.equal(tensor, before[name]), name
        torch.testing.assert_close(tensor, without[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"cache_base": -1.0}, "cache_base is -1.0; expected at least 0"),
        ({"sizes": (64, 96)}, r"cache_base is 0.1 and sizes \(64, 96\); expected one size"),
        ({"hsv_prob": 0.5}, "hsv_prob 0.5; expected one size, no colour jitter"),
        ({"model": {"train_parts": ("base", "ticam")}}, "model.train_parts .*frozen base"),
    ],
)
def test_where_no_image_comes_twice(
    fields: dict[str, Any], sentence: str, experiment: FaimExperiment
) -> None:
    with pytest.raises(FaimError, match=sentence):
        replace(experiment, **fields).validate()
