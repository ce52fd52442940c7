"""Files of weights that other projects publish: read without running what may be in them."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from faim.errors import FaimError

StateDict = dict[str, Tensor]

#: Parts of a transformers folder that decide what its network computes.
_DECISIVE = (".safetensors", ".bin", ".json")


def identity(checkpoint: str | Path) -> dict[str, Any]:
    """What tells a checkpoint from others, for a file's provenance.

    Args:
        checkpoint: a file, a folder, or a name that a library downloads by.

    Returns:
        `checkpoint`, the name alone, and `sha256` of the file, or of the files of weights and
        settings of the folder; none for what is not here.

    Raises:
        FaimError: it cannot be read.
    """
    path = Path(checkpoint)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _DECISIVE)
    elif path.is_file():
        files = [path]
    else:
        return {"checkpoint": str(checkpoint)}
    try:
        digests = [_digest(file) for file in files]
    except OSError as error:
        raise FaimError(f"{path}: cannot be read ({error.strerror}); expected weights") from error
    whole = digests[0] if path.is_file() else hashlib.sha256("".join(digests).encode()).hexdigest()
    return {"checkpoint": path.resolve().name, "sha256": whole}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(path: str | Path, expected: str) -> StateDict:
    """The weights in a .pth or .pt file, also where they are under `model` in it.

    Args:
        path: the file.
        expected: what it should be, for the error.

    Raises:
        FaimError: missing, damaged, or with more than tensors in it.
    """
    if not Path(path).is_file():
        raise FaimError(f"{path}: no such file; expected {expected}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange pickles: they are refused anyway
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise FaimError(
            f"{path}: no checkpoint, a damaged one, or one with more than numbers in it; expected "
            f"{expected}"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    sound = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    if not sound or not content:
        raise FaimError(f"{path}: holds no weights by name; expected {expected}")
    state: StateDict = content
    return state


def load_weights(network: nn.Module, state: StateDict, path: str | Path, expected: str) -> None:
    """Put all weights of a file into a network that has just these.

    Raises:
        FaimError: a weight is missing, left over or of another shape.
    """
    mine = network.state_dict()
    odd = sorted(mine.keys() ^ state.keys()) or sorted(
        name for name, value in mine.items() if value.shape != state[name].shape
    )
    if odd:
        raise FaimError(
            f"{path}: weights of another network ({odd[0]} does not fit, {len(odd)} in all); "
            f"expected {expected}"
        )
    network.load_state_dict(state)
