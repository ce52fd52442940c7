"""What makes a frame hard: the plan of degraded runs, and blur, darkness and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
Severity = Literal["easy", "hard"]
CLEAR = "clear"
KINDS = ("motion_blur", "defocus", "low_light", "occlusion", "pose")
RUN_LENGTH = (3, 8)


@dataclass(frozen=True)
class Strength:
    """How far each degradation goes; ranges are drawn from once a run.

    Attributes:
        share: share of the frames that lie in degraded runs.
        blur_length: path of a moving point during the exposure, 256ths of the frame's side.
        blur_softness: standard deviation of the softening across that path, same unit.
        defocus_radius: radius of the circle of confusion, same unit.
        gain: brightness left in low light.
        noise: standard deviation of the noise in low light, grey levels.
        smear: standard deviation of the camera's noise filter, 256ths of the frame's side.
        coverage: share of the object behind the occluder.
        squash: length left of the foreshortened axis.
    """

    share: float
    blur_length: tuple[float, float]
    blur_softness: float
    defocus_radius: tuple[float, float]
    gain: tuple[float, float]
    noise: tuple[float, float]
    smear: float
    coverage: tuple[float, float]
    squash: tuple[float, float]


STRENGTHS: dict[Severity, Strength] = {
    "easy": Strength(
        0.15, (4, 6), 0.3, (1.2, 1.8), (0.4, 0.55), (4, 6), 0.5, (0.4, 0.5), (0.6, 0.75)
    ),
    "hard": Strength(
        0.60, (19, 29), 2.5, (6.5, 9.5), (0.26, 0.40), (7.0, 10.0), 2.4, (0.55, 0.78), (0.24, 0.34)
    ),
}


@dataclass(frozen=True)
class Run:
    """Consecutive frames of one degradation.

    Attributes:
        start: first frame.
        stop: one past the last frame.
        kind: one of `KINDS`.
        level: in [0, 1], where in the ranges of `Strength` this run lies; 1 is the hardest.
    """

    start: int
    stop: int
    kind: str
    level: float


def _run_lengths(frames: int, share: float, rng: np.random.Generator) -> list[int]:
    """Lengths of the degraded runs of a video, together about `share` of its frames."""
    shortest, longest = RUN_LENGTH
    clear_least = max(2, -(-frames // 5))
    wanted = share * frames
    # A share below one run's length becomes the chance of such a run.
    if wanted < shortest:
        wanted = shortest if rng.random() < wanted / shortest else 0
    left = min(int(wanted + rng.random()), frames - clear_least)
    lengths: list[int] = []
    while left >= shortest:
        length = min(int(rng.integers(shortest, longest + 1)), left)
        # A remainder too short for a run of its own joins this one.
        if left - length < shortest and left <= longest:
            length = left
        lengths.append(length)
        left -= length
    return lengths


def plan_runs(frames: int, share: float, rng: np.random.Generator) -> tuple[Run, ...]:
    """Spread degraded runs of 3 to 8 frames over a video.

    Args:
        frames: length of the video.
        share: expected share of degraded frames, at most 0.6.
        rng: draws lengths, kinds and places.

    Returns:
        Runs in order, with at least one clear frame between two. At least a fifth of the frames
        (and two of them) stay clear, so a video of fewer than five frames has no run.
    """
    lengths = _run_lengths(frames, share, rng)
    if not lengths:
        return ()
    between_runs = len(lengths) - 1
    spare = frames - sum(lengths) - between_runs
    cuts = np.sort(rng.integers(0, spare + 1, len(lengths)))
    rounds = len(lengths) // len(KINDS) + 1
    kinds = [KINDS[i] for _ in range(rounds) for i in rng.permutation(len(KINDS))]
    runs, used = [], 0
    for i, (cut, length) in enumerate(zip(cuts.tolist(), lengths, strict=True)):
        start = cut + used + i
        runs.append(Run(start, start + length, kinds[i], float(rng.random())))
        used += length
    return tuple(runs)


def between(limits: tuple[float, float], level: float) -> float:
    """The value at `level` of the way from the first limit to the second."""
    return limits[0] + (limits[1] - limits[0]) * level


def motion_kernel(direction: float, length: float, softness: float) -> FloatImage:
    """A normalised line of `length` pixels at angle `direction` (radians), centred and softened."""
    radius = int(np.ceil(length / 2 + 2.5 * softness)) + 1
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    along = x * np.cos(direction) + y * np.sin(direction)
    across = -x * np.sin(direction) + y * np.cos(direction)
    beyond = np.maximum(np.abs(along) - length / 2, 0)
    kernel = np.exp(-(across**2 + beyond**2) / (2 * max(softness, 0.5) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def disk_kernel(radius: float) -> FloatImage:
    """A normalised disk with soft edges: the circle of confusion of a lens out of focus."""
    reach = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float32)


class Sensor:
    """The camera behind the lens: defocus, light and noise of a whole frame."""

    _MARGIN = 64

    def __init__(self, size: int, strength: Strength, rng: np.random.Generator) -> None:
        """Draw the noise once; the frames see shifted windows of it.

        Args:
            size: side of the frames, pixels.
            strength: ranges of the degradations.
            rng: source of the noise and of the windows.
        """
        self.size, self.strength, self.unit = size, strength, size / 256
        side = size + self._MARGIN
        self._fine = rng.standard_normal((side, side, 3), dtype=np.float32)
        # Noise as coarse as the textures hides them better than white noise of its strength.
        coarse = cv2.GaussianBlur(self._fine, (0, 0), 2.0 * self.unit)
        # Mostly grey: colour noise alone would hide the objects themselves.
        coarse = coarse + 2 * coarse.mean(axis=2, keepdims=True)
        self._coarse = np.asarray(coarse / coarse.std(), np.float32)
        self._rng = rng

    def _window(self, noise: FloatImage) -> FloatImage:
        top, left = self._rng.integers(0, self._MARGIN + 1, 2)
        return noise[top : top + self.size, left : left + self.size]

    def expose(self, frame: FloatImage, run: Run | None) -> npt.NDArray[np.uint8]:
        """Record a frame: (H, W, 3) float32 in [0, 255] to uint8, degraded as `run` says."""
        limits = self.strength
        if run is not None and run.kind == "defocus":
            radius = between(limits.defocus_radius, run.level) * self.unit
            frame = cv2.filter2D(frame, -1, disk_kernel(radius), borderType=cv2.BORDER_REFLECT_101)
            frame = cv2.GaussianBlur(frame, (0, 0), 0.25 * radius)
        if run is not None and run.kind == "low_light":
            gain = between(limits.gain, 1 - run.level)
            noise = np.float32(between(limits.noise, run.level))
            frame = cv2.GaussianBlur(frame, (0, 0), limits.smear * self.unit) * np.float32(gain)
            grain = self._window(self._coarse) + np.float32(0.5) * self._window(self._fine)
            frame = np.asarray(frame + noise * grain, np.float32)
        exposed = frame + np.float32(1.5) * self._window(self._fine)
        return np.clip(exposed + 0.5, 0, 255).astype(np.uint8)
