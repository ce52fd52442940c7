"""The contract between a family of detectors and the rest of the house."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from faim.errors import FaimError
from faim.structures import ScoredBoxes, TensorRecord


@dataclass(frozen=True)
class Traits:
    """What the rest of the house must know of a detector.

    Attributes:
        family: name of its family.
        title: what people call it, such as "FAIM-s".
        class_names: names in the order of the class ids.
        size: height and width of the network input that it was made for; multiples of 32.
        frames: frames that it looks at together in global mode; a stream looks back at one less.
        least_score: boxes below it are dropped, in [0, 1].
        iou: of its last NMS, in [0, 1].
        joins: how it joins frames: "ticam", "affinity", "none" …
        links: whether post-processing links its frames where it is left to "auto".
        more_than_base: whether `look` computes more than a base detector, which `aggregate="none"`
            opens alone.
        fixed_bank: whether `step` wants a bank of one size from the first entry on, with entries in
            it that are not valid. A graph prepares itself for every shape that it meets.
        runs_on: what runs the networks, and in which precision, as in "openvino bf16".
        details: its other numbers that a report of an evaluation names, by name.
    """

    family: str
    title: str
    class_names: tuple[str, ...]
    size: tuple[int, int]
    frames: int
    least_score: float = 0.001
    iou: float = 0.5
    joins: str = "none"
    links: bool = False
    more_than_base: bool = False
    fixed_bank: bool = False
    runs_on: str = "torch"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Kept:
    """Which of a frame's boxes a detector gives out, where it is not its own choice.

    Attributes:
        least_score: scores below it are dropped, in [0, 1].
        iou: of the last NMS, in [0, 1].
    """

    least_score: float
    iou: float

    @classmethod
    def of(cls, traits: Traits) -> Kept:
        """The detector's own choice."""
        return cls(traits.least_score, traits.iou)


@dataclass(frozen=True)
class Tuning:
    """What a person may set of a detector that is open already; None leaves it.

    Attributes:
        size: height and width of the network input.
        proposals: boxes of a frame that are described and compared with those of others.
        proposal_nms: IoU of the NMS that selects them, in [0, 1].
        least_nms: IoU up to which they may overlap at least, in [0, 1].
    """

    size: tuple[int, int] | None = None
    proposals: int | None = None
    proposal_nms: float | None = None
    least_nms: float | None = None


#: Makes a context of a part's name, such as that of a clock that times it.
Timing = Callable[[str], AbstractContextManager[Any]]


def untimed(name: str) -> AbstractContextManager[Any]:
    """A context that does nothing."""
    return nullcontext(name)


@dataclass(frozen=True)
class BoxFeatures(TensorRecord):
    """What a detector tells its boxes apart by, for pictures of it; with a leading m, of m frames.

    Attributes:
        boxes: (n, 4) float, network-input pixels.
        valid: (n,) bool, False on padding.
        before: (n, D) float, of each frame alone.
        after: (n, E) float, what the classes are decided by; E is 0 where frames are not joined.
    """

    boxes: Tensor
    valid: Tensor
    before: Tensor
    after: Tensor


class VideoDetector(Protocol):
    """A detector of any family; it holds no state of any video.

    What it makes of a frame alone, `Seen` in the sentences here, is a `TensorRecord` of the
    family's own, and so is the entry that a frame leaves in a stream's bank. The same `Seen` serves
    the detector, its `alone` and its `linked`.

    Boxes that come out are in pixels of the network input, on the device of what went in. NMS
    belongs to the detector. A class that inherits from this one has to define `traits`, `look`,
    `decide` and `step`; the rest has a default.
    """

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """What the rest of the house must know of it."""
        ...

    @property
    def device(self) -> torch.device:
        """Where images go."""
        return torch.device("cpu")

    @abstractmethod
    def look(self, images: Tensor) -> TensorRecord:
        """What each frame alone offers; computed once a frame, never again.

        Args:
            images: (B, 3, H, W) uint8 or float, BGR in [0, 255]; H and W multiples of 32.

        Returns:
            Leading dimension B.
        """
        ...

    @abstractmethod
    def decide(self, seen: TensorRecord, kept: Kept | None = None) -> list[ScoredBoxes]:
        """All of m frames of one video together.

        Args:
            seen: leading dimension m.
            kept: which boxes are given out; the detector's own choice by default.

        Returns:
            m results.
        """
        ...

    @abstractmethod
    def step(
        self, key: TensorRecord, bank: TensorRecord | None, kept: Kept | None = None
    ) -> tuple[ScoredBoxes, TensorRecord]:
        """One frame of a stream.

        Args:
            key: what it offers, without leading dimension.
            bank: entries of frames before it, stacked, in any order; None where there are none.
            kept: see `decide`.

        Returns:
            Its boxes, and its own entry for the bank.
        """
        ...

    def alone(self) -> VideoDetector:
        """The same detector leaving each frame to itself: frame mode."""
        return self

    def linked(self) -> VideoDetector:
        """The same detector as it is best before post-processing that links frames."""
        return self

    def tune(self, tuning: Tuning) -> None:
        """Set what can be set; FaimError for what it has not, or is fixed in its files."""
        for name in ("proposals", "proposal_nms"):
            if getattr(tuning, name) is not None:
                raise FaimError(
                    f"--{name.replace('_', '-')}: given for {self.traits.title}, which selects no "
                    "proposals; expected another detector"
                )

    def timed(self, timing: Timing) -> VideoDetector:
        """The same detector, whose parts are within `timing` of their names while they compute.

        Parts that a family tells apart are called as it likes; of most there are "frame", what a
        base detector alone computes, "describe", what comes on top of it in `look`, and
        "aggregate", what joins frames.
        """
        return self

    def fingerprint(self) -> str:
        """A checksum of its weights; empty where there is nothing to tell by."""
        return ""

    def features(self, seen: TensorRecord) -> BoxFeatures | None:
        """What it tells the boxes of m frames apart by; None where it cannot say."""
        return None
