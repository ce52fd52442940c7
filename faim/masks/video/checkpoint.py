"""Checkpoints of the box-to-mask network, and weights for its backbone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from faim.errors import FaimError
from faim.files import check_writable, write_tensors
from faim.masks.video.config import BoxVosConfig
from faim.masks.video.network import BoxVos
from faim.state_dicts import (
    StateDict,
    check_finite,
    check_is_there,
    load_weights,
    read_pth,
    read_safetensors,
)

FORMAT = "faim box-to-mask"

#: Where a backbone's weights may lie in a checkpoint: a classifier of torchvision, a detector of
#: its, a detector of YOLOX, one of ours.
_PREFIXES = ("", "backbone.body.", "backbone.backbone.", "detector.backbone.backbone.")
#: torchvision's own name of the paper's initial weights, Mask R-CNN's of COCO.
MASK_RCNN = "coco-maskrcnn"


def make_box_vos(config: BoxVosConfig, seed: int = 0) -> BoxVos:
    """A network with random weights, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BoxVos(config)


def save_box_vos(path: Path, model: BoxVos) -> None:
    """Write weights and config to one safetensors file, whole or not at all.

    Raises:
        FaimError: the file cannot be written.
    """
    check_writable(path)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    config = json.dumps(dataclasses.asdict(model.config))
    write_tensors(path, state, {"format": FORMAT, "config": config})


def load_box_vos(path: Path, device: str | torch.device = "cpu") -> BoxVos:
    """A network ready for inference.

    Raises:
        FaimError: no such file, no checkpoint of this network, or weights that are not finite.
    """
    path = Path(path)
    check_is_there(path)
    if path.suffix != ".safetensors":
        raise FaimError(f"{path}: not a .safetensors file; expected a box-to-mask checkpoint")
    metadata, state = read_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise FaimError(
            f"{path}: a checkpoint of {metadata.get('format', 'something else')!r}; expected one "
            "of exps/boxvos_r50.py or its like"
        )
    check_finite(state, path)
    model = BoxVos(_read_config(metadata.get("config", ""), path))
    load_weights(model, state, path)
    return model.eval().to(device)


def _read_config(text: str, path: Path) -> BoxVosConfig:
    try:
        values: dict[str, Any] = json.loads(text)
        lists = {name: tuple(v) for name, v in values.items() if isinstance(v, list)}
        return BoxVosConfig(**{**values, **lists})
    except (TypeError, ValueError, AttributeError) as error:
        raise FaimError(f"{path}: a damaged config ({error}); expected BoxVosConfig's") from error
    except FaimError as error:
        raise FaimError(f"{path}: {error}") from error


def load_backbone(model: BoxVos, source: str) -> None:
    """Start F from weights that were trained on something else.

    Args:
        model: its backbone gets the weights.
        source: a `.pth` or `.safetensors` of a classifier or detector with this backbone: of
            torchvision (ResNet, MobileNetV3, Mask R-CNN), or YOLOX; or "coco-maskrcnn", which
            lets torchvision download the paper's.

    Raises:
        FaimError: no such file, or no such backbone in it; the download fails.
    """
    state = _mask_rcnn(model.config) if source == MASK_RCNN else _read_state(Path(source))
    own = model.backbone.net.state_dict()
    # Statistics of batch norm need no counter, which some networks leave out.
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    for prefix in _PREFIXES:
        found = {name: state[prefix + name] for name in needed if prefix + name in state}
        if len(found) == len(needed):
            counters = {name: own[name] for name in own.keys() - needed}
            load_weights(model.backbone.net, found | counters, source)
            return
    raise FaimError(
        f"{source}: no weights of a {model.config.backbone} in it; expected a checkpoint that has "
        "it as its backbone"
    )


def _read_state(path: Path) -> StateDict:
    check_is_there(path)
    state = read_safetensors(path)[1] if path.suffix == ".safetensors" else read_pth(path)
    if state is None:
        raise FaimError(f"{path}: no state dict in it; expected a checkpoint of tensors")
    check_finite(state, path)
    return state


def _mask_rcnn(config: BoxVosConfig) -> StateDict:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    if config.backbone != "resnet50":
        raise FaimError(f"{MASK_RCNN}: a resnet50; expected that backbone, not {config.backbone}")
    try:
        return dict(MaskRCNN_ResNet50_FPN_Weights.COCO_V1.get_state_dict(progress=True))
    except (OSError, RuntimeError) as error:
        raise FaimError(
            f"{MASK_RCNN}: cannot be downloaded ({error}); expected internet, or a path to "
            f"{MaskRCNN_ResNet50_FPN_Weights.COCO_V1.url}"
        ) from error


def freeze(part: nn.Module) -> None:
    """Leave a part's weights as they are."""
    for parameter in part.parameters():
        parameter.requires_grad_(False)
