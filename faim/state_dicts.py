"""Weights in files: read without unpickling anything but tensors, checked, and put into a model."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar as _numpy_scalar
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from faim.errors import FaimError

StateDict = dict[str, Tensor]

#: What numpy pickles a number as, under its names before and since version 2.
_NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    (_numpy_scalar, "numpy.core.multiarray.scalar"),
    (_numpy_scalar, "numpy._core.multiarray.scalar"),
]


def read_weights(path: Path, expected: str) -> StateDict:
    """The weights in a `.safetensors`, or in a file of torch's, itself or under "model".

    Args:
        path: the file.
        expected: what it should be, for the errors.

    Raises:
        FaimError: missing, empty, damaged, not of tensors, or with weights that are not finite.
    """
    check_is_there(path, expected)
    is_ours = path.suffix == ".safetensors"
    state = read_safetensors(path)[1] if is_ours else read_pth(path, expected)
    if not state:
        raise FaimError(f"{path}: holds no weights by name; expected {expected}")
    check_finite(state, path)
    return state


def check_is_there(path: Path, expected: str = "a checkpoint (.safetensors or .pth)") -> None:
    """FaimError, which says what was expected, unless it is a file with something in it."""
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name too long
        raise FaimError(f"{path}: no such file; expected {expected}")
    if path.stat().st_size == 0:
        raise FaimError(f"{path}: the file is empty; expected {expected}")


def read_safetensors(path: Path) -> tuple[dict[str, str], StateDict]:
    """Metadata and tensors.

    Raises:
        FaimError: the file is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FaimError(f"{path}: not a safetensors checkpoint ({error})") from error


def read_pth(
    path: Path, expected: str = "a .pth of tensors or a faim .safetensors"
) -> StateDict | None:
    """The state dict in a `.pth`, itself or under "model"; None if it holds something else.

    Args:
        path: the file.
        expected: what it should be, for the error.

    Raises:
        FaimError: the file is damaged, or needs more unpickled than tensors and numbers.
    """
    try:
        # Trainers store their best score beside the weights, often as a number of numpy's.
        with torch.serialization.safe_globals(_NUMPY_NUMBERS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange pickles: they are refused anyway
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise errors of every kind
        raise FaimError(
            f"{path}: not a checkpoint, or one with more than numbers in it; expected {expected}"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    is_state_dict = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )
    return content if is_state_dict else None


def check_finite(state: StateDict, path: Path) -> None:
    """FaimError if a weight is not a number."""
    bad = [n for n, t in state.items() if t.is_floating_point() and not t.isfinite().all()]
    if bad:
        raise FaimError(
            f"{path}: {len(bad)} weights are not finite, the first is {bad[0]}; expected numbers"
        )


def load_weights(
    model: nn.Module,
    state: StateDict,
    path: str | Path,
    expected: str = "the model of its config",
) -> None:
    """Copy a state dict into a model of exactly its shape.

    Args:
        model: gets the weights.
        state: all of them.
        path: where they are from, for the error.
        expected: whose weights they should be, for the error.

    Raises:
        FaimError: keys or shapes differ; the sentence names the first.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in state or name not in own:
            where = "is missing" if name not in state else "has no place in the model"
            raise FaimError(f"{path}: weight {name} {where}; expected {expected}")
        if own[name].shape != state[name].shape:
            raise FaimError(
                f"{path}: weight {name} has shape {tuple(state[name].shape)}; expected "
                f"{tuple(own[name].shape)} as in {expected}"
            )
    model.load_state_dict(state)
