"""What the tests of the networks that boxes tell what to cut out share."""

from collections.abc import Sequence

import numpy as np
import torch

from faim.masks.protocol import ArrayFrames, MaskMethod
from faim.pictures.image import Mask

#: Height and width of the frames.
SIZE = (48, 96)
BOXES = np.array(
    [[3, 6, 33, 45], [50, 3, 90, 21], [0, 0, 96, 48], [12.5, 7.25, 20, 30], [60, 30, 95, 47.0]]
)


def noise(count: int, size: tuple[int, int] = SIZE) -> ArrayFrames:
    generator = np.random.default_rng(0)
    return ArrayFrames([generator.integers(0, 256, (*size, 3), np.uint8) for _ in range(count)])


def blue_frame() -> np.ndarray:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 0] = 200
    return image


def stir(network: torch.nn.Module) -> torch.nn.Module:
    """Random weights with which the masks of noise have some pixels, but not all."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    return network.eval()


def masks_of(
    method: MaskMethod,
    frames: ArrayFrames,
    boxes: Sequence[np.ndarray],
    ids: Sequence[Sequence[int]] | None = None,
) -> dict[tuple[int, int], Mask]:
    """By frame and number of the box; ids unknown unless given."""
    known = ids or [[-1] * len(here) for here in boxes]
    made = list(method.generate(frames, boxes, [np.array(here, np.int64) for here in known]))
    found = {(one.frame, one.index): one.mask for one in made}
    assert len(found) == len(made) == sum(map(len, boxes))
    return found
