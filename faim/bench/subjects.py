"""What is timed: weights or a variant's name, and a video."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from loguru import logger

from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import PARTS, YOLOX_SCALES, FaimConfig
from faim.families.yolox.faim import build_model
from faim.weights.known import KNOWN

_NAME = re.compile(rf"({'|'.join(PARTS)})_({'|'.join(YOLOX_SCALES)})")
#: ImageNet VID's number of classes, which the published models have.
CLASSES = 30
SEED = 0


def checkpoint_of(weights: str, folder: Path, num_proposals: int | None = None) -> Path:
    """`weights` itself, or random weights of the variant that it names, written to `folder`.

    Args:
        weights: path, or "faim_s", "yolov_s", "yolox_nano" ...
        folder: where random weights go.
        num_proposals: n of the random weights; 30 by default.
    """
    match = _NAME.fullmatch(weights)
    if match is None or Path(weights).exists():
        return Path(weights)
    if weights in KNOWN:
        logger.info(
            "{}: timed with random weights; for the public ones give the path that `faim weights "
            "{}` prints",
            weights,
            weights,
        )
    architecture, variant = match.groups()
    small = variant in ("nano", "tiny")
    config = FaimConfig(
        variant=variant,  # type: ignore[arg-type]
        class_names=tuple(f"class {index}" for index in range(CLASSES)),
        architecture=architecture,  # type: ignore[arg-type]
        test_size=(416, 416) if small else (576, 576),
    )
    if num_proposals is not None:
        config = replace(config, num_proposals=num_proposals)
    torch.manual_seed(SEED)
    path = folder / f"{weights}-{config.num_proposals}.safetensors"
    save_checkpoint(path, build_model(config))
    return path


def write_clip(path: Path, frames: int, size: tuple[int, int] = (480, 854)) -> Path:
    """An H.264 video of textured patches that move over a textured background.

    Its bit rate is that of an ordinary video, which pure noise or flat colours would not have.
    """
    height, width = size
    generator = np.random.default_rng(SEED)

    def texture(high: int, wide: int) -> np.ndarray:
        coarse = generator.integers(0, 256, (high // 16 + 2, wide // 16 + 2, 3), dtype=np.uint8)
        return cv2.resize(coarse, (wide, high), interpolation=cv2.INTER_CUBIC)

    background = texture(height, width + 4 * frames)
    patches = [texture(120, 160) for _ in range(4)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(frames):
            image = background[:, 2 * index : 2 * index + width].copy()
            for place, patch in enumerate(patches):
                x = (97 * place + (5 + place) * index) % (width - 160)
                y = (61 * place + (3 + place) * index) % (height - 120)
                image[y : y + 120, x : x + 160] = patch
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path
