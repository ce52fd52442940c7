"""The walk through a CocoVID file's lists: `CocoVid` and `faim data check` make the same one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faim.data.records import Annotation, FrameRecord, VideoRecord
from faim.data.rules import (
    BOX_TOLERANCE,
    Entry,
    EntryError,
    NoAreaError,
    box_of,
    check_area,
    class_name_of,
    exhaustive_of,
    frame_id_of,
    id_of,
    is_crowd,
    list_of,
    reference,
    required,
    side_of,
    split_of,
    track_of,
)
from faim.reading import shown
from faim.wording import counted

_NO_AREA = "box without area, left out"
_PARTLY_OUTSIDE = "box partly outside the image, clipped"
#: What is allowed, but loses something of the file.
WORTH_A_WARNING = (_NO_AREA, _PARTLY_OUTSIDE)


class Listener:
    """Hears what is found on the way; this one stops at the first mistake."""

    def mistake(self, found: EntryError) -> None:
        """An entry is refused; without an exception it is left out.

        Raises:
            EntryError: `found`.
        """
        raise found

    def note(self, kind: str, where: str) -> None:
        """Something is allowed, but odd."""

    def annotation(self, number: int, annotation: Annotation, image: Entry) -> None:
        """A sound annotation of this id; its mask has not been looked at."""


@dataclass(frozen=True)
class Contents:
    """The sound part of a file.

    Attributes:
        categories: names by id, sorted by id.
        videos: with frames, in the file's order.
        crowds: annotations of groups, which are in the frames' `crowds`.
        exhaustive: see `CocoVid`.
    """

    categories: dict[int, str]
    videos: tuple[VideoRecord, ...]
    crowds: int
    exhaustive: bool | None


def read_contents(content: Entry, root: Path, listener: Listener) -> Contents:
    """Walk through a CocoVID (or plain COCO) file's content.

    Args:
        content: the JSON object.
        root: where relative `file_name`s start.
        listener: hears of every mistake and oddity.

    Raises:
        EntryError: `images`, `annotations` or `categories` is missing or no list; else what
            `listener` raises.
    """
    return _Walk(content, root, listener).run()


class _Walk:
    def __init__(self, content: Entry, root: Path, listener: Listener) -> None:
        self.content, self.root, self.listener = content, root, listener
        self.crowds = 0

    def run(self) -> Contents:
        categories = self._categories()
        images = self._images()
        dense = {number: i for i, number in enumerate(categories)}
        annotations, crowds = self._annotations(images, dense)
        frames = {
            number: FrameRecord(
                image_id=number,
                path=self.root / str(image["file_name"]),
                width=image["width"],
                height=image["height"],
                frame_id=frame_id if isinstance(frame_id := image.get("frame_id"), int) else 0,
                annotations=tuple(annotations.get(number, ())),
                crowds=tuple(crowds.get(number, ())),
                degradation=image.get("degradation"),
            )
            for number, image in images.items()
        }
        videos = tuple(self._videos(images, frames))
        return Contents(categories, videos, self.crowds, self._exhaustive())

    def _exhaustive(self) -> bool | None:
        try:
            return exhaustive_of(self.content)
        except EntryError as error:
            self.listener.mistake(error)
            return None

    def _entries(self, key: str) -> Iterator[tuple[int, Entry]]:
        """The entries of one list that have an id, by their ids."""
        seen: set[int] = set()
        for position, entry in enumerate(list_of(self.content, key)):
            try:
                number = id_of(entry, key, position, seen)
            except EntryError as error:
                self.listener.mistake(error)
            else:
                seen.add(number)
                yield number, entry

    def _categories(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for number, entry in self._entries("categories"):
            try:
                name = class_name_of(entry)
                if name in names.values():
                    raise EntryError(
                        "category name twice",
                        f"category {number} has another's name {shown(name)}; expected each name "
                        "once",
                    )
            except EntryError as error:
                self.listener.mistake(error)
            else:
                names[number] = name
        return dict(sorted(names.items()))

    def _images(self) -> dict[int, Entry]:
        found: dict[int, Entry] = {}
        for number, entry in self._entries("images"):
            try:
                required(entry, "file_name", f"image {number}", "images")
                side_of(entry, "width")
                side_of(entry, "height")
                check_area(entry)
            except EntryError as error:
                self.listener.mistake(error)
            else:
                found[number] = entry
        return found

    def _annotations(
        self, images: dict[int, Entry], dense: dict[int, int]
    ) -> tuple[dict[int, list[Annotation]], dict[int, list[Annotation]]]:
        """Those of objects and those of crowds, by image id."""
        objects: dict[int, list[Annotation]] = {}
        crowds: dict[int, list[Annotation]] = {}
        for number, entry in self._entries("annotations"):
            try:
                image = images[reference(entry, "image_id", images, "annotations")]
                category_id = reference(entry, "category_id", dense, "annotations")
                crowd = is_crowd(entry)
                self.crowds += crowd
                if crowd and "bbox" not in entry:
                    continue
                annotation = self._annotation(entry, image, dense[category_id])
            except NoAreaError:
                self.listener.note(_NO_AREA, _with_box(entry))
            except EntryError as error:
                self.listener.mistake(error)
            else:
                if not crowd:
                    self.listener.annotation(number, annotation, image)
                (crowds if crowd else objects).setdefault(image["id"], []).append(annotation)
        return objects, crowds

    def _annotation(self, entry: Entry, image: Entry, category: int) -> Annotation:
        box, beyond = box_of(entry, image)
        if beyond > 1e-6:
            rounded = beyond <= BOX_TOLERANCE
            kind = "box up to a pixel outside, clipped" if rounded else _PARTLY_OUTSIDE
            self.listener.note(kind, _with_box(entry))
        return Annotation(
            box=box,
            category_id=category,
            instance_id=track_of(entry),
            segmentation=entry.get("segmentation") or None,
        )

    def _videos(
        self, images: dict[int, Entry], frames: dict[int, FrameRecord]
    ) -> Iterator[VideoRecord]:
        if not self.content.get("videos"):
            self.listener.note("no `videos`: every image is one", counted(len(frames), "image"))
            for number, frame in frames.items():
                yield VideoRecord(number, str(images[number]["file_name"]), (frame,))
            return
        videos = dict(self._entries("videos"))
        members: dict[int, dict[int, FrameRecord]] = {number: {} for number in videos}
        for number, frame in frames.items():
            try:
                video_id = reference(images[number], "video_id", members, "images")
                frame_id = frame_id_of(images[number], video_id, members[video_id])
            except EntryError as error:
                self.listener.mistake(error)
            else:
                members[video_id][frame_id] = frame
        for number, entry in videos.items():
            name = str(entry.get("name", number))
            if members[number]:
                ordered = tuple(frame for _, frame in sorted(members[number].items()))
                yield VideoRecord(number, name, ordered, self._split(entry))
            else:
                self.listener.note("video without images, left out", name)

    def _split(self, video: Entry) -> str | None:
        try:
            return split_of(video)
        except EntryError as error:
            self.listener.mistake(error)
            return None


def _with_box(annotation: Entry) -> str:
    return f"annotation {annotation['id']} has bbox {shown(annotation['bbox'])}"
