"""What is timed: weights or a variant's name, and a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from loguru import logger

from faim.registry import families, resolve
from faim.weights.known import KNOWN

#: Of the generated video.
SEED = 0


def checkpoint_of(weights: str, folder: Path, num_proposals: int | None = None) -> Path:
    """`weights` itself, or random weights of the variant that it names, written to `folder`.

    Args:
        weights: path, or "faim_s", "yolov_s", "yolox_nano" ...
        folder: where random weights go.
        num_proposals: n of the random weights; the family's usual number by default.
    """
    if Path(weights).exists():
        return Path(weights)
    for family in families():
        if family.random_weights is None:
            continue
        path: Path | None = resolve(family.random_weights)(weights, folder, num_proposals)
        if path is not None:
            if weights in KNOWN:
                logger.info(
                    "{}: timed with random weights; for the public ones give the path that `faim "
                    "weights {}` prints",
                    weights,
                    weights,
                )
            return path
    return Path(weights)


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
