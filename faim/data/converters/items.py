"""What a converter's reader hands to the builder: videos of frames of boxes, and what was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from faim.errors import FaimError
from faim.text import printable


def is_utf8(text: str) -> bool:
    """Whether a name can be written; that of a file may hold bytes that are no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Job(Protocol):
    """The work of one video; a frozen dataclass of plain values, which can be pickled.

    Its `repr` tells whether the work is the same as in an earlier run.
    """

    @property
    def key(self) -> str:
        """What names the job among all jobs of a conversion."""


@dataclass
class Problems:
    """What was wrong with a data set, counted by kind; nothing is left out silently.

    Attributes:
        strict: the first problem is an error.
        counts: problems by kind: "missing annotation", "box outside the image" …
        examples: where the first of each kind was found.
        notes: things left out on purpose, by kind, which are no problems: "other class" …
    """

    strict: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, where: str, count: int = 1) -> None:
        """Count a problem found at `where`: a file, with what was found in it.

        Args:
            kind: what it is counted as.
            where: the example, if it is the first; kept as `printable` text.
            count: how many there are like it.

        Raises:
            FaimError: if strict.
        """
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.examples.setdefault(kind, printable(where))
        if self.strict:
            self.refuse()

    def note(self, kind: str, count: int = 1) -> None:
        """Count something left out on purpose."""
        self.notes[kind] = self.notes.get(kind, 0) + count

    def merge(self, other: Problems) -> None:
        """Add what another one found, in a worker process say; its `strict` does not count."""
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.examples.setdefault(kind, other.examples[kind])
        for kind, count in other.notes.items():
            self.note(kind, count)

    def refuse(self) -> None:
        """Raise the first problem as a FaimError, if there is one."""
        for kind, where in self.examples.items():
            raise FaimError(f"{where}: {kind}; expected none with --strict")


@dataclass(frozen=True)
class Category:
    """One class; `extra` goes into its entry, as {"wordnet_id": "n02691156"} does."""

    name: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BoxItem:
    """One object in one frame.

    Attributes:
        category: index into the classes.
        xyxy: x1, y1, x2, y2 in pixels; the builder clips it to the image.
        track: the same number for the same object within the video; -1 unknown.
        segmentation: RLE of the frame's size ({"size": [h, w], "counts": …}, compressed or not).
        extra: further keys of the annotation, as {"occluded": True}.
        crowd: a group that no single box describes; readers of CocoVID leave it out.
    """

    category: int
    xyxy: tuple[float, float, float, float]
    track: int = -1
    segmentation: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    crowd: bool = False


@dataclass(frozen=True)
class FrameItem:
    """One frame.

    Attributes:
        file: the image, an absolute path.
        width: in pixels.
        height: in pixels.
        frame_id: place in time, once in a video.
        boxes: the objects.
        extra: further keys of the image, as {"is_vid_train_frame": True}.
    """

    file: Path
    width: int
    height: int
    frame_id: int
    boxes: tuple[BoxItem, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoItem:
    """One video; `extra` goes into its entry, as {"split": "S1"} does."""

    name: str
    frames: tuple[FrameItem, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)
