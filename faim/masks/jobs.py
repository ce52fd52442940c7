"""What there is to do: the videos of a CocoVID file with the boxes that can get a mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from faim.data.contents import Contents, Listener, read_contents
from faim.data.converters.items import Problems
from faim.data.records import Annotation, FrameRecord, VideoRecord
from faim.data.rules import (
    BOX_TOLERANCE,
    Entry,
    EntryError,
    box_of,
    id_of,
    is_crowd,
    is_finite,
    list_of,
    reference,
    track_of,
)
from faim.errors import FaimError
from faim.reading import read_json

#: What becomes of masks that the file has already.
Existing = Literal["refuse", "replace", "keep"]


@dataclass(frozen=True)
class Worklist:
    """A file and what is to be done in it.

    Attributes:
        content: the JSON object, as it was read.
        jobs: the videos that want a mask, with the frames that have boxes; annotations are without
            masks.
        places: for each job, frame and box the place in the file's `annotations`; -1 for one whose
            mask is kept.
        kept: annotations whose mask stays.
        crowds: annotations of groups, which get none.
        problems: what was wrong.
    """

    content: Entry
    jobs: list[VideoRecord]
    places: list[list[list[int]]]
    kept: int
    crowds: int
    problems: Problems


def read_worklist(
    annotation_file: Path, images: Path | None, existing: Existing, strict: bool
) -> Worklist:
    """Read a CocoVID (or plain COCO) file; what is wrong in it is counted and left out.

    Boxes that stick out of their image are clipped. Of two boxes of one track in a frame, the
    second belongs to no track.

    Args:
        annotation_file: the JSON file.
        images: where relative `file_name`s start; by default the JSON file's folder.
        existing: whether masks that are there are refused, made again, or kept.
        strict: the first problem is an error.

    Raises:
        FaimError: the file is missing or not of this format, or has no images; it has masks, and
            they are refused; with `strict`, the first problem.
    """
    content = read_json(annotation_file)
    root = (images or annotation_file.parent).absolute()
    problems = Problems(strict)
    try:
        entries = list_of(content, "annotations")
        found = read_contents({**content, "annotations": []}, root, _Counter(problems))
        if not found.videos:
            raise EntryError("no images", "no images in videos; expected at least one")
        boxes = _Boxes(found, content, existing, problems)
        for place, entry in enumerate(entries):
            boxes.add(place, entry)
    except EntryError as error:
        raise FaimError(f"{annotation_file}: {error}") from error
    jobs, places = [], []
    for video in found.videos:
        job, own = boxes.job(video)
        if any(place >= 0 for frame in own for place in frame):
            jobs.append(job)
            places.append(own)
    return Worklist(content, jobs, places, boxes.kept, boxes.crowds, problems)


class _Counter(Listener):
    """Goes on after a mistake."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def mistake(self, found: EntryError) -> None:
        self.problems.add(found.kind, str(found))

    def note(self, kind: str, where: str) -> None:
        self.problems.note(kind)


class _Boxes:
    """The sound annotations by image id, each with its place in the list."""

    def __init__(
        self, found: Contents, content: Entry, existing: Existing, problems: Problems
    ) -> None:
        self.existing, self.problems = existing, problems
        self.dense = {number: i for i, number in enumerate(found.categories)}
        ids = [each.get("id") for each in content["images"] if isinstance(each, dict)]
        self.listed: set[Any] = {each for each in ids if isinstance(each, int | float)}
        frames = [frame for video in found.videos for frame in video.frames]
        self.frames = {frame.image_id: frame for frame in frames}
        self.by_image: dict[int, list[tuple[int, Annotation]]] = {each: [] for each in self.frames}
        self.seen: set[int] = set()
        self.kept = self.crowds = 0

    def add(self, place: int, entry: Entry) -> None:
        """Look at one entry; EntryError if it has a mask and must not."""
        try:
            number = id_of(entry, "annotations", place, self.seen)
            self.seen.add(number)
            annotation = self._annotation(entry)
        except EntryError as error:
            self.problems.add(error.kind, str(error))
            return
        if annotation is None:
            self.crowds += 1
            return
        if entry.get("segmentation"):
            if self.existing == "refuse":
                raise EntryError(
                    "mask", f"annotation {number} has a mask; expected none, --replace or --keep"
                )
            if self.existing == "keep":
                self.kept += 1
                place = -1
        self.by_image[entry["image_id"]].append((place, annotation))

    def _annotation(self, entry: Entry) -> Annotation | None:
        """None for a crowd."""
        number = reference(entry, "image_id", self.listed, "annotations")
        if number not in self.frames:
            raise EntryError(
                "annotation of an image that is left out",
                f"annotation {entry['id']} is of image {number}, in which there is a mistake; "
                "expected a sound one",
            )
        category_id = reference(entry, "category_id", self.dense, "annotations")
        if is_crowd(entry):
            return None
        frame = self.frames[number]
        image = {"id": number, "width": frame.width, "height": frame.height}
        box, _ = box_of(_inside(entry, image, self.problems), image)
        return Annotation(box, self.dense[category_id], max(track_of(entry), -1))

    def job(self, video: VideoRecord) -> tuple[VideoRecord, list[list[int]]]:
        """A video's frames with boxes, and the boxes' places."""
        frames: list[FrameRecord] = []
        places: list[list[int]] = []
        length: Counter[int] = Counter()
        for frame in video.frames:
            if not self.by_image[frame.image_id]:
                continue
            taken: set[int] = set()
            own = []
            for _, annotation in self.by_image[frame.image_id]:
                own.append(self._once(annotation, taken, video, frame))
                taken.add(own[-1].instance_id)
            length.update(taken - {-1})
            frames.append(replace(frame, annotations=tuple(own)))
            places.append([place for place, _ in self.by_image[frame.image_id]])
        if short := sum(count == 1 for count in length.values()):
            self.problems.note("track of one frame", short)
        return replace(video, frames=tuple(frames)), places

    def _once(
        self, annotation: Annotation, taken: Container[int], video: VideoRecord, frame: FrameRecord
    ) -> Annotation:
        track = annotation.instance_id
        if track < 0 or track not in taken:
            return annotation
        where = f"track {track}, video {video.name}, frame {frame.frame_id}"
        self.problems.add("track twice in a frame", where)
        return replace(annotation, instance_id=-1)


def _inside(entry: Entry, image: Entry, problems: Problems) -> Entry:
    """The entry with its box clipped to the image; as it is where nothing sound would be left."""
    bbox = entry.get("bbox")
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(is_finite, bbox))):
        return entry
    x, y, w, h = map(float, bbox)
    left, top = max(x, 0.0), max(y, 0.0)
    right, bottom = min(x + w, float(image["width"])), min(y + h, float(image["height"]))
    # Added up again, a sliver's far side may be its near one.
    if left + (right - left) <= left or top + (bottom - top) <= top or w <= 0 or h <= 0:
        return entry
    if max(left - x, top - y, x + w - right, y + h - bottom) > BOX_TOLERANCE:
        where = f"annotation {entry['id']} (bbox {bbox} of {image['width']}x{image['height']})"
        problems.add("box partly outside the image", where)
    return {**entry, "bbox": [left, top, right - left, bottom - top]}
