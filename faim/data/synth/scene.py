"""One video: its objects, its camera, and how a frame of it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from faim.data.synth.background import draw_background
from faim.data.synth.cast import Cast, Edition, cast_of
from faim.data.synth.degrade import (
    CLEAR,
    STRENGTHS,
    Run,
    Sensor,
    Severity,
    between,
    motion_kernel,
    plan_runs,
)
from faim.data.synth.motion import (
    Attitude,
    Camera,
    Path,
    PoseChange,
    Vector,
    object_path,
    random_attitude,
    random_camera,
)
from faim.data.synth.sprites import (
    SUPERSAMPLE,
    BoolMask,
    Sprite,
    draw_object,
    draw_occluder,
    paint,
    palettes,
)
from faim.data.synth.textures import CLASS_NAMES

#: Side of the ground the camera pans over, in frame sides.
GROUND = 1.9


@dataclass(frozen=True)
class Occluder:
    """A cut-out that stays in front of an object during a run, and slides in and out.

    Attributes:
        sprite: its looks.
        run: the frames it covers the object.
        offset: (2,) pixels from the object's centre while it covers.
        drift: (2,) pixels a frame relative to the object.
        exit_step: (2,) pixels it moves away in each frame before and after the run.
    """

    sprite: Sprite
    run: Run
    offset: Vector
    drift: Vector
    exit_step: Vector

    def shift(self, time: int) -> Vector | None:
        """(2,) pixels from the object's centre, or None while out of sight."""
        outside = max(self.run.start - time, time - self.run.stop + 1, 0)
        if outside > 3:
            return None
        middle = (self.run.start + self.run.stop - 1) / 2
        return self.offset + self.drift * (time - middle) + self.exit_step * outside


@dataclass(frozen=True)
class Actor:
    """An object of a class with everything that happens to it.

    Attributes:
        category: index into `CLASS_NAMES`.
        sprite: its looks.
        path: where it is.
        attitude: how it is turned.
        occluders: what hides it, and when.
    """

    category: int
    sprite: Sprite
    path: Path
    attitude: Attitude
    occluders: tuple[Occluder, ...]


@dataclass(frozen=True)
class DrawnFrame:
    """A frame and its ground truth.

    Attributes:
        image: (H, W, 3) uint8 BGR.
        degradation: "clear" or one of `KINDS`.
        masks: for each actor (H, W) bool, its visible pixels.
        visibility: for each actor the visible share of its area, in [0, 1].
    """

    image: npt.NDArray[np.uint8]
    degradation: str
    masks: list[BoolMask]
    visibility: list[float]


