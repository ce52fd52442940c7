"""The form of YouTube-VIS, which OVIS has: whether a file is of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from faim.data.converters.items import is_utf8
from faim.errors import FaimError

Entry = dict[str, Any]
Rules = dict[str, tuple[str, Callable[[Any], bool]]]


def check_form(content: Entry, path: Path) -> None:
    """See that `categories`, `videos` and the objects in `annotations` have what they need.

    What a single frame of an object holds, its mask and box, is not looked at.

    Raises:
        FaimError: something is missing or of another kind, an id is used twice, or an object is
            of no video.
    """
    for key, rules in (("categories", _CATEGORY), ("videos", _VIDEO), ("annotations", _OBJECT)):
        entries = content.get(key)
        if entries is None and key == "annotations":
            return
        if not isinstance(entries, list) or (not entries and key != "annotations"):
            raise FaimError(f"{path}: has no `{key}`; expected the form of YouTube-VIS")
        _check_entries(entries, key, rules, path)
    videos = {video["id"] for video in content["videos"]}
    for entry in content["annotations"]:
        if entry["video_id"] not in videos:
            raise FaimError(
                f"{path}: object {entry['id']} is of video {entry['video_id']}; expected one of "
                f"the file's {len(videos)} videos"
            )


def _check_entries(entries: list[Any], key: str, rules: Rules, path: Path) -> None:
    seen: set[int] = set()
    for place, entry in enumerate(entries):
        for name, (kind, holds) in rules.items():
            value = entry.get(name) if isinstance(entry, dict) else None
            if not holds(value):
                shown = f"{value!r:.40}"
                raise FaimError(
                    f"{path}: `{name}` of `{key}` number {place} is {shown}; expected {kind}"
                )
        if entry["id"] in seen:
            raise FaimError(f"{path}: `{key}` has id {entry['id']} twice; expected each id once")
        seen.add(entry["id"])


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and is_utf8(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_name, value))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


_CATEGORY: Rules = {"id": ("a whole number", _is_whole), "name": ("a name", _is_name)}
_VIDEO: Rules = {
    "id": ("a whole number", _is_whole),
    "width": ("pixels above 0", _is_size),
    "height": ("pixels above 0", _is_size),
    "file_names": ("a list of images", _is_names),
}
_OBJECT: Rules = {
    "id": ("a whole number", _is_whole),
    "video_id": ("a whole number", _is_whole),
    "category_id": ("a whole number", _is_whole),
    "segmentations": ("a list, a mask or null for each frame", _is_list),
}
