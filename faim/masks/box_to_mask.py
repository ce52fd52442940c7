"""`video`: the box-to-mask network on windows of frames of each track."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from faim.devices import resolve_device
from faim.errors import FaimError
from faim.families.boxvos.checkpoint import load_box_vos
from faim.families.boxvos.inference import TrackOptions, segment_track
from faim.families.boxvos.network import BoxVos
from faim.masks.protocol import Boxes, Frames, ObjectMask, TrackIds
from faim.masks.weight_files import identity

#: Where a box is: its frame, and which of the frame's.
Place = tuple[int, int]


@dataclass
class VideoMasks:
    """The spatio-temporal method; whatever is None is the checkpoint's own.

    Each track is looked at by itself, and its result does not depend on the others. A box without
    track is a track of one frame.

    Attributes:
        checkpoint: weights of `exps/boxvos_*.py`.
        frames: T, frames of a track that are looked at together.
        interval: Δ, frames of the track from one of these to the next; 15 in general, 5 for fast
            motion.
        crop: side of the crop over that of the box.
        iterations: steps of the descent in each pass.
        device: auto, cpu, cuda …
        batch: frames that are encoded at once; as more take more memory.

    Raises:
        FaimError: a value out of its range.
    """

    checkpoint: str
    frames: int | None = None
    interval: int | None = None
    crop: float | None = None
    iterations: int | None = None
    device: str = "auto"
    batch: int = 4

    name: ClassVar[str] = "video"
    version: ClassVar[int] = 1
    needs_frames: ClassVar[bool] = True
    parallel: ClassVar[bool] = False
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Validate."""
        for field in ("frames", "interval", "crop", "iterations", "batch"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise FaimError(f"method video: {field} is {value}; expected at least 1")

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What decides the result; of the checkpoint, its name and what is in it."""
        options = self._options
        return {
            **identity(self.checkpoint),
            "frames": options.frames,
            "interval": options.interval,
            "crop": options.crop,
            "iterations": options.iterations,
        }

    @cached_property
    def _model(self) -> BoxVos:
        return load_box_vos(Path(self.checkpoint), resolve_device(self.device))

    @property
    def _options(self) -> TrackOptions:
        config = self._model.config
        return TrackOptions(
            self.frames or config.frames,
            self.interval or config.interval,
            self.crop or config.crop_factor,
            self.iterations or config.test_iterations,
            self.batch,
        )

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: another process loads the network itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_model"}

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """See `MaskMethod`; track by track."""
        for places in tracks(track_ids):

            def read(position: int, places: list[Place] = places) -> Any:
                return frames[places[position][0]]

            own = [tuple(boxes[frame][index].tolist()) for frame, index in places]
            for position, mask in segment_track(self._model, read, own, self._options):
                yield ObjectMask(*places[position], mask)


def tracks(track_ids: Sequence[TrackIds]) -> list[list[Place]]:
    """The boxes of each object in the order of its frames.

    A box without track, and a second one of the same number in a frame, are by themselves.
    """
    named: dict[int, list[Place]] = {}
    alone: list[list[Place]] = []
    for frame, ids in enumerate(track_ids):
        for index, number in enumerate(ids.tolist()):
            known = named.get(number)
            if number < 0 or (known and known[-1][0] == frame):
                alone.append([(frame, index)])
            else:
                named.setdefault(number, []).append((frame, index))
    return [*named.values(), *alone]
