"""The walk through a CocoVID file's lists: `CocoVid` and `faim data check` make the same one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from faim.data.records import Annotation, FrameRecord, VideoRecord
from faim.data.rules import (
    Entry,
    EntryError,
    box_of,
    check_area,
    frame_id_of,
    id_of,
    list_of,
    reference,
    required,
    side_of,
    split_of,
    track_of,
)


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
        crowds: annotations left out because they cover groups.
    """

    categories: dict[int, str]
    videos: tuple[VideoRecord, ...]
    crowds: int


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
        annotations = self._annotations(images, {number: i for i, number in enumerate(categories)})
        frames = {
            number: FrameRecord(
                image_id=number,
                path=self.root / str(image["file_name"]),
                width=image["width"],
                height=image["height"],
                frame_id=frame_id if isinstance(frame_id := image.get("frame_id"), int) else 0,
                annotations=tuple(annotations[number]),
                degradation=image.get("degradation"),
            )
            for number, image in images.items()
        }
        return Contents(categories, tuple(self._videos(images, frames)), self.crowds)

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
                name = str(required(entry, "name", f"category {number}", "categories"))
                if name in names.values():
                    raise EntryError(
                        "category name twice",
                        f"category {number} has another's name {name!r}; expected each name once",
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
    ) -> dict[int, list[Annotation]]:
        """By image id."""
        sound: dict[int, list[Annotation]] = {number: [] for number in images}
        for number, entry in self._entries("annotations"):
            try:
                image = images[reference(entry, "image_id", images, "annotations")]
                annotation = self._annotation(entry, image, dense)
            except EntryError as error:
                self.listener.mistake(error)
                continue
            if annotation is None:
                self.crowds += 1
            else:
                self.listener.annotation(number, annotation, image)
                sound[image["id"]].append(annotation)
        return sound

    def _annotation(self, entry: Entry, image: Entry, dense: dict[int, int]) -> Annotation | None:
        """None for a crowd."""
        category_id = reference(entry, "category_id", dense, "annotations")
        if entry.get("iscrowd"):
            return None
        box, beyond = box_of(entry, image)
        if beyond > 1e-6:
            where = f"annotation {entry['id']}: {entry['bbox']}"
            self.listener.note("box up to a pixel outside, clipped", where)
        return Annotation(
            box=box,
            category_id=dense[category_id],
            instance_id=track_of(entry),
            segmentation=entry.get("segmentation") or None,
        )

    def _videos(
        self, images: dict[int, Entry], frames: dict[int, FrameRecord]
    ) -> Iterator[VideoRecord]:
        if not self.content.get("videos"):
            self.listener.note("no `videos`: every image is one", f"{len(frames)} images")
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
