"""Which of a folder's images make a video: those of one name but for the frame's number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from faim.pictures.files import natural_key

#: What Roboflow appends to a name: `name_jpg.rf.HASH`.
_ROBOFLOW = re.compile(r"(_(bmp|jpe?g|png|tiff?|webp))?\.rf\.[0-9A-Za-z]{8,}$")
_NUMBER = re.compile(r"[0-9]+")
_SEPARATORS = "_-. "
#: Pairs of neighbours looked at in a video, and the fewest that say something.
_MOST_PAIRS, _FEWEST_PAIRS = 16, 3
#: Correlation of neighbours' thumbnails below which they are of other scenes; in a moving camera's
#: video it is above 0.8 at 25 frames a second.
ALIKE = 0.3
_THUMBNAIL = (24, 24)


@dataclass(frozen=True)
class Group:
    """Images of one video, in order; `name` is what their names share, "" for their folder's."""

    name: str
    images: tuple[Path, ...]


def frame_name(image: Path) -> str:
    """A frame's name without what an export appended to it."""
    return _ROBOFLOW.sub("", image.stem)


def group_frames(images: Sequence[Path]) -> list[Group]:
    """The videos of a folder's images, in natural order.

    A frame's number is the last in its name, as in `cam1_000123`; where that leaves every image
    alone, the one before, as in `000123_cam1`. An image without a number is a video of its own.
    """
    groups = _split(images, -1)
    if len(groups) == len(images):
        groups = min(groups, _split(images, -2), key=len)
    if len(groups) == 1:
        return [Group("", tuple(next(iter(groups.values()))))]
    names = {key: key.strip(_SEPARATORS) for key in groups}
    if len(set(names.values())) < len(names) or "" in names.values():
        names = {key: key or "frames" for key in groups}
    ordered = sorted(groups, key=lambda key: natural_key(Path(key)))
    return [Group(names[key], tuple(groups[key])) for key in ordered]


def _split(images: Sequence[Path], place: int) -> dict[str, list[Path]]:
    """Images by their name without its number at a place, each in the numbers' order."""
    found: dict[str, list[tuple[int, list[tuple[int, str]], Path]]] = {}
    for image in images:
        name = frame_name(image)
        runs = list(_NUMBER.finditer(name))
        if not runs:
            found.setdefault(name, []).append((0, natural_key(image), image))
            continue
        run = runs[max(place, -len(runs))]
        key = name[: run.start()] + name[run.end() :].rstrip(_SEPARATORS)
        found.setdefault(key, []).append((int(run.group()), natural_key(image), image))
    return {key: [image for *_, image in sorted(each)] for key, each in found.items()}


def strangers(images: Sequence[Path]) -> str | None:
    """Where neighbours do not look like one scene; None where they do, or too few say so.

    Of up to 16 pairs, evenly spread, the median correlation of their thumbnails decides: a cut or
    two within a video does not.
    """
    count = min(len(images) - 1, _MOST_PAIRS)
    if count < _FEWEST_PAIRS:
        return None
    found = []
    for place in np.linspace(0, len(images) - 2, count).astype(int).tolist():
        first, second = _thumbnail(images[place]), _thumbnail(images[place + 1])
        if first is not None and second is not None:
            found.append((_correlation(first, second), place))
    if len(found) < _FEWEST_PAIRS or np.median([value for value, _ in found]) >= ALIKE:
        return None
    value, place = min(found)
    return f"{images[place]} and {images[place + 1].name} (correlation {value:.2f})"


def _thumbnail(image: Path) -> np.ndarray | None:
    """Small and grey, as float64; None if it cannot be read."""
    try:
        with Image.open(image) as opened:
            opened.draft("L", _THUMBNAIL)  # a JPEG is decoded at an eighth of its size
            small = opened.convert("L").resize(_THUMBNAIL, Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return np.asarray(small, np.float64)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """In [-1, 1]; 1 where one of the two is of a single grey."""
    one, other = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / scale if scale > 1e-6 else 1.0
