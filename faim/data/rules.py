"""The rules of CocoVID, each for one entry of a file: what it gives, or why it is refused."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Container
from typing import Any

from faim.errors import FaimError
from faim.pictures.limits import check_pixels
from faim.reading import shown

Entry = dict[str, Any]
Box = tuple[float, float, float, float]

#: Pixels by which a box may stick out of its image without a word. Annotation tools round.
BOX_TOLERANCE = 1.0
#: Ids and places in time are below it on both sides of 0: floats hold all of them.
MOST_NUMBER = 2**53
#: Pixels of the longest side.
LONGEST_SIDE = 2**31 - 1


class EntryError(FaimError):
    """An entry breaks a rule.

    Attributes:
        kind: what such mistakes are counted as: "box without area" …
    """

    def __init__(self, kind: str, sentence: str) -> None:
        """`sentence` names the entry, what is wrong with it and what was expected."""
        super().__init__(sentence)
        self.kind = kind


class NoAreaError(EntryError):
    """A box has no width or height, as some of COCO's own have: it is left out, not refused."""


def is_finite(value: Any) -> bool:
    """Whether a JSON value is a number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def is_small(value: int) -> bool:
    """Whether a whole number is below `MOST_NUMBER`, as any program holds exactly."""
    return abs(value) < MOST_NUMBER


def is_class_name(value: Any) -> bool:
    """Whether it is text that can be written and printed: no control characters, no half of one."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and not any(unicodedata.category(char) in ("Cc", "Cs") for char in value)
    )


def class_name_of(category: Entry) -> str:
    """A category's name; a number is taken as its digits.

    Raises:
        EntryError: it is missing, or no text that can be written and printed.
    """
    name = required(category, "name", f"category {category['id']}", "categories")
    text = str(name) if type(name) in (int, float) else name
    if not is_class_name(text):
        raise EntryError(
            "category name is no text",
            f"category {category['id']} has name {shown(name)}; expected text without control "
            "characters",
        )
    return str(text)


def list_of(content: Entry, key: str) -> list[Any]:
    """One of the file's lists.

    Raises:
        EntryError: it is missing, or is no list.
    """
    if key not in content:
        raise EntryError(f"no `{key}`", f"the file has no `{key}`; expected the CocoVID format")
    entries = content[key]
    if not isinstance(entries, list):
        kind = f"`{key}` is no list"
        raise EntryError(kind, f"`{key}` is a {type(entries).__name__}; expected a list")
    return entries


def exhaustive_of(content: Entry) -> bool | None:
    """Whether all objects of the file's classes have a label, as its `info` says; None if silent.

    Raises:
        EntryError: `exhaustive` is neither true nor false.
    """
    info = content.get("info")
    value = info.get("exhaustive") if isinstance(info, dict) else None
    if not isinstance(value, bool | None):
        raise EntryError(
            "`info.exhaustive` is no truth value",
            f"`info` has exhaustive {shown(value)}; expected true or false",
        )
    return value


def id_of(entry: Any, key: str, position: int, seen: Container[int]) -> int:
    """The id of the entry at `position` of the list `key`, which is none of `seen`.

    Raises:
        EntryError: the entry is no object, or its id is missing, no whole number, too large or
            used before.
    """
    where = f"`{key}` number {position}"
    if not isinstance(entry, dict):
        kind = f"entry of `{key}` is no object"
        raise EntryError(kind, f"{where} is a {type(entry).__name__}; expected an object")
    number = required(entry, "id", where, key)
    if not isinstance(number, int):
        kind = f"id in `{key}` is no whole number"
        raise EntryError(kind, f"`{key}` has id {shown(number)}; expected a whole number")
    if not is_small(number):
        kind = f"id in `{key}` is too large"
        raise EntryError(kind, f"`{key}` has id {shown(number)}; expected below 2^53")
    if number in seen:
        raise EntryError(
            f"id twice in `{key}`", f"`{key}` has id {number} twice; expected each id once"
        )
    return number


def required(entry: Entry, name: str, what: str, key: str) -> Any:
    """The value `name` of an entry of the list `key`, which messages call `what`.

    Raises:
        EntryError: it is missing.
    """
    if name not in entry:
        raise EntryError(
            f"`{name}` missing in `{key}`", f"{what} has no `{name}`; expected the CocoVID format"
        )
    return entry[name]


def side_of(image: Entry, name: str) -> int:
    """The image's `width` or `height`, a whole number from 1 to `LONGEST_SIDE`.

    Raises:
        EntryError: it is missing or anything else.
    """
    what = f"image {image['id']}"
    side = required(image, name, what, "images")
    if type(side) is not int or not 1 <= side <= LONGEST_SIDE:
        raise EntryError(
            "width or height of an image",
            f"{what} has {name} {shown(side)}; expected a whole number of pixels above 0 and "
            "below 2^31",
        )
    return side


