"""Folders of images with YOLO's label files to CocoVID: every folder of images is a video.

`images/<video>/000001.jpg` has its labels in `labels/<video>/000001.txt`, as Ultralytics finds
them; or in a folder `labels` beside the images' own; or next to the image. One line an object,
normalised by the image's size: `class cx cy w h`, or a polygon `class x1 y1 x2 y2 x3 y3 …`, which
becomes a mask and its box; each may end in the number of its track.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from faim.data.converters.builder import (
    BoxItem,
    Category,
    FrameItem,
    Problems,
    Summary,
    VideoItem,
    convert_videos,
)
from faim.data.mask_encoding import encode_polygon
from faim.errors import FaimError
from faim.pictures.reading import image_size
from faim.runtime.sources import IMAGE_EXTENSIONS, natural_key

#: Files of class names, not of labels.
_NAME_FILES = ("classes.txt", "obj.names")


@dataclass(frozen=True)
class FolderJob:
    """One folder of images, and that of their labels."""

    key: str
    images: Path
    labels: Path


def convert_yolo_folder(
    root: Path,
    out: Path,
    *,
    names: Sequence[str] | None = None,
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> Summary:
    """Write the CocoVID JSON of all folders of images below `root`.

    Frames are in natural order (`2` before `10`). An image without a label file has no objects;
    their number is told, and with `strict` it is an error.

    Args:
        root: a folder of images, or of such folders.
        out: the JSON file.
        names: the classes; by default of `data.yaml` or `classes.txt` in `root` or above it.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Raises:
        FaimError: there are no images or class names; see `convert_videos`.
    """
    root = root.resolve()
    if not root.is_dir():
        raise FaimError(f"{root}: no such folder; expected folders of images and labels")
    classes = list(names) if names else read_names(root)
    jobs = [
        FolderJob(_video_name(each, root), each, _labels(each, root)) for each in _folders(root)
    ]
    if not jobs:
        raise FaimError(
            f"{root}: no images in it; expected files ending in {', '.join(IMAGE_EXTENSIONS)}"
        )
    return convert_videos(
        jobs,
        partial(read_folder, classes=len(classes), strict=strict),
        [Category(name) for name in classes],
        out,
        strict=strict,
        workers=workers,
        console=console,
    )


def read_names(root: Path) -> list[str]:
    """The class names of `data.yaml` or `classes.txt`, in `root` or up to two folders above.

    Raises:
        FaimError: there is none, or it does not say names.
    """
    for folder in (root, *root.parents[:2]):
        for name in ("data.yaml", "data.yml"):
            if (folder / name).is_file():
                return _yaml_names(folder / name)
        for name in _NAME_FILES:
            if (folder / name).is_file():
                lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
                names = [line.strip() for line in lines if line.strip()]
                if not names:
                    raise FaimError(f"{folder / name}: names no class; expected at least one")
                return names
    raise FaimError(
        f"{root}: no class names; expected data.yaml or classes.txt there, or names given"
    )


def _yaml_names(path: Path) -> list[str]:
    import yaml  # type: ignore[import-untyped]

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise FaimError(f"{path}: is not YAML ({reason}); expected `names`") from error
    found: Any = content.get("names") if isinstance(content, dict) else None
    if isinstance(found, dict) and set(found) == set(range(len(found))):
        found = [found[number] for number in range(len(found))]
    if found in ([], {}):
        raise FaimError(f"{path}: names no class; expected at least one")
    if not isinstance(found, list):
        raise FaimError(f"{path}: has names {found!r}; expected a list, or numbers from 0 to names")
    for name in found:
        if isinstance(name, bool) or not isinstance(name, (str, int, float)):
            raise FaimError(
                f"{path}: has the class name {name!r}; expected text (in quotes, where YAML reads "
                "something else)"
            )
    return [str(name) for name in found]


def read_folder(job: FolderJob, classes: int, strict: bool) -> tuple[VideoItem | None, Problems]:
    """One folder's frames, in natural order; `frame_id` is the place in it, read or not."""
    problems = Problems(strict)
    frames: list[FrameItem] = []
    stems: set[str] = set()
    for place, file in enumerate(_images(job.images)):
        if file.stem in stems:
            problems.add("duplicate frame", str(file))
            continue
        stems.add(file.stem)
        try:
            width, height = image_size(file)
        except FaimError as error:
            problems.add("unreadable", str(error))
            continue
        path = job.labels / f"{file.stem}.txt"
        boxes: tuple[BoxItem, ...] = ()
        if path.is_file():
            boxes = tuple(_boxes(path, classes, width, height, problems))
        elif strict:
            problems.add("no label file", str(path))
        else:
            problems.note("no label file")
        frames.append(FrameItem(file, width, height, place, boxes))
    return (VideoItem(job.key, tuple(frames)) if frames else None), problems


