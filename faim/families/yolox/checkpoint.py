"""Checkpoints: ours (safetensors with the config inside) and the public YOLOX and YOLOV ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from loguru import logger

from faim.choices import Aggregate
from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import YoloxVideo, build_model
from faim.families.yolox.public_checkpoints import read_public
from faim.families.yolox.ticam_detector import TicamDetector, VideoModel
from faim.files import check_writable, write_tensors
from faim.state_dicts import (
    Shapes,
    StateDict,
    check_finite,
    check_is_there,
    check_shapes,
    load_weights,
    read_safetensors,
    shapes_of,
)
from faim.weights.named import expected_weights, weights_file
from faim.wording import counted


def save_checkpoint(path: str | Path, model: VideoModel) -> None:
    """Write weights and config to one safetensors file, whole or not at all.

    Raises:
        FaimError: the file cannot be written.
    """
    path = Path(path)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    check_writable(path)
    write_tensors(
        path, state, {"format": "faim", "family": "yolox", "config": model.config.to_json()}
    )


def load_checkpoint(path: str | Path) -> tuple[FaimConfig, StateDict]:
    """Config and weights of a faim checkpoint, or of a public YOLOX or YOLOV `.pth`.

    The path may also be a name of known weights, which are then fetched; see `weights_file`.
    Nothing is unpickled but tensors. Of a `.pth` architecture and variant are read off the
    weights; its class names are COCO's where it has 80 classes and ImageNet VID's where it has 30.

    Raises:
        FaimError: no such file or name, no checkpoint of a known kind, weights that cannot be
            fetched or are not finite.
    """
    given, path = path, weights_file(path)
    check_is_there(path, expected_weights(given))
    config, state = _read_ours(path) if path.suffix == ".safetensors" else read_public(path)
    check_finite(state, path)
    return config, state


def load_model(
    path: str | Path,
    *,
    aggregate: Aggregate = "auto",
    device: str | torch.device = "cpu",
    class_names: tuple[str, ...] | None = None,
) -> VideoModel:
    """A checkpoint, ready for inference.

    Args:
        path: see `load_checkpoint`.
        aggregate: "ticam" needs a checkpoint of FAIM or YOLOV; "affinity" works with any; "auto"
            takes the best there is; "none" leaves every frame to itself.
        device: where the model goes.
        class_names: names to use instead of the checkpoint's, as many as it has classes.

    Raises:
        FaimError: see `load_checkpoint`; or the number of names does not match, or "ticam" is
            asked of a checkpoint without one.
    """
    config, state = load_checkpoint(path)
    if class_names is not None:
        config = _rename_classes(config, class_names, path)
    if aggregate == "ticam" and config.architecture == "yolox":
        raise FaimError(
            f"{path}: a plain YOLOX checkpoint has no TICAM; expected --aggregate affinity, none "
            "or auto"
        )
    if aggregate in ("affinity", "none") and config.architecture != "yolox":
        # The base detector is all they need, and the quicker for it.
        prefix = "detector."
        state = {name: t for name, t in state.items() if name.startswith(prefix)}
        config = replace(config, architecture="yolox")
    check_shapes(shapes_of(state), _shapes(config), path, "the model of its config")
    model = build_model(config)
    load_weights(model, state, path)
    if isinstance(model, YoloxVideo) and aggregate == "none":
        model.aggregator = NoAggregation()
    return model.eval().to(device)


def guided(model: VideoModel, path: str | Path) -> VideoModel:
    """The same weights in a model whose instance attention is guided by objectness.

    Raises:
        FaimError: there is no such attention; names `path`, where the model is from.
    """
    if not isinstance(model, TicamDetector):
        raise FaimError(
            f"--guided: {path} is a plain YOLOX checkpoint; expected one of YOLOV, whose attention "
            "can be guided"
        )
    changed = build_model(replace(model.config, guide_ins=True))
    changed.load_state_dict(model.state_dict())
    return changed.eval()


def load_base_weights(model: VideoModel, path: str | Path) -> None:
    """Start a training from the base detector of a checkpoint, ours or a public one.

    Where the number of classes differs, the class predictors keep their fresh weights (as YOLOX
    does on its way from COCO to other data), which is logged.

    Raises:
        FaimError: see `load_checkpoint`, or another variant than the model's.
    """
    config, state = load_checkpoint(path)
    if config.scales != model.config.scales:
        raise FaimError(f"{path}: weights of variant {config.size}; expected {model.config.size}")
    prefix = "detector."
    base = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    if config.num_classes != model.config.num_classes:
        logger.warning(
            f"{path}: {counted(config.num_classes, 'class')}, this training has "
            f"{model.config.num_classes}; the class predictors start afresh"
        )
        fresh = model.detector.state_dict()
        base |= {n: fresh[n] for n in base if n.startswith("head.cls_preds.")}
    load_weights(model.detector, base, path)


def _read_ours(path: Path) -> tuple[FaimConfig, StateDict]:
    def check(metadata: dict[str, str], shapes: Shapes) -> None:
        check_shapes(shapes, _shapes(_config(path, metadata)), path, "the model of its config")

    metadata, state = read_safetensors(path, check)
    return _config(path, metadata), state


def _config(path: Path, metadata: dict[str, str]) -> FaimConfig:
    if "config" not in metadata:
        raise FaimError(
            f"{path}: a safetensors file without a faim config; expected a faim checkpoint"
        )
    try:
        return FaimConfig.from_json(metadata["config"])
    except FaimError as error:
        raise FaimError(f"{path}: {error}") from error


def _shapes(config: FaimConfig) -> Shapes:
    """Those of a model's weights, without the memory for them."""
    with torch.device("meta"):
        return shapes_of(build_model(config).state_dict())


def _rename_classes(
    config: FaimConfig, class_names: tuple[str, ...], path: str | Path
) -> FaimConfig:
    if len(class_names) != config.num_classes:
        raise FaimError(
            f"{path}: a checkpoint of {counted(config.num_classes, 'class')}; "
            f"{counted(len(class_names), 'class name')} given"
        )
    renamed = dict(zip(config.class_names, class_names, strict=True))
    refined = tuple(renamed[name] for name in config.refined_classes)
    return replace(config, class_names=class_names, refined_classes=refined)
