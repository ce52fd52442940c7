"""Writes a SynthVID data set: frames, and their ground truth as CocoVID JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from faim.data.synth.cast import Edition
from faim.data.synth.degrade import Severity
from faim.data.synth.scene import BoolMask, Scene
from faim.data.synth.textures import CLASS_NAMES
from faim.errors import FaimError
from faim.files import write_whole

#: Of each edition; changes whenever the same arguments give other files.
VERSIONS: dict[Edition, str] = {1: "1.0", 2: "2.0"}
JPEG_QUALITY = 92
#: An object is annotated from this visible share of its area on, and this many pixels.
LEAST_VISIBLE = 0.2
LEAST_AREA = 40


@dataclass(frozen=True)
class Recipe:
    """The arguments that make a data set, without their checks.

    Attributes:
        frames: length of each video.
        size: side of the square frames, pixels.
        classes: number of classes, the first of `CLASS_NAMES`.
        severity: strength and share of the degradations.
        seed: of the random numbers; video k is drawn from (seed, k) whatever the other videos.
        edition: see `faim.data.synth.cast`.
    """

    frames: int
    size: int
    classes: int
    severity: Severity
    seed: int
    edition: Edition = 1

    @property
    def arguments(self) -> dict[str, Any]:
        """As the annotation file states them; the first edition's file names no edition."""
        stated = asdict(self)
        if self.edition == 1:
            del stated["edition"]
        return stated

    def scene(self, index: int) -> Scene:
        """Video `index` of the data set."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, index]))
        return Scene(self.frames, self.size, self.classes, self.severity, rng, self.edition)


def _annotation(mask: BoolMask, category: int, visibility: float) -> dict[str, Any]:
    """CocoVID's entry of one visible mask (H, W), without its ids."""
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return {
        "category_id": category + 1,
        "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "area": int(np.count_nonzero(mask)),
        "iscrowd": 0,
        "visibility": round(visibility, 3),
        "segmentation": {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")},
    }


def _video_folder(index: int) -> str:
    return f"frames/video_{index:04d}"


def _write_video(index: int, recipe: Recipe, out: Path) -> list[dict[str, Any]]:
    """Write one video's frames; returns for each its degradation and annotations.

    The annotations carry the actor's number in the video as `instance_id`.
    """
    folder = out / _video_folder(index)
    folder.mkdir(parents=True, exist_ok=True)
    scene = recipe.scene(index)
    records = []
    for time, frame in enumerate(scene.draw()):
        _, data = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / f"{time:06d}.jpg").write_bytes(data.tobytes())
        annotations = []
        for number, (actor, mask, visible) in enumerate(
            zip(scene.actors, frame.masks, frame.visibility, strict=True)
        ):
            if visible >= LEAST_VISIBLE and np.count_nonzero(mask) >= LEAST_AREA:
                entry = _annotation(mask, actor.category, visible)
                annotations.append({"instance_id": number, **entry})
        records.append({"degradation": frame.degradation, "annotations": annotations})
    return records


def _each_video(recipe: Recipe, videos: int, out: Path, workers: int) -> Iterator[list[Any]]:
    """The records of `_write_video` in the order of the videos."""
    write = partial(_write_video, recipe=recipe, out=out)
    if workers == 1:
        yield from map(write, range(videos))
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from pool.map(write, range(videos))


class _Ledger:
    """Collects the records of the videos into one CocoVID dictionary, numbering everything."""

    def __init__(self, recipe: Recipe, videos: int) -> None:
        self._size = recipe.size
        self._instances = 0
        self.data: dict[str, Any] = {
            "info": {
                "description": "SynthVID: generated video whose classes show in fine texture only",
                "generator": "faim synth",
                "version": VERSIONS[recipe.edition],
                "arguments": {"videos": videos, **recipe.arguments},
                "seed": recipe.seed,
                "exhaustive": True,
            },
            "categories": [
                {"id": i + 1, "name": name} for i, name in enumerate(CLASS_NAMES[: recipe.classes])
            ],
            "videos": [],
            "images": [],
            "annotations": [],
        }

    def add(self, records: list[dict[str, Any]]) -> None:
        data, side = self.data, {"width": self._size, "height": self._size}
        index = len(data["videos"])
        name = Path(_video_folder(index)).name
        data["videos"].append({"id": index + 1, "name": name, "length": len(records), **side})
        numbers: dict[int, int] = {}
        for time, record in enumerate(records):
            image_id = len(data["images"]) + 1
            data["images"].append(
                {
                    "id": image_id,
                    "video_id": index + 1,
                    "frame_id": time,
                    "file_name": f"{_video_folder(index)}/{time:06d}.jpg",
                    **side,
                    "degradation": record["degradation"],
                }
            )
            for annotation in record["annotations"]:
                number = annotation["instance_id"]
                if number not in numbers:
                    self._instances += 1
                    numbers[number] = self._instances
                entry = {**annotation, "instance_id": numbers[number]}
                ids = {"id": len(data["annotations"]) + 1, "image_id": image_id}
                data["annotations"].append({**ids, "video_id": index + 1, **entry})


