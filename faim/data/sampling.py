"""Which frames of a video are looked at together (FAIM, Sec. 4 and Table 3).

Global sampling takes frames from the whole video, local sampling from one stretch of it. All
results are sorted within a group: aggregation does not depend on the order.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from faim.errors import FaimError


def derive_seed(*numbers: int) -> int:
    """One 32-bit seed from several whole numbers (seed, epoch, index); well mixed, repeatable."""
    return int(np.random.SeedSequence(list(numbers)).generate_state(1)[0])


def global_train(num_frames: int, m: int, generator: torch.Generator) -> list[int]:
    """m frames drawn at random from the whole video, sorted.

    A video shorter than m gives every frame ⌊m / num_frames⌋ times, and a random choice of its
    frames once more.

    Raises:
        FaimError: num_frames or m below 1.
    """
    _at_least_one(num_frames=num_frames, m=m)
    rounds, rest = divmod(m, num_frames)
    chosen = list(range(num_frames)) * rounds
    chosen += torch.randperm(num_frames, generator=generator)[:rest].tolist()
    return sorted(chosen)


def local_train(
    num_frames: int, m: int, generator: torch.Generator, *, stride: int = 1
) -> list[int]:
    """m frames, `stride` apart, around a random centre; moved inside the video at its ends.

    Where m frames at this stride do not fit, the stride shrinks to the largest that fits; a video
    shorter than m gives all its frames, each repeated ⌊m / num_frames⌋ or one more times.

    Raises:
        FaimError: num_frames, m or stride below 1.
    """
    _at_least_one(num_frames=num_frames, m=m, stride=stride)
    centre = int(torch.randint(num_frames, (1,), generator=generator))
    if num_frames < m:
        return [k * num_frames // m for k in range(m)]
    step = min(stride, (num_frames - 1) // max(m - 1, 1)) if m > 1 else 1
    last_start = num_frames - 1 - step * (m - 1)
    start = min(max(centre - step * (m - 1) // 2, 0), last_start)
    return [start + step * k for k in range(m)]


def global_test(
    num_frames: int,
    m: int,
    mode: Literal["uniform", "shuffled"] = "uniform",
    generator: torch.Generator | int = 0,
) -> list[list[int]]:
    """A video's frames in G = ⌈num_frames / m⌉ groups of at most m; each frame in exactly one.

    Args:
        num_frames: frames of the video; 0 gives no groups.
        m: largest group.
        mode: "uniform": group g takes frames g, g + G, g + 2G, …; "shuffled": a random permutation
            cut into groups whose sizes differ by at most one, each sorted.
        generator: source of the permutation, or its seed; unused in uniform mode.

    Raises:
        FaimError: m below 1, or an unknown mode.
    """
    groups = _group_count(num_frames, m)
    if mode == "uniform":
        return [list(range(first, num_frames, groups)) for first in range(groups)]
    if mode != "shuffled":
        raise FaimError(f"frame sampling mode is {mode!r}; expected uniform or shuffled")
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    return [
        sorted(part.tolist())
        for part in _cut(torch.randperm(num_frames, generator=generator), groups)
    ]


def local_test(num_frames: int, m: int) -> list[list[int]]:
    """A video's frames in ⌈num_frames / m⌉ consecutive groups, sizes differing by at most one.

    Raises:
        FaimError: m below 1.
    """
    return [part.tolist() for part in _cut(torch.arange(num_frames), _group_count(num_frames, m))]


def _group_count(num_frames: int, m: int) -> int:
    _at_least_one(m=m)
    return -(-num_frames // m)


def _cut(order: Tensor, groups: int) -> tuple[Tensor, ...]:
    return order.tensor_split(groups) if groups else ()


def _at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise FaimError(f"frame sampling: {name} is {value}; expected at least 1")
