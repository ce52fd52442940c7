"""Folders of images with YOLO's label files to CocoVID.

`images/<video>/000001.jpg` has its labels in `labels/<video>/000001.txt`, as Ultralytics finds
them; or in a folder `labels` beside the images' own; or next to the image. Images in one folder are
of one video if their names differ in the frame's number alone. What a line of a label file holds is
decided for the whole data set, see `yolo_forms`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

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
from faim.data.converters.yolo_data import (
    NAME_FILES,
    YAML_FILES,
    YoloData,
    find_data,
    listed_images,
)
from faim.data.converters.yolo_forms import Evidence, LineForm, decide_form
from faim.data.converters.yolo_videos import frame_name, group_frames, strangers
from faim.errors import FaimError
from faim.pictures.files import IMAGE_EXTENSIONS, natural_key
from faim.pictures.reading import image_size
from faim.reading import read_text

#: Label files, evenly spread, by which the form of the lines is decided.
_MOST_READ = 10_000


@dataclass(frozen=True)
class FolderJob:
    """The images of one video, in order, and the folder of their labels."""

    key: str
    images: tuple[Path, ...]
    labels: Path

    def label(self, image: Path) -> Path:
        """Where an image's labels would be."""
        return self.labels / f"{image.stem}.txt"


def convert_yolo_folder(
    root: Path,
    out: Path,
    *,
    names: Sequence[str] | None = None,
    split: str | None = None,
    labels: str | None = None,
    strict: bool = False,
    workers: int = 0,
    console: Console | None = None,
) -> Summary:
    """Write the CocoVID JSON of all images below `root`, or of one split of its `data.yaml`.

    Frames are in the order of their numbers (`2` before `10`). An image without a label file has no
    objects; their number is told, and with `strict` it is an error. Videos whose neighbouring
    frames do not look alike are told too.

    Args:
        root: a folder of images, or of such folders.
        out: the JSON file.
        names: the classes; by default of `data.yaml` or `classes.txt` in `root` or above it.
        split: "train", "val" or "test" of `data.yaml`; None takes everything below `root`.
        labels: what a line holds, one of `yolo_forms.LABELS`; None decides by what is there.
        strict: the first problem is an error.
        workers: processes.
        console: see `convert_videos`.

    Raises:
        FaimError: there are no images or class names; the lines' form cannot be told; see
            `convert_videos`.
    """
    root = _existing(root)
    data = YoloData(tuple(names), {}) if names and split is None else find_data(root)
    if split is not None and split not in data.splits:
        known = ", ".join(data.splits) or "none"
        raise FaimError(f"{root}: data.yaml has no split {split!r}; expected one of its: {known}")
    jobs = _jobs((root,) if split is None else data.splits[split], root)
    if not jobs:
        raise FaimError(
            f"{root}: no images in it; expected files ending in {', '.join(IMAGE_EXTENSIONS)}"
        )
    if labels is None:
        form = decide_form(_evidence(jobs), data.keypoints, str(root))
    else:
        form = LineForm.named(labels, data.keypoints)
    classes = list(names or data.names)
    return convert_videos(
        jobs,
        partial(read_folder, classes=len(classes), form=form, strict=strict),
        [Category(name) for name in classes],
        out,
        strict=strict,
        workers=workers,
        console=console,
    )


def splits_of(root: Path) -> tuple[str, ...]:
    """The splits that a `data.yaml` in `root` names; none without one.

    Raises:
        FaimError: there is no such folder, or the file does not say what it should.
    """
    root = _existing(root)
    there = any((root / name).is_file() for name in YAML_FILES)
    return tuple(find_data(root).splits) if there else ()


def _existing(root: Path) -> Path:
    root = root.resolve()
    if not root.is_dir():
        raise FaimError(f"{root}: no such folder; expected folders of images and labels")
    return root


def _jobs(places: Sequence[Path], root: Path) -> list[FolderJob]:
    """One a video, of the folders and lists of images at `places`."""
    folders: dict[Path, list[Path]] = {}
    for place in places:
        if place.is_dir():
            folders |= {folder: _images(folder) for folder in _folders(place.resolve())}
        else:
            for image in dict.fromkeys(listed_images(place)):
                folders.setdefault(image.parent.resolve(), []).append(image)
    jobs = []
    for folder, images in folders.items():
        base = root if folder.is_relative_to(root) else folder.parent
        video, labels = _video_name(folder, base), _labels(folder, base)
        for group in group_frames(images):
            key = f"{video}/{group.name}" if group.name else video
            jobs.append(FolderJob(key, group.images, labels))
    return jobs


def _evidence(jobs: Sequence[FolderJob]) -> Evidence:
    """What the label lines have in common; files that cannot be read are told of later."""
    files = [job.label(image) for job in jobs for image in job.images]
    evidence = Evidence()
    for file in files[:: -(-len(files) // _MOST_READ)]:
        if not file.is_file():
            continue
        try:
            lines = read_text(file, "labels").splitlines()
        except FaimError:
            continue
        for number, line in enumerate(lines, 1):
            evidence.add(line.split(), f"{file}:{number}")
    return evidence


def read_folder(
    job: FolderJob, classes: int, form: LineForm, strict: bool
) -> tuple[VideoItem | None, Problems]:
    """One video's frames; `frame_id` is the place in it, read or not."""
    problems = Problems(strict)
    frames: list[FrameItem] = []
    names: set[str] = set()
    for place, file in enumerate(job.images):
        if frame_name(file) in names:
            problems.add("duplicate frame", str(file))
            continue
        names.add(frame_name(file))
        try:
            width, height = image_size(file)
        except FaimError as error:
            problems.add("unreadable", str(error))
            continue
        path = job.label(file)
        boxes: tuple[BoxItem, ...] = ()
        if path.is_file():
            boxes = tuple(_boxes(path, classes, form, (width, height), problems))
        elif strict:
            problems.add("no label file", str(path))
        else:
            problems.note("no label file")
        frames.append(FrameItem(file, width, height, place, boxes))
    if where := strangers([frame.file for frame in frames]):
        problems.add("video whose neighbouring frames do not look alike", where)
    return (VideoItem(job.key, tuple(frames)) if frames else None), problems


def _boxes(
    path: Path, classes: int, form: LineForm, size: tuple[int, int], problems: Problems
) -> Iterator[BoxItem]:
    try:
        lines = read_text(path, "label lines").splitlines()
    except FaimError as error:
        problems.add("unreadable", str(error))
        return
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        cells = line.split()
        if not cells:
            continue
        where = f"{path}:{number}"
        if " ".join(cells) in seen:
            problems.add("duplicate line", where)
            continue
        seen.add(" ".join(cells))
        try:
            box = form.parse(cells, *size)
        except (ValueError, OverflowError):
            problems.add("unreadable", f"{where} ({line[:60]!r})")
            continue
        if 0 <= box.category < classes:
            yield box
        else:
            problems.add("unknown class", f"{where} (class {box.category} of {classes})")


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
            path.suffix == ".txt" and path.name not in NAME_FILES for path in place.iterdir()
        ):
            return place
    return places[0]
