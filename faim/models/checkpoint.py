"""Checkpoints: ours (safetensors with the config inside) and official YOLOX ones."""

from __future__ import annotations

import contextlib
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from loguru import logger
from numpy._core.multiarray import scalar as _numpy_scalar
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from yolox.data.datasets import COCO_CLASSES

from faim.config import YOLOX_SCALES, FaimConfig
from faim.errors import FaimError
from faim.models.aggregation import NoAggregation
from faim.models.faim import FAIM, YoloxVideo, build_model

Aggregate = Literal["auto", "ticam", "affinity", "none"]
StateDict = dict[str, Tensor]
# What numpy pickles a number as, under its names before and since version 2.
_NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    (_numpy_scalar, "numpy.core.multiarray.scalar"),
    (_numpy_scalar, "numpy._core.multiarray.scalar"),
]


def save_checkpoint(path: str | Path, model: FAIM | YoloxVideo) -> None:
    """Write weights and config to one safetensors file, whole or not at all.

    Raises:
        FaimError: the file cannot be written.
    """
    path = Path(path)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, part, metadata={"format": "faim", "config": model.config.to_json()})
        part.chmod(0o644)  # safetensors makes files that nobody else can read
        part.replace(path)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise FaimError(f"{path}: cannot write the checkpoint ({error})") from error


def load_checkpoint(path: str | Path) -> tuple[FaimConfig, StateDict]:
    """Config and weights of a faim checkpoint or of an official YOLOX `.pth`.

    Nothing is unpickled but tensors. A YOLOX file's variant is read off its weights; its class
    names are COCO's where it has 80 classes.

    Raises:
        FaimError: no such file, no checkpoint of a known kind, or weights that are not finite.
    """
    path = Path(path)
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name too long
        raise FaimError(f"{path}: no such file; expected a checkpoint (.safetensors or .pth)")
    if path.stat().st_size == 0:
        raise FaimError(f"{path}: the file is empty; expected a checkpoint")
    config, state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_yolox(path)
    bad = [n for n, t in state.items() if t.is_floating_point() and not t.isfinite().all()]
    if bad:
        raise FaimError(
            f"{path}: {len(bad)} weights are not finite, the first is {bad[0]}; expected numbers"
        )
    return config, state


def load_model(
    path: str | Path,
    *,
    aggregate: Aggregate = "auto",
    device: str | torch.device = "cpu",
    class_names: tuple[str, ...] | None = None,
) -> FAIM | YoloxVideo:
    """A checkpoint, ready for inference.

    Args:
        path: see `load_checkpoint`.
        aggregate: "ticam" needs a FAIM checkpoint; "affinity" works with any; "auto" takes the
            best there is; "none" leaves every frame to itself.
        device: where the model goes.
        class_names: names to use instead of the checkpoint's, as many as it has classes.

    Raises:
        FaimError: see `load_checkpoint`; or the number of names does not match, or "ticam" is
            asked of a checkpoint without one.
    """
    config, state = load_checkpoint(path)
    if class_names is not None:
        config = _rename_classes(config, class_names, path)
    if aggregate == "ticam" and config.architecture != "faim":
        raise FaimError(
            f"{path}: a plain YOLOX checkpoint has no TICAM; expected --aggregate affinity, none "
            "or auto"
        )
    if aggregate in ("affinity", "none") and config.architecture == "faim":
        # The base detector is all they need, and the quicker for it.
        prefix = "detector."
        state = {name: t for name, t in state.items() if name.startswith(prefix)}
        config = replace(config, architecture="yolox")
    model = build_model(config)
    load_weights(model, state, path)
    if isinstance(model, YoloxVideo) and aggregate == "none":
        model.aggregator = NoAggregation()
    return model.eval().to(device)


