"""Random weights of named sizes, for what does not depend on what they know."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import PARTS, YOLOX_SCALES, FaimConfig
from faim.families.yolox.faim import build_model

_NAME = re.compile(rf"({'|'.join(PARTS)})_({'|'.join(YOLOX_SCALES)})")
#: ImageNet VID's number of classes, which the published models have.
CLASSES = 30
SEED = 0


def write_random(name: str, folder: Path, num_proposals: int | None = None) -> Path | None:
    """Random weights of the variant that a name stands for; None where it stands for none.

    Args:
        name: "faim_s", "yolov_s", "yolox_nano" ...
        folder: where the checkpoint goes.
        num_proposals: n of the random weights; 30 by default.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    architecture, variant = match.groups()
    small = variant in ("nano", "tiny")
    config = FaimConfig(
        variant=variant,  # type: ignore[arg-type]
        class_names=tuple(f"class {index}" for index in range(CLASSES)),
        architecture=architecture,  # type: ignore[arg-type]
        test_size=(416, 416) if small else (576, 576),
        num_proposals=num_proposals or 30,
    )
    torch.manual_seed(SEED)
    path = folder / f"{name}-{config.num_proposals}.safetensors"
    save_checkpoint(path, build_model(config))
    return path
