"""Smooth paths of objects, occluders and the camera, as functions of the frame number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faim.data.synth.degrade import Run

Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]


def _bounce(x: Vector, low: float, high: float) -> Vector:
    """Fold the line into [low, high], as a ball between two walls moves."""
    span = high - low
    return low + span - np.abs((x - low) % (2 * span) - span)


def rotation(angle: float) -> Matrix:
    """The (2, 2) matrix that turns by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


@dataclass(frozen=True)
class Path:
    """A drift between walls with a sway on top.

    Attributes:
        start: (2,) x and y at frame 0, fractions of the frame's side (as all lengths here).
        drift: (2,) per frame.
        sway: (2,) amplitude.
        rate: (2,) radians per frame.
        phase: (2,) radians.
        walls: lowest and highest coordinate of the drift.
    """

    start: Vector
    drift: Vector
    sway: Vector
    rate: Vector
    phase: Vector
    walls: tuple[float, float] = (0.08, 0.92)

    def at(self, time: float) -> Vector:
        """(2,) x and y at a frame number, which may be fractional."""
        straight = _bounce(self.start + self.drift * time, *self.walls)
        return straight + self.sway * np.sin(self.rate * time + self.phase)

    def velocity(self, time: float) -> Vector:
        """(2,) displacement a frame."""
        return self.at(time + 0.5) - self.at(time - 0.5)


def object_path(start: Vector, rng: np.random.Generator) -> Path:
    """A path of 0.008 to 0.02 of the side a frame, and a sway of up to 0.006 a frame."""
    angle, rate = rng.uniform(0, 2 * np.pi), rng.uniform(0.12, 0.3, 2)
    drift = rng.uniform(0.008, 0.02) * np.array([np.cos(angle), np.sin(angle)])
    sway = rng.uniform(0, 0.006, 2) / rate
    return Path(start, drift, sway, rate, rng.uniform(0, 2 * np.pi, 2))


@dataclass(frozen=True)
class Camera:
    """The part of the ground the camera sees.

    Attributes:
        path: centre of the view, in frame sides from the ground's centre.
        zoom: amplitude, rate and phase of the zoom about 1.
        roll: amplitude (radians), rate and phase of the roll.
    """

    path: Path
    zoom: tuple[float, float, float]
    roll: tuple[float, float, float]

    def view(self, time: float, size: int, ground: int) -> Matrix:
        """(2, 3) affine map from frame pixels to ground pixels."""
        scale = 1 + self.zoom[0] * np.sin(self.zoom[1] * time + self.zoom[2])
        turn = scale * rotation(self.roll[0] * np.sin(self.roll[1] * time + self.roll[2]))
        centre = self.path.at(time) * size + (ground - 1) / 2
        return np.column_stack([turn, centre - turn @ np.full(2, (size - 1) / 2)])


def random_camera(rng: np.random.Generator) -> Camera:
    """A pan of 0.002 to 0.014 of the side a frame with a little zoom and roll."""
    angle, rate = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.5, 2)
    drift = rng.uniform(0.002, 0.014) * np.array([np.cos(angle), np.sin(angle)])
    path = Path(
        start=rng.uniform(-0.25, 0.25, 2),
        drift=drift,
        sway=rng.uniform(0, 0.003, 2) / rate,
        rate=rate,
        phase=rng.uniform(0, 2 * np.pi, 2),
        walls=(-0.3, 0.3),
    )
    zoom = (rng.uniform(0, 0.08), rng.uniform(0.03, 0.1), rng.uniform(0, 2 * np.pi))
    roll = (rng.uniform(0, 0.06), rng.uniform(0.03, 0.1), rng.uniform(0, 2 * np.pi))
    return Camera(path, zoom, roll)


@dataclass(frozen=True)
class PoseChange:
    """One object's unusual pose during a run.

    Attributes:
        run: the frames.
        axis: 0 or 1, the sprite axis that is foreshortened.
        squash: length left of that axis.
        shear: shear along it.
        turn: extra rotation, radians.
    """

    run: Run
    axis: int
    squash: float
    shear: float
    turn: float

    def amount(self, time: int) -> float:
        """0 far from the run, 1 inside, 0.4 in the frames just before and after."""
        if self.run.start <= time < self.run.stop:
            return 1.0
        return 0.4 if time in (self.run.start - 1, self.run.stop) else 0.0


@dataclass(frozen=True)
class Attitude:
    """How an object turns, grows and tilts.

    Attributes:
        angle: rotation at frame 0, radians.
        spin: radians per frame.
        growth: amplitude, rate and phase of the scale about 1.
        changes: the object's unusual poses.
    """

    angle: float
    spin: float
    growth: tuple[float, float, float]
    changes: tuple[PoseChange, ...]

    def at(self, time: int) -> tuple[Matrix, tuple[float, float]]:
        """The (2, 2) map of the sprite at scale 1, and the length left of its two axes."""
        scale = 1 + self.growth[0] * np.sin(self.growth[1] * time + self.growth[2])
        squash, shear, turn = [1.0, 1.0], np.eye(2), self.angle + self.spin * time
        for change in self.changes:
            amount = change.amount(time)
            squash[change.axis] *= 1 - (1 - change.squash) * amount
            shear[0, 1] += change.shear * amount
            turn += change.turn * amount
        matrix = scale * rotation(turn) @ shear @ np.diag(squash)
        return matrix, (squash[0], squash[1])


def random_attitude(changes: tuple[PoseChange, ...], rng: np.random.Generator) -> Attitude:
    """Up to 0.06 radians of spin a frame, and a scale within 12 % of 1."""
    growth = (rng.uniform(0, 0.12), rng.uniform(0.04, 0.15), rng.uniform(0, 2 * np.pi))
    return Attitude(rng.uniform(0, 2 * np.pi), rng.uniform(-0.06, 0.06), growth, changes)
