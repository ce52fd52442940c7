"""ImageNet VID and DET (Russakovsky et al., IJCV 2015) to CocoVID.

The folder is ILSVRC2015, as it is unpacked: `Data`, `Annotations` and, in part, `ImageSets`, each
with VID and DET. Frames of VID are `000000.JPEG` and so on. FAIM's base detectors learn from both
(FAIM, Section 4): `convert_imagenet` writes them into one file. VID's boxes are complete; DET's
training images may show things of a class that nobody marked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from faim.data.converters.builder import (
    FrameItem,
    Problems,
    Summary,
    VideoItem,
    convert_videos,
)
from faim.data.converters.imagenet_classes import CATEGORIES
from faim.data.converters.imagenet_lists import ImageJob, VideoJob, image_jobs, video_jobs
from faim.data.converters.imagenet_xml import ImageAnnotation, read_annotation
from faim.errors import FaimError
from faim.pictures.reading import read_image


def convert_imagenet_vid(
    source: Path,
    out: Path,
    *,
    split: Literal["train", "val"] = "train",
    listed: Path | None = None,
    every: int | None = None,
    **how: Any,
) -> Summary:
    """Write a split of VID; frames without objects stay.

    Args:
        source: the folder ILSVRC2015, or the one it is in.
        out: the JSON file.
        split: "train" or "val".
        listed: a list of videos or frames, see `video_jobs`.
        every: take each N-th frame, see `video_jobs`.
        how: as `_convert` takes it: check_images, strict, workers, console.

    Raises:
        FaimError: as `video_jobs` and `convert_videos`.
    """
    root = find_root(source)
    return _convert(video_jobs(root, split, listed, every), root, out, Problems(), **how)


def convert_imagenet_det(
    source: Path, out: Path, *, listed: Path | None = None, **how: Any
) -> Summary:
    """Write the images of DET that show one of VID's 30 classes, as videos of one frame.

    Objects of the other classes are left out and counted as "other class". Arguments and errors are
    those of `convert_imagenet_vid`; for `listed` see `image_jobs`.
    """
    root, found = find_root(source), Problems()
    return _convert(image_jobs(root, found, listed), root, out, found, **how)


def convert_imagenet(
    source: Path,
    out: Path,
    *,
    vid_list: Path | None = None,
    det_list: Path | None = None,
    every: int | None = None,
    **how: Any,
) -> Summary:
    """Write the training splits of both, VID first. Arguments and errors are those of the two."""
    root, found = find_root(source), Problems()
    videos = video_jobs(root, "train", vid_list, every)
    images = image_jobs(root, found, det_list)
    return _convert([*videos, *images], root, out, found, **how)


def find_root(source: Path) -> Path:
    """The folder with `Data` and `Annotations`: `source` itself, or ILSVRC2015 in it.

    Raises:
        FaimError: it is neither.
    """
    for folder in (source, source / "ILSVRC2015", source / "ILSVRC"):
        if (folder / "Data").is_dir() and (folder / "Annotations").is_dir():
            return folder.absolute()
    raise FaimError(f"{source}: has no Data and Annotations; expected the folder ILSVRC2015")


def read_job(
    job: VideoJob | ImageJob, *, root: Path, check_images: bool
) -> tuple[VideoItem | None, Problems]:
    """The video of a job, read from the folder ILSVRC2015; for `convert_videos`."""
    problems = Problems()
    if isinstance(job, ImageJob):
        return _read_image(job, root, check_images, problems), problems
    return _read_video(job, root, check_images, problems), problems


def _convert(
    jobs: Sequence[VideoJob | ImageJob],
    root: Path,
    out: Path,
    found: Problems,
    *,
    check_images: bool = False,
    **how: Any,
) -> Summary:
    """`convert_videos` with `how`; `check_images` decodes every image, which takes long."""
    read = partial(read_job, root=root, check_images=check_images)
    return convert_videos(jobs, read, CATEGORIES, out, found=found, **how)


def _read_video(job: VideoJob, root: Path, check_images: bool, problems: Problems) -> VideoItem:
    images, annotations = (root / kind / "VID" / job.key for kind in ("Data", "Annotations"))
    present = _numbers(images, ".JPEG")
    numbers = job.frames
    if numbers is None:
        numbers = sorted(present | _numbers(annotations, ".xml"))[:: job.every]
    extra = {"is_vid_train_frame": job.key.startswith("train/")}
    tracks: dict[str, int] = {}
    frames = []
    for number in _present(numbers, present, images, problems):
        file, xml = images / f"{number:06}.JPEG", annotations / f"{number:06}.xml"
        read = _read(xml, tracks, problems)
        if read is not None:
            for name in read.other:
                problems.add("unknown class", f"{xml} ({name})")
            size = _size(file, read, check_images, problems)
            if size:
                frames.append(FrameItem(file, *size, number, read.boxes, extra))
    return VideoItem(job.key, tuple(frames))


def _present(
    wanted: Sequence[int], present: set[int], folder: Path, problems: Problems
) -> list[int]:
    """The wanted numbers that have an image, sorted; a list may give a video any length."""
    if isinstance(wanted, range):
        found = sorted(number for number in present if number in wanted)
    else:
        found = sorted(number for number in wanted if number in present)
    if missing := len(wanted) - len(found):
        first = next(number for number in wanted if number not in present)
        problems.add("missing image", str(folder / f"{first:06}.JPEG"), missing)
    return found


def _read_image(
    job: ImageJob, root: Path, check_images: bool, problems: Problems
) -> VideoItem | None:
    file = root / "Data" / "DET" / f"{job.key}.JPEG"
    if not file.is_file():
        problems.add("missing image", str(file))
        return None
    read = _read(root / "Annotations" / "DET" / f"{job.key}.xml", {}, problems)
    if read is None:
        return None
    if not read.boxes and not job.listed:
        problems.note("image of other classes")
        return None
    if read.other:
        problems.note("other class", len(read.other))
    size = _size(file, read, check_images, problems)
    if not size:
        return None
    frame = FrameItem(file, *size, 0, read.boxes, {"is_vid_train_frame": False})
    return VideoItem(job.key, (frame,))


def _read(path: Path, tracks: dict[str, int], problems: Problems) -> ImageAnnotation | None:
    try:
        return read_annotation(path, tracks)
    except FileNotFoundError:
        problems.add("missing annotation", str(path))
    except ValueError as error:
        problems.add("unreadable", f"{path} ({error})")
    return None


def _size(
    file: Path, read: ImageAnnotation, check_images: bool, problems: Problems
) -> tuple[int, int] | None:
    """Width and height: the image's own if it is to be checked; None if it cannot be decoded."""
    annotated = read.width, read.height
    if not check_images:
        return annotated
    try:
        height, width = read_image(file, annotated).shape[:2]
    except FaimError:
        problems.add("unreadable", str(file))
        return None
    if (width, height) != annotated:
        stated = f"{read.width}x{read.height}"
        problems.add("size differs", f"{file} (is {width}x{height}, annotated {stated})")
    return width, height


def _numbers(folder: Path, suffix: str) -> set[int]:
    """Numbers of the frames a folder has files of; none if it is not there."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(suffix)]
    except FileNotFoundError:
        return set()
    stems = (name.removesuffix(suffix) for name in names)
    return {int(stem) for stem in stems if len(stem) == 6 and stem.isdecimal()}