def check_area(image: Entry) -> None:
    """See that an image and its masks may be held in memory; its sides are sound.

    Raises:
        EntryError: it is said to have more pixels than `max_pixels`.
    """
    try:
        check_pixels(f"image {image['id']}", image["width"], image["height"])
    except FaimError as error:
        raise EntryError("image of too many pixels", str(error)) from error


def reference(entry: Entry, name: str, known: Container[int], key: str) -> int:
    """The id that an entry of the list `key` has as `name` ("image_id"), one of `known`.

    Raises:
        EntryError: it is missing or unknown.
    """
    one, other = _singular(key), name.removesuffix("_id")
    number = required(entry, name, f"{one} {entry['id']}", key)
    if not isinstance(number, int) or number not in known:
        raise EntryError(
            f"{one} of an unknown {other}",
            f"{one} {entry['id']} refers to {other} {shown(number)}, which the file does not have",
        )
    return number


def box_of(annotation: Entry, image: Entry) -> tuple[Box, float]:
    """The corners of an annotation's x, y, width and height, clipped to its image.

    Returns:
        x1, y1, x2, y2, and by how many pixels the box stuck out.

    Raises:
        NoAreaError: the box has no width or no height, or none within the image.
        EntryError: the box is missing, not finite, of a negative size, or lies outside the image.
    """
    what = f"annotation {annotation['id']}"
    bbox = required(annotation, "bbox", what, "annotations")
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(is_finite, bbox))):
        raise EntryError(
            "bbox is not four finite numbers",
            f"{what} has bbox {shown(bbox)}; expected four finite numbers x, y, w, h",
        )
    x, y, w, h = map(float, bbox)
    if w < 0 or h < 0:
        raise EntryError(
            "box of negative size",
            f"{what} has bbox {shown(bbox)}; expected a width and height above 0",
        )
    no_area = NoAreaError(
        "box without area", f"{what} has bbox {shown(bbox)}; expected a width and height above 0"
    )
    if w == 0 or h == 0:
        raise no_area
    width, height = image["width"], image["height"]
    corners = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
    beyond = max(-x, -y, x + w - width, y + h - height, 0.0)
    if corners[0] >= corners[2] or corners[1] >= corners[3]:
        if beyond <= BOX_TOLERANCE:
            raise no_area
        raise EntryError(
            "box outside the image",
            f"{what} has bbox {shown(bbox)} outside image {image['id']}; expected it within "
            f"{width}x{height} pixels",
        )
    return corners, beyond


def is_crowd(annotation: Entry) -> bool:
    """Whether it covers a group, which detections may lie in without being wrong.

    Looks at `ignore` and `area` on the way, which decide nothing here but must be what COCO has.

    Raises:
        EntryError: one of the three is of another kind.
    """
    what = f"annotation {annotation['id']}"
    for name in ("iscrowd", "ignore"):
        value = annotation.get(name)
        if isinstance(value, (list, dict, str)) or value not in (None, 0, 1):
            raise EntryError(
                f"{name} is not 0 or 1", f"{what} has {name} {shown(value)}; expected 0 or 1"
            )
    area = annotation.get("area")
    if area is not None and not is_finite(area):
        raise EntryError(
            "area is no number", f"{what} has area {shown(area)}; expected a finite number"
        )
    return bool(annotation.get("iscrowd"))


def frame_id_of(image: Entry, video_id: int, taken: Container[int]) -> int:
    """The image's place in its video, none of `taken`.

    Raises:
        EntryError: it is missing, no whole number, too large or taken.
    """
    what = f"image {image['id']}"
    frame_id = required(image, "frame_id", what, "images")
    whole = isinstance(frame_id, int)
    if whole and not is_small(frame_id):
        raise EntryError(
            "frame_id is too large",
            f"{what} has frame_id {shown(frame_id)}; expected below 2^53",
        )
    if not whole or frame_id in taken:
        raise EntryError(
            "frame_id twice in a video" if whole else "frame_id is no whole number",
            f"{what} has frame_id {shown(frame_id)}; expected a whole number that no other image "
            f"of video {video_id} has",
        )
    return frame_id


def track_of(annotation: Entry) -> int:
    """The `instance_id`; -1 where there is none or it is no whole number.

    Raises:
        EntryError: it is too large.
    """
    track = annotation.get("instance_id", -1)
    if not isinstance(track, int):
        return -1
    if not is_small(track):
        raise EntryError(
            "instance_id is too large",
            f"annotation {annotation['id']} has instance_id {shown(track)}; expected below 2^53",
        )
    return track


def split_of(video: Entry) -> str | None:
    """The part of the data set that a video belongs to, or None.

    Raises:
        EntryError: it is no name.
    """
    split = video.get("split")
    if split is not None and not isinstance(split, str):
        raise EntryError(
            "split of a video is no name",
            f"video {video['id']} has split {shown(split)}; expected a name",
        )
    return split


def _singular(key: str) -> str:
    return "category" if key == "categories" else key.removesuffix("s")