def _check(videos: int, recipe: Recipe, workers: int) -> None:
    """Raise FaimError for an argument out of its range."""
    lowest = {"videos": (videos, 1), "frames": (recipe.frames, 1), "size": (recipe.size, 64)}
    lowest |= {"seed": (recipe.seed, 0), "workers": (workers, 1)}
    for name, (value, least) in lowest.items():
        if value < least:
            raise FaimError(f"{name} is {value}, expected at least {least}")
    if not 1 <= recipe.classes <= len(CLASS_NAMES):
        raise FaimError(f"classes is {recipe.classes}, expected 1 to {len(CLASS_NAMES)}")
    if recipe.severity not in get_args(Severity):
        raise FaimError(f"severity is {recipe.severity!r}, expected 'easy' or 'hard'")
    if recipe.edition not in VERSIONS:
        raise FaimError(f"edition is {recipe.edition!r}, expected 1 or 2")


@contextmanager
def _telling_where(out: Path) -> Iterator[None]:
    """Turn the system's refusal to write under `out` into a FaimError."""
    try:
        yield
    except OSError as error:
        raise FaimError(f"cannot write the data set to {out}: {error.strerror or error}") from error


def generate(
    out: Path,
    *,
    videos: int,
    frames: int,
    size: int,
    classes: int,
    severity: Severity,
    seed: int,
    edition: Edition = 1,
    progress: bool = True,
    workers: int = 1,
) -> Path:
    """Write a SynthVID data set, the same bytes for the same arguments.

    OUT/annotations.json is CocoVID with compressed RLE masks of the visible pixels, and is written
    last; OUT/frames/video_0000/000000.jpg and so on are the frames. Video k depends on the seed
    and k, not on the number of videos, so a longer data set starts with the shorter one.

    Args:
        out: folder to write to, made if absent; files of an earlier run are overwritten.
        videos: number of videos, at least 1.
        frames: frames a video, at least 1; below 5 every frame is clear.
        size: side of the square frames in pixels, at least 64.
        classes: 1 to 8, the first of `CLASS_NAMES`.
        severity: "easy" degrades about 15 % of the frames mildly, "hard" about 60 % strongly.
        seed: at least 0.
        edition: 1 has one object a class and video, all of about one size; 2 has several of a
            class in most videos, of sizes from a ninth to two thirds of the frame's side.
        progress: show a bar.
        workers: processes that draw videos; the files do not depend on it.

    Returns:
        The path of annotations.json.

    Raises:
        FaimError: an argument is out of range, or `out` is a file or cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = generate(
        ...         Path(folder), videos=1, frames=2, size=64, classes=2,
        ...         severity="easy", seed=0, progress=False,
        ...     )
        ...     file.name, sorted(each.name for each in Path(folder, "frames/video_0000").iterdir())
        ('annotations.json', ['000000.jpg', '000001.jpg'])
    """
    recipe = Recipe(frames, size, classes, severity, seed, edition)
    _check(videos, recipe, workers)
    out = Path(out)
    target = out / "annotations.json"
    ledger = _Ledger(recipe, videos)
    columns = (TextColumn("synth"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _telling_where(out), Progress(*columns, disable=not progress) as bar:
        if out.exists() and not out.is_dir():
            raise FaimError(f"{out} is a file, expected a folder to write the data set to")
        out.mkdir(parents=True, exist_ok=True)
        # Old annotations must not describe new frames if this run is interrupted.
        target.unlink(missing_ok=True)
        task = bar.add_task("synth", total=videos)
        for records in _each_video(recipe, videos, out, workers):
            ledger.add(records)
            bar.advance(task)
        text = json.dumps(ledger.data, separators=(",", ":"))
        write_whole(target, lambda part: part.write_text(text, encoding="utf-8"))
    return target
