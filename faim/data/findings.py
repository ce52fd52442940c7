"""What is wrong with a CocoVID file: everything, counted by kind, not the first thing alone.

`CocoVid` refuses a file at its first mistake. Here the walk goes on after one, and what is sound is
kept, so that it can be counted and looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from faim.data.contents import Listener, read_contents
from faim.data.records import Annotation, FrameRecord, VideoRecord, check_mask
from faim.data.rules import Entry, EntryError
from faim.errors import FaimError
from faim.reading import read_json


@dataclass
class Findings:
    """Counts by kind, each with its first example.

    Attributes:
        errors: what `CocoVid` or a training refuses.
        notes: what is allowed, and worth knowing.
        examples: where a kind was seen first.
    """

    errors: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def error(self, kind: str, where: str) -> None:
        """Count one mistake."""
        self.errors[kind] = self.errors.get(kind, 0) + 1
        self.examples.setdefault(kind, where)

    def note(self, kind: str, where: str) -> None:
        """Count one oddity."""
        self.notes[kind] = self.notes.get(kind, 0) + 1
        self.examples.setdefault(kind, where)


@dataclass(frozen=True)
class Examined:
    """The sound part of a file, as `CocoVid` would give it, and what was found.

    Attributes:
        classes: names in the order of their ids.
        videos: with frames, in the file's order.
        crowds: annotations of groups, which are no boxes of objects.
        findings: all mistakes and oddities.
    """

    classes: tuple[str, ...]
    videos: tuple[VideoRecord, ...]
    crowds: int
    findings: Findings

    @property
    def frames(self) -> list[FrameRecord]:
        """All frames, video by video, in temporal order."""
        return [frame for video in self.videos for frame in video.frames]


def examine(annotation_file: Path, image_root: Path | None = None) -> Examined:
    """Judge every entry of a CocoVID (or plain COCO) file.

    Args:
        annotation_file: the JSON file.
        image_root: where relative `file_name`s start; by default the JSON file's folder.

    Raises:
        FaimError: the file is missing, is not JSON, or one of `images`, `annotations` and
            `categories` is no list.
    """
    content, counter = read_json(annotation_file), _Counter()
    try:
        found = read_contents(content, image_root or annotation_file.parent, counter)
    except EntryError as error:
        raise FaimError(f"{annotation_file}: {error}") from error
    if not content["images"]:
        counter.findings.error("no images", f"{annotation_file}: `images` is an empty list")
    for video in found.videos:
        _note_tracks(video, counter.findings)
    classes = tuple(found.categories.values())
    return Examined(classes, found.videos, found.crowds, counter.findings)


class _Counter(Listener):
    """Counts instead of stopping, and looks at the masks."""

    def __init__(self) -> None:
        self.findings = Findings()

    def mistake(self, found: EntryError) -> None:
        self.findings.error(found.kind, str(found))

    def note(self, kind: str, where: str) -> None:
        self.findings.note(kind, where)

    def annotation(self, number: int, annotation: Annotation, image: Entry) -> None:
        if annotation.segmentation is None:
            return
        try:
            runs = check_mask(annotation, image["height"], image["width"])
        except FaimError as error:
            self.findings.error("damaged mask", f"annotation {number}: {error}")
            return
        if not isinstance(runs, list) and not runs[1::2].any():
            self.findings.note("mask without a pixel", f"annotation {number}")


def _note_tracks(video: VideoRecord, findings: Findings) -> None:
    """One object is in a frame once, and keeps its class."""
    classes: dict[int, int] = {}
    for frame in video.frames:
        here: set[int] = set()
        for annotation in frame.annotations:
            track = annotation.instance_id
            if track < 0:
                continue
            where = f"track {track}, video {video.name}, frame {frame.frame_id}"
            if track in here:
                findings.note("track twice in a frame", where)
            if classes.setdefault(track, annotation.category_id) != annotation.category_id:
                findings.note("track changes its class", where)
            here.add(track)