def _boxes(
    path: Path, classes: int, width: int, height: int, problems: Problems
) -> Iterator[BoxItem]:
    seen: set[str] = set()
    for number, line in enumerate(
        path.read_text(encoding="utf-8", errors="replace").splitlines(), 1
    ):
        cells = line.split()
        if not cells:
            continue
        where = f"{path}:{number}"
        if " ".join(cells) in seen:
            problems.add("duplicate line", where)
            continue
        seen.add(" ".join(cells))
        try:
            box = _parse(cells, width, height)
        except ValueError:
            problems.add("unreadable", f"{where} ({line[:60]!r})")
            continue
        if 0 <= box.category < classes:
            yield box
        else:
            problems.add("unknown class", f"{where} (class {box.category} of {classes})")


def _parse(cells: list[str], width: int, height: int) -> BoxItem:
    """One line; ValueError if it is neither a box nor a polygon."""
    # A class and pairs of numbers: an even count of cells has a track at its end.
    track = max(int(cells[-1]), -1) if len(cells) % 2 == 0 else -1
    category = int(cells[0])
    values = np.array(cells[1 : len(cells) - (len(cells) + 1) % 2], np.float64)
    if values.size < 4 or not np.isfinite(values).all():
        raise ValueError("too few numbers")
    points = values.reshape(-1, 2) * (width, height)
    if len(points) == 2:
        (x, y), (w, h) = points.tolist()
        return BoxItem(category, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), track=track)
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    mask = encode_polygon(points, height, width)
    return BoxItem(category, (x1, y1, x2, y2), track=track, segmentation=mask)


def _folders(root: Path) -> list[Path]:
    """Folders below `root`, and itself, with images directly in them, in natural order.

    Links are followed, but each folder is taken once, so that a link to a folder above ends.
    """
    found = []
    seen: set[str] = set()
    for folder, below, files in os.walk(root, onerror=_stop, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        shown = (name for name in below if not name.startswith("."))
        below[:] = sorted(shown, key=lambda name: (Path(folder, name).is_symlink(), name))
        if any(Path(name).suffix.lower() in IMAGE_EXTENSIONS for name in files):
            found.append(Path(folder))
    return sorted(found, key=natural_key)


def _stop(error: OSError) -> None:
    raise error


def _images(folder: Path) -> list[Path]:
    files = (path for path in folder.iterdir() if path.suffix.lower() in IMAGE_EXTENSIONS)
    return sorted((path for path in files if path.is_file()), key=natural_key)


def _video_name(folder: Path, root: Path) -> str:
    """The path below `root` without the part `images`: train/clip1 of train/images/clip1."""
    parts = list(folder.relative_to(root).parts)
    if "images" in parts:
        parts.reverse()
        parts.remove("images")
        parts.reverse()
    return "/".join(parts) or root.name


def _labels(folder: Path, root: Path) -> Path:
    """The first place that has label files for a folder of images."""
    places = [root / "labels" / folder.relative_to(root), folder]
    parts = folder.parts
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        places.insert(0, Path(*parts[:last], "labels", *parts[last + 1 :]))
    for place in places:
        if place.is_dir() and any(
            path.suffix == ".txt" and path.name not in _NAME_FILES for path in place.iterdir()
        ):
            return place
    return places[0]
