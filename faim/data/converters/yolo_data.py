"""The `data.yaml` of a YOLO data set: its splits, class names and shape of poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faim.data.converters.yolo_forms import KeypointShape
from faim.errors import FaimError
from faim.reading import read_text, read_yaml, shown

SPLITS = ("train", "val", "test")
#: Files of class names, not of labels.
NAME_FILES = ("classes.txt", "obj.names")
#: Where a data set says what it is.
YAML_FILES = ("data.yaml", "data.yml")
_WHAT = "a data.yaml with `names`"
#: More points than any pose has.
_MOST_POINTS = 1000
#: Characters of a file's name that a file system takes.
_LONGEST_NAME = 255


@dataclass(frozen=True)
class YoloData:
    """What is known of a data set beside its images and labels.

    Attributes:
        names: the classes.
        splits: folders of images, or lists of them (`.txt`), by split; empty without a `data.yaml`.
        keypoints: of its poses, None where it does not say.
    """

    names: tuple[str, ...]
    splits: Mapping[str, tuple[Path, ...]]
    keypoints: KeypointShape | None = None


def find_data(root: Path) -> YoloData:
    """Read `data.yaml`, `classes.txt` or `obj.names` in `root` or up to two folders above.

    The splits count only where the file lies in `root` itself; above it, `root` is a part already.

    Raises:
        FaimError: there is none, or it does not say what it should.
    """
    for folder in (root, *root.parents[:2]):
        for name in YAML_FILES:
            if (folder / name).is_file():
                return _read(folder / name, with_splits=folder == root)
        for name in NAME_FILES:
            if (folder / name).is_file():
                return YoloData(_listed_names(folder / name), {})
    raise FaimError(
        f"{root}: no class names; expected data.yaml or classes.txt there, or names given"
    )


def _listed_names(path: Path) -> tuple[str, ...]:
    lines = read_text(path, "one class name a line").splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise FaimError(f"{path}: names no class; expected at least one")
    return names


def _read(path: Path, *, with_splits: bool) -> YoloData:
    content = read_yaml(path, _WHAT)
    names = _names(content, path)
    splits: dict[str, tuple[Path, ...]] = {}
    if with_splits:
        base = _base(content.get("path"), path)
        for split in SPLITS:
            if content.get(split) is not None:
                places = tuple(_place(each, base, path, split) for each in _several(content[split]))
                if split == "test" and not all(place.exists() for place in places):
                    continue  # is often named, but not part of what was downloaded
                splits[split] = places
                _check_there(places, path, split)
    return YoloData(names, splits, _keypoints(content.get("kpt_shape"), path))


def _names(content: Mapping[Any, Any], path: Path) -> tuple[str, ...]:
    found: Any = content.get("names")
    if isinstance(found, dict) and set(found) == set(range(len(found))):
        found = [found[number] for number in range(len(found))]
    if found in ([], {}):
        raise FaimError(f"{path}: names no class; expected at least one")
    if not isinstance(found, list):
        raise FaimError(
            f"{path}: has names {shown(found)}; expected a list, or numbers from 0 to names"
        )
    for name in found:
        if isinstance(name, bool) or not isinstance(name, (str, int, float)):
            raise FaimError(
                f"{path}: has the class name {shown(name)}; expected text (in quotes, where YAML "
                "reads something else)"
            )
    count = content.get("nc", len(found))
    if count != len(found):
        raise FaimError(f"{path}: has nc {shown(count)} and {len(found)} names; expected as many")
    return tuple(str(name) for name in found)


def _base(value: Any, path: Path) -> Path:
    """Where the splits' paths start: `path` of the file, from its own folder, or that folder."""
    if value is None:
        return path.parent
    if not isinstance(value, str) or "\0" in value:
        raise FaimError(f"{path}: has path {shown(value)}; expected a folder")
    # Of another machine, often: what lies beside the file is meant.
    base = path.parent / value
    return base if base.is_dir() else path.parent


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _place(value: Any, base: Path, path: Path, split: str) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise FaimError(
            f"{path}: has {split} {shown(value)}; expected a folder, a .txt of images, or a list "
            "of such"
        )
    place = base / value
    # Roboflow writes ../train/images for the folder beside the file.
    beside = base / value.removeprefix("../")
    return beside if beside.exists() and not place.exists() else place


def _check_there(places: Sequence[Path], path: Path, split: str) -> None:
    for place in places:
        if not place.is_dir() and not (place.suffix == ".txt" and place.is_file()):
            raise FaimError(
                f"{path}: {split} is {place}, which is not there; expected a folder, or a .txt of "
                "images"
            )


def _keypoints(value: Any, path: Path) -> KeypointShape | None:
    if value is None:
        return None
    whole = isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)
    if not whole or value[1] not in (2, 3) or not 1 <= value[0] <= _MOST_POINTS:
        raise FaimError(
            f"{path}: has kpt_shape {shown(value)}; expected the number of points, and 2 or 3 "
            "values of each"
        )
    return value[0], value[1]


def listed_images(path: Path) -> list[Path]:
    """The images of a split's `.txt`, one a line; relative ones from the list's folder.

    Raises:
        FaimError: it cannot be read or names no image.
    """
    lines = [line.strip() for line in read_text(path, "one image a line").splitlines()]
    for line in lines:
        if "\0" in line or max(map(len, line.split("/"))) > _LONGEST_NAME:
            raise FaimError(f"{path}: names {shown(line)}; expected one image a line")
    images = [path.parent / line for line in lines if line]
    if not images:
        raise FaimError(f"{path}: is empty; expected one image a line")
    return images