def load_weights(model: nn.Module, state: StateDict, path: str | Path) -> None:
    """Copy a state dict into a model of exactly its shape.

    Raises:
        FaimError: keys or shapes differ; the sentence names the first.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in state or name not in own:
            where = "is missing" if name not in state else "has no place in the model"
            raise FaimError(f"{path}: weight {name} {where}; expected the model of its config")
        if own[name].shape != state[name].shape:
            raise FaimError(
                f"{path}: weight {name} has shape {tuple(state[name].shape)}; expected "
                f"{tuple(own[name].shape)}"
            )
    model.load_state_dict(state)


def load_base_weights(model: FAIM | YoloxVideo, path: str | Path) -> None:
    """Start a training from a base detector: ours or an official YOLOX checkpoint.

    Where the number of classes differs, the class predictors keep their fresh weights (as YOLOX
    does on its way from COCO to other data), which is logged.

    Raises:
        FaimError: see `load_checkpoint`, or another variant than the model's.
    """
    config, state = load_checkpoint(path)
    if config.variant != model.config.variant:
        raise FaimError(
            f"{path}: weights of variant {config.variant}; expected {model.config.variant}"
        )
    prefix = "detector."
    base = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    if config.num_classes != model.config.num_classes:
        logger.warning(
            f"{path}: {config.num_classes} classes, this training has "
            f"{model.config.num_classes}; the class predictors start afresh"
        )
        fresh = model.detector.state_dict()
        base |= {n: fresh[n] for n in base if n.startswith("head.cls_preds.")}
    load_weights(model.detector, base, path)


def _read_safetensors(path: Path) -> tuple[FaimConfig, StateDict]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if "config" not in metadata:
                raise FaimError(
                    f"{path}: a safetensors file without a faim config; expected a faim checkpoint"
                )
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FaimError(f"{path}: not a safetensors checkpoint ({error})") from error
    try:
        return FaimConfig.from_json(metadata["config"]), state
    except FaimError as error:
        raise FaimError(f"{path}: {error}") from error


def _read_yolox(path: Path) -> tuple[FaimConfig, StateDict]:
    try:
        # YOLOX's trainer stores its best AP beside the weights, as a number of numpy's.
        with torch.serialization.safe_globals(_NUMPY_NUMBERS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strange pickles: they are refused anyway
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise errors of every kind
        raise FaimError(
            f"{path}: not a checkpoint, or one with more than numbers in it; expected a .pth of "
            "tensors or a faim .safetensors"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    known = "head.cls_preds.0.bias"
    if not _is_state_dict(content) or known not in content:
        raise FaimError(f"{path}: no YOLOX weights in it (no {known}); expected a YOLOX checkpoint")
    state = {f"detector.{name}": tensor for name, tensor in content.items()}
    classes = len(content[known])
    names = COCO_CLASSES if classes == 80 else tuple(f"class {i}" for i in range(classes))
    config = FaimConfig(
        variant=_variant_of(content, path),
        class_names=tuple(names),
        architecture="yolox",
        test_size=(416, 416) if _variant_of(content, path) in ("nano", "tiny") else (576, 576),
    )
    return config, state


def _is_state_dict(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )


def _variant_of(state: StateDict, path: Path) -> Any:
    """Read width, depth and depthwise off the weights."""
    stem = state.get("backbone.backbone.stem.conv.conv.weight")
    blocks = {n.split(".")[5] for n in state if n.startswith("backbone.backbone.dark2.1.m.")}
    depthwise = any(".dconv." in name for name in state)
    for variant, (depth, width, is_depthwise) in YOLOX_SCALES.items():
        if (
            stem is not None
            and stem.shape[0] == int(width * 64)
            and len(blocks) == max(round(depth * 3), 1)
            and depthwise == is_depthwise
        ):
            return variant
    raise FaimError(
        f"{path}: weights of no known YOLOX variant; expected one of {', '.join(YOLOX_SCALES)}"
    )


def _rename_classes(
    config: FaimConfig, class_names: tuple[str, ...], path: str | Path
) -> FaimConfig:
    if len(class_names) != config.num_classes:
        raise FaimError(
            f"{path}: a checkpoint of {config.num_classes} classes; {len(class_names)} class names "
            "were given"
        )
    return replace(config, class_names=class_names)
