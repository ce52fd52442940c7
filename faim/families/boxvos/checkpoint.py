"""Checkpoints of the box-to-mask network."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from faim.errors import FaimError
from faim.families.boxvos.config import BoxVosConfig
from faim.families.boxvos.network import BoxVos
from faim.files import check_writable, write_tensors
from faim.reading import parse_json, shown
from faim.state_dicts import (
    Shapes,
    check_finite,
    check_is_there,
    check_shapes,
    load_weights,
    read_safetensors,
    shapes_of,
)
from faim.typed import check_values

FORMAT = "faim box-to-mask"


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

    def check(metadata: dict[str, str], shapes: Shapes) -> None:
        with torch.device("meta"):  # without the memory for it
            own = shapes_of(BoxVos(_config(path, metadata)).state_dict())
        check_shapes(shapes, own, path, "the model of its config")

    metadata, state = read_safetensors(path, check)
    check_finite(state, path)
    model = BoxVos(_config(path, metadata))
    load_weights(model, state, path)
    return model.eval().to(device)


def _config(path: Path, metadata: dict[str, str]) -> BoxVosConfig:
    if metadata.get("format") != FORMAT:
        raise FaimError(
            f"{path}: a checkpoint of {shown(metadata.get('format', 'something else'))}; expected "
            "one of exps/boxvos_r50.py or its like"
        )
    try:
        values = parse_json(metadata.get("config", ""), "config", "BoxVosConfig's values")
        return BoxVosConfig(**check_values(values, BoxVosConfig))
    except (TypeError, ValueError, AttributeError) as error:
        raise FaimError(f"{path}: a damaged config ({error}); expected BoxVosConfig's") from error
    except FaimError as error:
        raise FaimError(f"{path}: {error}") from error
