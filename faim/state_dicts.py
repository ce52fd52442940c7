"""Weights in files: read without unpickling anything but tensors, checked, and put into a model."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar as _numpy_scalar
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from faim.errors import FaimError
from faim.reading import shown

StateDict = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

#: What weights and the counters beside them may be stored as.
_DTYPES = (
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    *(torch.int64, torch.int32, torch.bool, torch.uint8),
)

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


def read_safetensors(
    path: Path, check: Callable[[dict[str, str], Shapes], object] = lambda metadata, shapes: None
) -> tuple[dict[str, str], StateDict]:
    """Metadata and tensors.

    Args:
        path: the file.
        check: is given metadata and shapes before the tensors are read, and raises FaimError where
            they should not be.

    Raises:
        FaimError: the file is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            metadata = file.metadata() or {}
            check(metadata, {name: tuple(file.get_slice(name).get_shape()) for name in names})
            return metadata, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
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
    _check_archive(path, expected)
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
    if not is_state_dict:
        return None
    for name, tensor in content.items():
        if reason := _why_no_weight(tensor):
            raise FaimError(f"{path}: weight {_shown_name(name)} {reason}; expected {expected}")
    return content


def _check_archive(path: Path, expected: str) -> None:
    """FaimError for a zip file that would unpack to more than it is: torch never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an older file of torch's, or a damaged one
    if claimed > path.stat().st_size:
        raise FaimError(
            f"{path}: would unpack to {claimed} bytes, more than it has; expected {expected}"
        )


def _why_no_weight(tensor: Tensor) -> str:
    """What keeps a tensor of a file from being a weight; nothing for most."""
    if tensor.layout != torch.strided:
        return f"is sparse ({str(tensor.layout).removeprefix('torch.')})"
    if tensor.device.type != "cpu":
        return f"holds no numbers (it is on the device {tensor.device.type})"
    if tensor.is_quantized or tensor.is_complex():
        return f"is of type {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"claims the shape {tuple(tensor.shape)}, for which it has too few numbers"
    return ""


def check_finite(state: StateDict, path: Path) -> None:
    """FaimError if a weight is of a type that no network has, or not a number in float32."""
    for name, tensor in state.items():
        if tensor.dtype not in _DTYPES:
            raise FaimError(
                f"{path}: weight {_shown_name(name)} is of type "
                f"{str(tensor.dtype).removeprefix('torch.')}; expected one of "
                f"{', '.join(str(dtype).removeprefix('torch.') for dtype in _DTYPES)}"
            )
    bad = [n for n, t in state.items() if t.is_floating_point() and not t.float().isfinite().all()]
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
        FaimError: keys, shapes or kinds of number differ; the sentence names the first.
    """
    own = model.state_dict()
    check_shapes(shapes_of(state), shapes_of(own), path, expected)
    for name, tensor in state.items():
        if tensor.is_floating_point() != own[name].is_floating_point():
            kinds = (str(t.dtype).removeprefix("torch.") for t in (tensor, own[name]))
            raise FaimError(
                "{}: weight {} is {}; expected {} as in {}".format(path, name, *kinds, expected)
            )
    model.load_state_dict(state)


def shapes_of(state: Mapping[str, Tensor]) -> Shapes:
    """The shape of every tensor by its name."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def check_shapes(found: Shapes, own: Shapes, path: str | Path, expected: str) -> None:
    """Raise FaimError, as `load_weights`, where names or shapes are not the model's own."""
    for name in sorted(own.keys() | found.keys()):
        if name not in found or name not in own:
            where = "is missing" if name not in found else "has no place in the model"
            raise FaimError(f"{path}: weight {_shown_name(name)} {where}; expected {expected}")
        if own[name] != found[name]:
            raise FaimError(
                f"{path}: weight {name} has shape {found[name]}; expected {own[name]} as in "
                f"{expected}"
            )


def _shown_name(name: str) -> str:
    """A weight's name as messages give it: plain, unless it is long or odd."""
    return name if len(name) <= 100 and name.isascii() and name.isprintable() else shown(name)
