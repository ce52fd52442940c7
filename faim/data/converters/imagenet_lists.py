"""Which videos and images of ImageNet to convert: public lists, or what the folders hold.

The project brings no lists along. Read are those of the field, published with Flow-Guided Feature
Aggregation (Zhu et al., ICCV 2017), and the ones that come with the data:

    VID_train_15frames.txt    train/…/ILSVRC2015_train_00000000 1 10 300
                              folder, 1, number of the frame's file, frames of the video
    VID_val_videos.txt        val/ILSVRC2015_val_00000000 1 0 464
                              folder, running number of its first frame, 0, frames of the video
    DET_train_30classes.txt   train/ILSVRC2014_train_0000/ILSVRC2014_train_00000663 1
                              image, 1 (it shows a class)
    ImageSets/VID/val.txt     ILSVRC2015_val_00000000/000000 1
                              frame, its running number
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faim.data.converters.items import Problems
from faim.errors import FaimError
from faim.reading import read_text

#: The paper trains on a tenth of the frames (FAIM, Appendix A.1).
TRAIN_EVERY = 10


@dataclass(frozen=True)
class VideoJob:
    """A video of VID.

    Attributes:
        key: its folder below `Data/VID`: train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000.
        frames: numbers of its files; None for all that there are.
        every: of those, each N-th.
    """

    key: str
    frames: Sequence[int] | None = None
    every: int = 1


@dataclass(frozen=True)
class ImageJob:
    """An image of DET: its path below `Data/DET`, no suffix, and whether a list asks for it."""

    key: str
    listed: bool = True


def video_jobs(
    root: Path, split: str, listed: Path | None = None, every: int | None = None
) -> list[VideoJob]:
    """The videos of a split, sorted if they come from the folders.

    Without `listed`, `VID_train_15frames.txt` is looked for if `every` is not given either, for
    val `VID_val_videos.txt`; else all videos of the folders count.

    Args:
        root: the folder ILSVRC2015.
        split: "train" or "val".
        listed: a list of videos or of frames.
        every: take each N-th frame; by default 10 in train, as the paper has it, and 1 in val.

    Raises:
        FaimError: a folder or the list is missing, or a line of it is wrong; `every` with a list of
            frames.
    """
    folder = root / "Data" / "VID" / split
    for needed in (folder, root / "Annotations" / "VID" / split):
        if not needed.is_dir():
            raise FaimError(f"{needed}: no such folder; expected ImageNet VID's {split} split")
    if listed is None and (split == "val" or every is None):
        name = "VID_val_videos.txt" if split == "val" else "VID_train_15frames.txt"
        listed = _published(root, "VID", name)
    if listed is not None:
        return _listed_videos(listed, split, every)
    step = every or (TRAIN_EVERY if split == "train" else 1)
    return [VideoJob(f"{split}/{name}", None, step) for name in _video_folders(folder, "")]


def image_jobs(root: Path, problems: Problems, listed: Path | None = None) -> list[ImageJob]:
    """The training images of DET, each once.

    Without `listed`, `DET_train_30classes.txt` is looked for; else all annotated images count, of
    which only those that show one of the 30 classes are kept. The public list names several
    hundred images more than once, which `problems` notes.

    Raises:
        FaimError: a folder or the list is missing, or a line of it is wrong.
    """
    folder = root / "Annotations" / "DET" / "train"
    if not folder.is_dir():
        raise FaimError(f"{folder}: no such folder; expected ImageNet DET's train split")
    listed = listed or _published(root, "DET", "DET_train_30classes.txt")
    if listed is None:
        paths = sorted(folder.rglob("*.xml"))
        start = folder.parent
        keys = (path.relative_to(start).with_suffix("").as_posix() for path in paths)
        return [ImageJob(key, listed=False) for key in keys]
    jobs: dict[str, ImageJob] = {}
    for _, columns in _lines(listed):
        key = columns[0] if columns[0].startswith(("train/", "val/")) else f"train/{columns[0]}"
        if key in jobs:
            problems.note("image listed before")
        jobs[key] = ImageJob(key)
    return list(jobs.values())


def _published(root: Path, kind: str, name: str) -> Path | None:
    """A list where this and other projects keep it."""
    places = (root / "ImageSets" / kind, root / "ImageSets", root / "Lists")
    return next((place / name for place in places if (place / name).is_file()), None)


def _listed_videos(path: Path, split: str, every: int | None) -> list[VideoJob]:
    """Jobs of a list, in its order; `every` counts for whole videos only."""
    rows = list(_lines(path))
    keys = [_key(path, number, columns[0], split) for number, columns in rows]
    numbers = [_numbers(path, number, columns) for number, columns in rows]
    # A list of videos gives each once, with its first frame and its length.
    lengths = [given[1] for given in numbers if given and given[0] == 0]
    if len(lengths) == len(set(keys)) == len(keys):
        return [
            VideoJob(key, range(0, length, every or 1))
            for key, length in zip(keys, lengths, strict=True)
        ]
    frames: dict[str, list[int]] = {}
    for key, given in zip(keys, numbers, strict=True):
        video, _, last = key.rpartition("/")
        if given:
            frames.setdefault(key, []).append(given[0])
        elif _is_number(last):
            frames.setdefault(video, []).append(int(last))
        else:
            frames.setdefault(key, [])
    if every is not None and any(frames.values()):
        raise FaimError(f"{path}: lists frames; expected a list of videos with --every")
    step = every or (TRAIN_EVERY if split == "train" else 1)
    return [
        VideoJob(key, tuple(chosen)) if chosen else VideoJob(key, None, step)
        for key, chosen in frames.items()
    ]


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and columns of the lines that are not empty."""
    text = read_text(path, "a list as text")
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    if not any(columns for _, columns in lines):
        raise FaimError(f"{path}: is empty; expected one video, frame or image a line")
    return ((number, columns) for number, columns in lines if columns)


def _key(path: Path, number: int, name: str, split: str) -> str:
    other = "train/" if split == "val" else "val/"
    if name.startswith(other):
        raise FaimError(f"{path}: line {number} is of {other[:-1]}; expected --split {split}")
    return name if name.startswith(f"{split}/") else f"{split}/{name}"


def _numbers(path: Path, number: int, columns: list[str]) -> tuple[int, int] | None:
    """Frame and length from a line of four columns; None from one of one or two."""
    if len(columns) <= 2:
        return None
    if len(columns) != 4 or not all(map(_is_number, columns[1:])):
        raise FaimError(
            f"{path}: line {number} is {' '.join(columns)!r}; expected a folder and three numbers, "
            "or a folder or frame and at most one"
        )
    frame, length = int(columns[2]), int(columns[3])
    if frame >= length:
        raise FaimError(f"{path}: line {number} has frame {frame}; expected one below {length}")
    return frame, length


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _video_folders(folder: Path, prefix: str) -> Iterator[str]:
    """Folders without folders, sorted; only the first entry of each is looked at."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir())
    for name in names:
        with os.scandir(folder / name) as entries:
            first = next(entries, None)
        if first is not None and first.is_dir():
            yield from _video_folders(folder / name, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}"