class Scene:
    """A video that can be drawn frame by frame; its content depends on the arguments alone."""

    def __init__(
        self,
        frames: int,
        size: int,
        classes: int,
        severity: Severity,
        rng: np.random.Generator,
        edition: Edition = 1,
    ) -> None:
        """Draw everything that stays the same through the video.

        Args:
            frames: length of the video.
            size: side of the square frames, pixels.
            classes: number of classes to choose from, 1 to 8.
            severity: strength and share of the degradations.
            rng: source of everything in it.
            edition: see `faim.data.synth.cast`.
        """
        self.frames, self.size, self.unit = frames, size, size / 256
        self.strength = STRENGTHS[severity]
        self._rng = rng
        self.runs = plan_runs(frames, self.strength.share, rng)
        self.camera: Camera = random_camera(rng)
        self._ground = draw_background(round(GROUND * size), self.unit, rng)
        self.actors = self._actors(cast_of(edition), classes, severity)
        self._sensor = Sensor(size, self.strength, rng)

    def _actors(self, cast: Cast, classes: int, severity: Severity) -> list[Actor]:
        rng = self._rng
        categories = cast.categories(classes, severity, rng)
        count = len(categories)
        paths = [object_path(start, rng) for start in self._starts(count, cast.draws)]
        actors = []
        for category, palette, path in zip(categories, palettes(count, rng), paths, strict=True):
            part = cast.part(category, count, rng)
            name, extent = CLASS_NAMES[category], part.extent * self.size
            sprite = draw_object(name, extent, self.unit, palette, rng, part.grain)
            attitude = random_attitude(self._pose_changes(), rng)
            occluders = tuple(
                self._occluder(sprite, run, _outwards(path, paths, run))
                for run in self.runs
                if run.kind == "occlusion"
            )
            actors.append(Actor(category, sprite, path, attitude, occluders))
        return actors

    def _starts(self, count: int, tries: int) -> list[Vector]:
        """(2,) places at frame 0, the best spread of so many drawings."""
        draws = self._rng.uniform(0.18, 0.82, (tries, count, 2))
        gaps = np.linalg.norm(draws[:, :, None] - draws[:, None], axis=-1) + 9 * np.eye(count)
        return list(draws[int(gaps.min(axis=(1, 2)).argmax())])

    def _pose_changes(self) -> tuple[PoseChange, ...]:
        rng = self._rng
        return tuple(
            PoseChange(
                run=run,
                axis=int(rng.integers(2)),
                squash=between(self.strength.squash, 1 - run.level),
                shear=rng.uniform(-0.5, 0.5),
                turn=rng.uniform(-0.8, 0.8),
            )
            for run in self.runs
            if run.kind == "pose"
        )

    def _occluder(self, target: Sprite, run: Run, outwards: float) -> Occluder:
        """Leaves over all of the object, or a solid piece over a part of it.

        It comes from about the angle `outwards` (radians) and leaves that way.
        """
        rng = self._rng
        coverage = between(self.strength.coverage, run.level)
        foliage = bool(rng.random() < 0.65)
        extent = target.extent * (1.9 if foliage else 1.25)
        sprite = draw_occluder(extent, self.unit, coverage, foliage, rng)
        angle = outwards + rng.uniform(-0.6, 0.6)
        away = np.array([np.cos(angle), np.sin(angle)])
        side = np.array([-away[1], away[0]])
        offset = np.zeros(2) if foliage else away * _distance(target, sprite, away, coverage)
        drift = side * rng.uniform(-0.02, 0.02) * target.extent
        reach = 0.5 * (extent + target.extent) - float(np.linalg.norm(offset))
        return Occluder(sprite, run, offset, drift, away * max(0.75 * reach, 0.08 * self.size))

    def draw(self) -> Iterator[DrawnFrame]:
        """The frames in order; the sensor noise makes a second pass differ from the first."""
        for time in range(self.frames):
            run = next((r for r in self.runs if r.start <= time < r.stop), None)
            yield self._draw_frame(time, run)

    def _draw_frame(self, time: int, run: Run | None) -> DrawnFrame:
        blurred = run if run is not None and run.kind == "motion_blur" else None
        frame = self._draw_ground(time, blurred)
        masks: list[BoolMask] = []
        areas: list[int] = []
        for actor in self.actors:
            centre = actor.path.at(time) * self.size
            matrix, squash = actor.attitude.at(time)
            kernel = self._blur_kernel(actor.path.velocity(time), blurred)
            mask, area = paint(frame, actor.sprite, matrix, centre, squash, kernel)
            for behind in masks:
                behind &= ~mask
            masks.append(mask)
            areas.append(area)
        for actor in self.actors:
            for occluder in actor.occluders:
                shift = occluder.shift(time)
                if shift is None:
                    continue
                centre = actor.path.at(time) * self.size + shift
                hidden, _ = paint(frame, occluder.sprite, np.eye(2), centre)
                for mask in masks:
                    mask &= ~hidden
        visibility = [
            float(np.count_nonzero(mask)) / max(area, 1)
            for mask, area in zip(masks, areas, strict=True)
        ]
        label = run.kind if run is not None else CLEAR
        return DrawnFrame(self._sensor.expose(frame, run), label, masks, visibility)

    def _draw_ground(self, time: int, run: Run | None) -> npt.NDArray[np.float32]:
        """(H, W, 3) float32: the part of the ground in view, blurred along the camera's way."""
        view = self.camera.view(time, self.size, self._ground.shape[0])
        frame = cv2.warpAffine(
            self._ground,
            view,
            (self.size, self.size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        ).astype(np.float32)
        kernel = self._blur_kernel(-self.camera.path.velocity(time), run)
        return frame if kernel is None else cv2.filter2D(frame, -1, kernel)

    def _blur_kernel(self, velocity: Vector, run: Run | None) -> npt.NDArray[np.float32] | None:
        """The streak of a point of this velocity (frame sides a frame) in a blurred run."""
        if run is None:
            return None
        # 0.014 is the mean speed; a slow object blurs less, but never so little that it is clear.
        pace = float(np.clip(np.linalg.norm(velocity) / 0.014, 0.75, 1.25))
        length = between(self.strength.blur_length, run.level) * pace * self.unit
        direction = float(np.arctan2(velocity[1], velocity[0]))
        return motion_kernel(direction, length, self.strength.blur_softness * self.unit)


def _outwards(path: Path, paths: list[Path], run: Run) -> float:
    """The angle (radians) away from the other objects and the frame's centre during a run."""
    middle = (run.start + run.stop) / 2
    others = [other.at(middle) for other in paths if other is not path]
    away = path.at(middle) - np.mean([*others, np.full(2, 0.5)], axis=0)
    return float(np.arctan2(away[1], away[0]))


def _distance(target: Sprite, cover: Sprite, away: Vector, coverage: float) -> float:
    """Frame pixels between two centres at which `cover` hides `coverage` of `target`."""
    goal = np.count_nonzero(target.alpha > 127) * coverage
    side = target.alpha.shape[0]
    middle = (side - cover.alpha.shape[0]) / 2
    low, high = 0.0, (target.extent + cover.extent) / 2
    for _ in range(7):
        distance = (low + high) / 2
        x, y = middle + away * distance * SUPERSAMPLE
        moved = cv2.warpAffine(cover.alpha, np.array([[1, 0, x], [0, 1, y]]), (side, side))
        hidden = np.count_nonzero((moved > 127) & (target.alpha > 127))
        low, high = (distance, high) if hidden > goal else (low, distance)
    return low
