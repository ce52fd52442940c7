from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from faim.errors import FaimError
from faim.state_dicts import load_weights, read_weights

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.tensor([1.0, -2.0])}


def write(path: Path, content: object) -> Path:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.safetensors", STATE), ("a.pth", STATE), ("a.pt", {"model": STATE, "best": 0.5})],
)
def test_weights_of_each_kind_of_file(tmp_path: Path, name: str, content: object) -> None:
    path = write(tmp_path / name, content)
    network = nn.Linear(3, 2)
    load_weights(network, read_weights(path, "weights"), path)
    assert network(torch.tensor([1.0, 0, 2])).tolist() == [4 + 1, 3 + 10 - 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; expected a small one"),
        (b"", "the file is empty; expected a small one"),
        (b"text", "not a checkpoint.*; expected a small one"),
        ({}, "holds no weights by name; expected a small one"),
        ({"best": 0.5}, "holds no weights by name; expected a small one"),
        ({**STATE, "bias": torch.tensor([1, torch.inf])}, "1 weights are not finite.*is bias"),
    ],
)
def test_files_without_weights(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "a.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write(path, content)
    with pytest.raises(FaimError, match=rf"a.pth: {message}"):
        read_weights(path, "a small one")


def test_weights_of_another_model() -> None:
    def load(state: dict[str, torch.Tensor]) -> None:
        load_weights(nn.Linear(3, 2), state, "a.pth", "weights of mine")

    with pytest.raises(FaimError, match="weight bias is missing; expected weights of mine"):
        load({"weight": STATE["weight"]})
    with pytest.raises(FaimError, match="weight more has no place in the model; expected weights"):
        load({**STATE, "more": STATE["bias"]})
    with pytest.raises(FaimError, match=r"has shape \(1,\); expected \(2,\) as in weights of mine"):
        load({**STATE, "bias": torch.zeros(1)})
