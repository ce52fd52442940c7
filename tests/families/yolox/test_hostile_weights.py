"""Weights whose files claim more than they hold, or hold what no network has."""

from __future__ import annotations

import json
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, build_model

CONFIG = FaimConfig(variant="nano", class_names=("cat", "dog"), test_size=(64, 64))
BIAS = "head.cls_preds.0.bias"
STEM = "backbone.backbone.stem.conv.conv.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return FAIM(CONFIG).state_dict()


@pytest.fixture(scope="module")
def yolox(state: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "detector."
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


def refused(path: Path) -> str:
    """The sentence, in bounded time and memory."""
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(FaimError) as caught:
        load_model(path)
    seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 20
    assert peak < 100e6
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    assert "weights_only" not in sentence
    assert len(sentence) < 1000 + len(str(path))
    return sentence.removeprefix(f"{path}: ")


def written(path: Path, state: dict[str, Tensor], config: str) -> Path:
    save_file(dict(state), path, metadata={"format": "faim", "config": config})
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_proposals": 1_000_000}, "config: num_proposals is 1000000; expected a whole number"),
        ({"top_k": 10**9}, "config: top_k is 1000000000; expected a whole number from 1 to 100000"),
        ({"test_frames": 1_000_000}, "config: test_frames is 1000000; expected a whole number"),
        ({"train_frames": 1024}, "config: train_frames is 1024 and num_proposals 30, 30720 toge"),
        ({"test_size": [64_000, 64]}, "config: test_size is (64000, 64); expected .* up to 8192"),
        ({"test_size": [64.0, 64]}, "config: test_size is (64.0, 64)"),
        ({"scale": [1e-300, 1e-300, False]}, "config: scale is [1e-300, 1e-300, False]; expected"),
        ({"scale": [4, 4, False]}, "weight detector.* expected .* the model of its config"),
        ({"variant": "x"}, "weight detector.* expected .* the model of its config"),
        ({"class_names": ["a"] * 20_001}, "config: class_names is .* expected 1 to 10000 names"),
        (
            {"class_names": ["cat", "cat"]},
            "expected 1 to 10000 names, each once",
        ),
        ({"class_names": ["cat", "d\ud800g"]}, "config: holds half a character"),
        ({"class_names": ["cat", "d" * 1001]}, "expected strings of at most 1000 characters"),
        ({"mask_weight": 10**4000}, "config: mask_weight is 1000.*; expected a number from 0 to"),
        ({"nms_final": float("nan")}, "config: nms_final is nan; expected a number from 0 to 1"),
        ({"num_heads": [[]]}, r"config: num_heads is [[]]; expected a whole number"),
    ],
)
def test_configs_that_claim_too_much(
    state: dict[str, Tensor], tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    path = written(tmp_path / "w.safetensors", state, json.dumps(asdict(CONFIG) | change))
    said = refused(path)
    for part in sentence.split(".*"):
        assert part in said


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 2000 + "1" + "}" * 2000, '{"top_k": ' + "9" * 5000 + "}", "[]"],
)
def test_configs_that_are_no_json(state: dict[str, Tensor], tmp_path: Path, text: str) -> None:
    assert refused(written(tmp_path / "w.safetensors", state, text)).startswith("config: ")


def test_a_model_is_not_built_for_weights_of_another(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []

    def build(config: FaimConfig) -> Any:
        devices.append(str(torch.get_default_device()))
        return build_model(config)

    monkeypatch.setattr("faim.families.yolox.checkpoint.build_model", build)
    config = json.dumps(asdict(CONFIG) | {"variant": "x"})
    refused(written(tmp_path / "w.safetensors", state, config))
    assert devices == ["meta"]


def change(name: str, make: Callable[[Tensor], object]) -> Callable[[dict[Any, Any]], object]:
    return lambda state: state | {name: make(state[name])}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (change(BIAS, lambda t: t[:1].expand(10**9)), "claims the shape (1000000000,), for which"),
        (change(STEM, lambda t: t[:1, :1].expand(10**5, 10**5, 3, 3)), "claims the shape (100000,"),
        (change(BIAS, lambda t: t[0]), "has shape (); expected one number a class, for 1 to 10000"),
        (change(BIAS, lambda t: torch.zeros(10_001)), "has shape (10001,); expected one number a"),
        (change(STEM, lambda t: t[0, 0, 0]), "its backbone is not YOLOX's CSPDarknet"),
        (change(STEM, lambda t: torch.zeros(())), "its backbone is not YOLOX's CSPDarknet"),
        (change(STEM, lambda t: t.to("meta")), "holds no numbers (it is on the device meta)"),
        (change(STEM, lambda t: t.to_sparse()), "is sparse (sparse_coo)"),
        (change(STEM, lambda t: t.to(torch.complex64)), "is of type complex64"),
        (
            change(STEM, lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8)),
            "is of type qint8",
        ),
        (change(STEM, lambda t: t.to(torch.int64)), "is int64; expected float32 as in the model"),
        (
            change(STEM, lambda t: t.to(torch.float8_e5m2)),
            "is of type float8_e5m2; expected one of",
        ),
        (change(STEM, lambda t: t * float("nan")), "1 weights are not finite"),
        (change(STEM, lambda t: t.double() * 1e300), "1 weights are not finite"),
        (lambda state: state | {7: torch.zeros(1)}, "no YOLOX weights in it"),
        (lambda state: state | {"head.": torch.zeros(1)}, "has head., which neither YOLOX nor"),
        (lambda state: state | {"head.linear_pred.bias": torch.tensor(1.0)}, "has shape ()"),
        (lambda state: {"model": [[]]}, "no YOLOX weights in it"),
        (lambda state: print, "not a checkpoint, or one with more than numbers in it"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # torch's, of sparse and quantized tensors
def test_tensors_that_are_no_weights(
    yolox: dict[str, Tensor],
    tmp_path: Path,
    make: Callable[[dict[Any, Any]], object],
    sentence: str,
) -> None:
    path = tmp_path / "w.pth"
    torch.save(make(dict(yolox)), path)
    assert sentence in refused(path)


def test_a_zip_file_that_unpacks_to_much_more(yolox: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(yolox, tmp_path / "sound.pth")
    bomb = tmp_path / "w.pth"
    with (
        zipfile.ZipFile(tmp_path / "sound.pth") as sound,
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in sound.namelist():
            size = sound.getinfo(name).file_size
            packed.writestr(name, bytes(size) if "/data/" in name else sound.read(name))
    assert "bytes, more than it has; expected" in refused(bomb)
