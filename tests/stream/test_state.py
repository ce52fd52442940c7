"""Saved states that claim too much, hold no numbers, or are of another model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from grouped import make_detector
from safetensors import safe_open
from safetensors.torch import save_file
from select_helpers import CONFIG
from torch import Tensor

from faim.errors import FaimError
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, YoloxVideo, build_model
from faim.postprocess.causal import CausalState
from faim.runtime.pipeline import Detector
from faim.stream.state import StreamState


def detector(
    seed: int, kind: type[FAIM] | type[YoloxVideo] = FAIM, variant: Any = "nano"
) -> Detector:
    torch.manual_seed(seed)
    config = FaimConfig(variant=variant, class_names=("dog", "cat"), test_size=(64, 64))
    return make_detector(kind(config).eval(), bank_frames=3, post="causal", score_threshold=0.0)


IMAGES = list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After two frames."""
    ours = detector(0)
    state = ours.new_state()
    for image in IMAGES[:2]:
        ours.step(image, state)
    state.post = CausalState.of_frame(np.ones((1, 4)), np.ones((1, 2)), (64, 64))
    path = tmp_path_factory.mktemp("state") / "stream.state"
    state.save(path)
    return path


def content(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        names = list(file.keys())
        header = json.loads(file.metadata()["state"])
        return header, {name: file.get_tensor(name) for name in names}


def write(path: Path, header: dict[str, Any] | str, tensors: dict[str, Tensor]) -> Path:
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(tensors, path, metadata={"format": "faim-stream-state-1", "state": text})
    return path


def test_a_state_goes_on_with_its_model_alone(saved: Path) -> None:
    ours = detector(0)
    assert StreamState.load(saved).model == ours.fingerprint == detector(0).fingerprint
    going_on = StreamState.load(saved)
    ours.step(IMAGES[2], going_on)
    assert going_on.frames_seen == 3
    for other in (detector(1), detector(0, YoloxVideo), detector(0, variant="tiny")):
        state = StreamState.load(saved)
        with pytest.raises(FaimError, match=r"state: of another model .*; expected the model that"):
            other.step(IMAGES[2], state)
        assert state.frames_seen == 2


def test_states_of_earlier_versions_go_on_where_their_shapes_fit(
    saved: Path, tmp_path: Path
) -> None:
    header, tensors = content(saved)
    del header["model"]
    path = write(tmp_path / "old", header, tensors)
    ours, state = detector(0), StreamState.load(path)
    assert state.model == ""
    found = ours.step(IMAGES[2], state)
    again = ours.step(IMAGES[2], StreamState.load(saved))
    np.testing.assert_array_equal(found.confidence, again.confidence)
    assert state.model == ours.fingerprint
    for other in (detector(0, YoloxVideo, "tiny"), detector(0, variant="tiny")):
        with pytest.raises(FaimError, match=r"state: of another model \(weights unknown\)"):
            other.step(IMAGES[2], StreamState.load(path))


def test_all_backends_know_a_model_by_the_same_name() -> None:
    from faim.runtime.torch_detector import TorchDetector

    model = build_model(CONFIG).eval()
    names = {TorchDetector(model, precision=p).fingerprint() for p in ("fp32", "bf16")}
    assert names == {Detector(model).fingerprint}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"capacity": 1_000_000}, "a bank of 1000000 frames, of which 4096 are most"),
        ({"capacity": 4}, "the tensors of the bank do not match"),
        ({"capacity": 3.0}, "a count is no whole number from 0 on"),
        ({"frames_seen": 2**64}, "a count is no whole number from 0 on"),
        ({"frames": "01"}, "the frames held are no list"),
        ({"post_size": [64, 64, 64]}, "no height and width"),
        ({"model": 5}, "its model is no text"),
        ({"entry": "other"}, "other"),
        ({"more": 1}, "more"),
    ],
)
def test_headers_that_cannot_be(
    saved: Path, tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    header, tensors = content(saved)
    path = write(tmp_path / "s", header | change, tensors)
    with pytest.raises(FaimError, match=rf"s: damaged or not a stream.*{sentence}"):
        StreamState.load(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"capacity": ' + "9" * 5000 + "}", "[]", ""])
def test_headers_that_are_no_json(saved: Path, tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "s", text, content(saved)[1])
    with pytest.raises(FaimError, match=r"s: .*expected a stream's saved state"):
        StreamState.load(path)


@pytest.mark.parametrize(
    ("name", "make", "sentence"),
    [
        (
            "bank.values",
            lambda t: t * float("nan"),
            "bank.values holds numbers that are not finite",
        ),
        ("bank.keys", lambda t: t + float("inf"), "bank.keys holds numbers that are not finite"),
        ("post.means", lambda t: t * float("nan"), "post.means holds numbers that are not finite"),
        ("post.weights", lambda t: t - 1000, "a tubelet's counts are below 0"),
        ("post.boxes", lambda t: t[:, :3].contiguous(), "boxes and scores do not match"),
        ("bank.values", lambda t: t[:, :-1].contiguous(), "tensors of the bank do not match"),
        ("bank.first_round", lambda t: t[..., :-1].contiguous(), "bank do not match"),
        ("bank.valid", lambda t: t.float(), "of another type"),
        ("bank.keys", lambda t: t.long(), "of another type"),
        ("thumbnail", lambda t: t[:5].contiguous(), "the thumbnail has another shape or type"),
        ("more", lambda t: torch.zeros(2**27 + 1, dtype=torch.uint8), "more claims the shape"),
    ],
)
def test_tensors_that_cannot_be(
    saved: Path, tmp_path: Path, name: str, make: Any, sentence: str
) -> None:
    header, tensors = content(saved)
    tensors[name] = make(tensors.get(name))
    with pytest.raises(FaimError, match=rf"s: damaged or not a stream.*{sentence}"):
        StreamState.load(write(tmp_path / "s", header, tensors))


def test_banks_have_a_largest_size() -> None:
    with pytest.raises(FaimError, match="memory bank: capacity is 1000000; expected 0 to 4096"):
        StreamState.empty(1_000_000)
