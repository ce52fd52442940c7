"""What is wrong with a CocoVID file: everything, counted by kind, not the first thing alone.

`CocoVid` refuses a file at its first mistake. Here each entry is judged for itself, and what is
sound is kept, so that it can be counted and looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from faim.data.coco_vid import BOX_TOLERANCE
from faim.data.records import Annotation, FrameRecord, VideoRecord, check_mask, read_json
from faim.errors import FaimError

Entry = dict[str, Any]


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
        crowds: annotations left out because they cover groups.
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
    content = read_json(annotation_file)
    return _Examiner(annotation_file, content, image_root or annotation_file.parent).run()


class _Examiner:
    def __init__(self, path: Path, content: Entry, root: Path) -> None:
        self.path, self.content, self.root = path, content, root
        self.found = Findings()
        self.crowds = 0

    def run(self) -> Examined:
        categories = self._categories()
        images = self._images()
        annotations = self._annotations(images, {number: i for i, number in enumerate(categories)})
        frames = {
            number: FrameRecord(
                image_id=number,
                path=self.root / str(image["file_name"]),
                width=image["width"],
                height=image["height"],
                frame_id=image["frame_id"] if _is_whole(image.get("frame_id")) else 0,
                annotations=tuple(annotations[number]),
                degradation=image.get("degradation"),
            )
            for number, image in images.items()
        }
        videos = tuple(self._videos(images, frames))
        for video in videos:
            self._tracks(video)
        return Examined(tuple(categories.values()), videos, self.crowds, self.found)

    def _entries(self, key: str, needed: tuple[str, ...]) -> Iterator[tuple[int, Entry]]:
        """The entries of one list that have what they need, by their ids."""
        entries = self.content.get(key)
        if not isinstance(entries, list):
            raise FaimError(
                f"{self.path}: `{key}` is a {type(entries).__name__}; expected a list, as CocoVID"
            )
        seen: set[int] = set()
        for position, entry in enumerate(entries):
            where = f"`{key}` number {position}"
            if not isinstance(entry, dict):
                self.found.error(f"entry of `{key}` is no object", where)
                continue
            lacking = [name for name in ("id", *needed) if name not in entry]
            number = entry.get("id")
            if lacking:
                self.found.error(f"`{lacking[0]}` missing in `{key}`", where)
            elif not isinstance(number, int):
                self.found.error(f"id in `{key}` is no whole number", f"{where}: {number!r}")
            elif number in seen:
                self.found.error(f"id twice in `{key}`", f"id {number}")
            else:
                seen.add(number)
                yield number, entry

    def _categories(self) -> dict[int, str]:
        """Names by id, sorted by id."""
        names: dict[int, str] = {}
        for number, entry in self._entries("categories", ("name",)):
            name = str(entry["name"])
            if name in names.values():
                self.found.error("category name twice", f"{name!r}, id {number}")
            names[number] = name
        return dict(sorted(names.items()))

    def _images(self) -> dict[int, Entry]:
        found: dict[int, Entry] = {}
        for number, entry in self._entries("images", ("file_name", "width", "height")):
            sides = entry["width"], entry["height"]
            if not all(_is_whole(side) and side > 0 for side in sides):
                self.found.error("width or height of an image", f"image {number}: {sides}")
                continue
            found[number] = entry
        return found

    def _annotations(
        self, images: dict[int, Entry], dense: dict[int, int]
    ) -> dict[int, list[Annotation]]:
        """Sound annotations by image id."""
        sound: dict[int, list[Annotation]] = {number: [] for number in images}
        for number, entry in self._entries("annotations", ("image_id", "category_id", "bbox")):
            image_id, category_id = entry["image_id"], entry["category_id"]
            if not _is_whole(image_id) or image_id not in images:
                self.found.error(
                    "annotation of an unknown image", f"annotation {number}: {image_id!r}"
                )
            elif not _is_whole(category_id) or category_id not in dense:
                self.found.error(
                    "annotation of an unknown category", f"annotation {number}: {category_id!r}"
                )
            elif entry.get("iscrowd"):
                self.crowds += 1
            elif box := self._box(entry, images[image_id]):
                track = entry.get("instance_id", -1)
                annotation = Annotation(
                    box=box,
                    category_id=dense[category_id],
                    instance_id=track if _is_whole(track) else -1,
                    segmentation=entry.get("segmentation") or None,
                )
                self._mask(annotation, number, images[image_id])
                sound[image_id].append(annotation)
        return sound

    def _box(self, entry: Entry, image: Entry) -> tuple[float, float, float, float] | None:
        """Corners inside the image, or None."""
        bbox, where = entry["bbox"], f"annotation {entry['id']}: {entry['bbox']!r}"
        if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_finite, bbox))):
            self.found.error("bbox is not four finite numbers", where)
            return None
        x, y, w, h = map(float, bbox)
        if w <= 0 or h <= 0:
            self.found.error("box without area", where)
            return None
        width, height = float(image["width"]), float(image["height"])
        outside = max(-x, -y, x + w - width, y + h - height)
        corners = max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)
        if outside > BOX_TOLERANCE or corners[0] >= corners[2] or corners[1] >= corners[3]:
            self.found.error(
                "box outside the image", f"{where} in {image['width']}x{image['height']}"
            )
            return None
        if outside > 1e-6:
            self.found.note("box up to a pixel outside, clipped", where)
        return corners

    def _mask(self, annotation: Annotation, number: int, image: Entry) -> None:
        if annotation.segmentation is None:
            return
        try:
            runs = check_mask(annotation, image["height"], image["width"])
        except FaimError as error:
            self.found.error("damaged mask", f"annotation {number}: {error}")
            return
        if not isinstance(runs, list) and not runs[1::2].any():
            self.found.note("mask without a pixel", f"annotation {number}")

    def _videos(
        self, images: dict[int, Entry], frames: dict[int, FrameRecord]
    ) -> Iterator[VideoRecord]:
        if not self.content.get("videos"):
            self.found.note("no `videos`: every image is one", f"{len(frames)} images")
            for number, frame in frames.items():
                yield VideoRecord(number, str(images[number]["file_name"]), (frame,))
            return
        videos = dict(self._entries("videos", ()))
        members: dict[int, dict[int, FrameRecord]] = {number: {} for number in videos}
        for number, frame in frames.items():
            video_id, frame_id = images[number].get("video_id"), images[number].get("frame_id")
            if not _is_whole(video_id) or video_id not in members:
                self.found.error("image of an unknown video", f"image {number}: {video_id!r}")
            elif not isinstance(frame_id, int):
                self.found.error("frame_id is no whole number", f"image {number}: {frame_id!r}")
            elif frame_id in members[video_id]:
                self.found.error(
                    "frame_id twice in a video", f"image {number}: {frame_id} of video {video_id}"
                )
            else:
                members[video_id][frame_id] = frame
        for number, entry in videos.items():
            name, split = str(entry.get("name", number)), entry.get("split")
            if split is not None and not isinstance(split, str):
                self.found.error("split of a video is no name", f"video {number}: {split!r}")
                split = None
            if members[number]:
                ordered = sorted(members[number].items())
                yield VideoRecord(number, name, tuple(frame for _, frame in ordered), split)
            else:
                self.found.note("video without images, left out", name)

    def _tracks(self, video: VideoRecord) -> None:
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
                    self.found.note("track twice in a frame", where)
                if classes.setdefault(track, annotation.category_id) != annotation.category_id:
                    self.found.note("track changes its class", where)
                here.add(track)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
