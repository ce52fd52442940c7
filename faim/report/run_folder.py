"""What `faim eval --out` leaves behind, read back."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.results_file import read_detections
from faim.evaluation.run_folder import FEATURES_FILE, RUN_FILE
from faim.evaluation.tables import Case
from faim.reading import read_json, shown

#: What NumPy raises for a file that is cut, changed, or of another kind.
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
)
#: Of figures, which are percents, milliseconds and counts; charts cannot draw any number.
_LARGEST = 1e15


@dataclass(frozen=True)
class Features:
    """Features of proposals that match ground truth.

    Attributes:
        labels: (N,) int64, indices into the run's classes.
        before: (N, D) float64, before aggregation.
        after: (N, E) float64, after it; None where nothing is aggregated.
    """

    labels: npt.NDArray[np.int64]
    before: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluation.

    Attributes:
        folder: where it lies.
        name: its own name, else the folder's.
        about: what else `run.json` says: weights, data, size, machine …
        classes: class names of the dataset, sorted by category id.
        modes: figures by mode, at least one mode.
    """

    folder: Path
    name: str
    about: dict[str, Any]
    classes: tuple[str, ...]
    modes: dict[str, dict[str, Any]]

    def detections(self, mode: str, data: CocoVid) -> Case:
        """What a mode found, against the ground truth.

        Raises:
            FaimError: the file is missing or damaged, or of other images or categories than `data`.
        """
        return Case(data, read_detections(self.folder / f"detections_{mode}.json", data))

    def features(self) -> Features | None:
        """Features of proposals, None where none were kept; FaimError if the file is damaged."""
        path = self.folder / FEATURES_FILE
        return _read_features(path, len(self.classes)) if path.exists() else None


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises:
        FaimError: no such folder, or its `run.json` or a mode's detections are missing, or
            `run.json` is damaged.
    """
    if not os.path.isdir(folder):  # noqa: PTH112 - is_dir raises for names too long
        raise FaimError(f"{folder}: no such folder; expected one written by `faim eval --out`")
    path = folder / RUN_FILE
    if not _is_file(path):
        raise FaimError(f"{folder}: has no {RUN_FILE}; expected a folder of `faim eval --out`")
    content = read_json(path)
    modes, classes = content.get("modes"), content.get("classes")
    if not isinstance(modes, dict) or not modes or not all(map(_is_record, modes.values())):
        raise FaimError(f"{path}: `modes` is {_shown(modes)}; expected each mode's figures")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise FaimError(f"{path}: `classes` is {_shown(classes)}; expected the class names")
    huge = _huge(modes)
    if huge is not None:
        raise FaimError(f"{path}: `{huge}` is no number below 1e15; expected a figure, or null")
    for mode in modes:
        if Path(mode).name != mode or not _is_file(folder / f"detections_{mode}.json"):
            raise FaimError(f"{folder}: has no detections_{mode}.json; expected one for every mode")
    name = content.get("name") or folder.resolve().name
    return Run(folder, str(name), content, tuple(classes), modes)


def figure(figures: dict[str, Any], *keys: str) -> float:
    """A number of `run.json` at a path of keys; NaN where it is absent or no number."""
    value: Any = figures
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if known else math.nan


def _huge(figures: dict[str, Any]) -> str | None:
    """The key of a number that is too large for a figure, at any depth; None without."""
    for key, value in figures.items():
        if isinstance(value, dict):
            inner = _huge(value)
            if inner is not None:
                return f"{key}.{inner}"
        elif isinstance(value, (int, float)) and abs(value) > _LARGEST:
            return key
    return None


def _read_features(path: Path, classes: int) -> Features:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = arrays["labels"].astype(np.int64)
            before = arrays["before"].astype(np.float64)
            after = arrays["after"].astype(np.float64) if "after" in arrays else None
    except _UNREADABLE as error:
        raise FaimError(
            f"{path}: cannot be read ({error}); expected arrays `labels` and `before`"
        ) from error
    tables = [before] if after is None else [before, after]
    if labels.ndim != 1 or not all(_fits(table, len(labels)) for table in tables):
        raise FaimError(f"{path}: has arrays that do not fit; expected a finite row for each label")
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise FaimError(f"{path}: has labels beyond the {classes} classes; expected their indices")
    return Features(labels, before, after if after is not None and after.size else None)


def _fits(table: npt.NDArray[np.float64], rows: int) -> bool:
    # Distances between rows are squares, which must be numbers too.
    small = np.isfinite(table).all() and np.abs(table).max(initial=0) < _LARGEST
    return table.ndim == 2 and len(table) == rows and (not rows or table.size > 0) and bool(small)


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - is_file raises for names too long


def _is_record(value: Any) -> bool:
    return isinstance(value, dict)


def _shown(value: Any) -> str:
    return "missing" if value is None else shown(value)
