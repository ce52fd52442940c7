"""What an evaluation leaves behind for `faim report`.

A run folder holds `run.json`, the report with a name; of every mode `detections_<mode>.json`,
COCO's list of results; and `features.npz`, proposal features, where a model was run.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.classes import OtherClasses
from faim.evaluation.features import FeatureSample
from faim.evaluation.results_file import write_detections
from faim.files import check_writable, scratch_folder, write_json
from faim.structures import Detections

RUN_FILE = "run.json"
FEATURES_FILE = "features.npz"


def prepare_run_folder(folder: Path) -> None:
    """Make the folder before the work; FaimError if nothing can be written there."""
    check_writable(folder / RUN_FILE)


def write_run_folder(
    folder: Path,
    data: CocoVid,
    report: Mapping[str, Any],
    found: Mapping[str, tuple[Mapping[int, Detections], OtherClasses]],
    features: FeatureSample | None = None,
) -> None:
    """Write a run folder; what an earlier run left in it is replaced, or stays where this fails.

    Args:
        folder: see `prepare_run_folder`; its name is the run's.
        data: what was evaluated on.
        report: the figures, see `run_eval`.
        found: by mode the detections, by image id, and what is shown beyond the dataset's classes.
        features: of proposals.

    Raises:
        FaimError: a file cannot be written.
    """
    try:
        with scratch_folder(folder) as part:
            for mode, (detections, others) in found.items():
                write_detections(part / f"detections_{mode}.json", data, detections, others)
            if features is not None:
                features.write(part / FEATURES_FILE)
            write_json(part / RUN_FILE, {"name": folder.resolve().name, **report})
            _swap(part, folder)
    except OSError as error:
        raise FaimError(
            f"{folder}: cannot be written ({error.strerror}); expected a writable folder"
        ) from error


def _swap(part: Path, folder: Path) -> None:
    """Put the files of `part` in the place of those of an earlier run, all or none."""
    fresh, old = list(part.iterdir()), part / "old"
    earlier = [*folder.glob("detections_*.json"), folder / FEATURES_FILE, folder / RUN_FILE]
    try:
        old.mkdir()
        # With run.json first out and last in, a folder that has it is whole.
        for file in sorted(earlier, key=_is_run_file, reverse=True):
            if file.is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{file.name} is a folder")
            with suppress(FileNotFoundError):
                file.replace(old / file.name)
        for file in sorted(fresh, key=_is_run_file):
            file.replace(folder / file.name)
    except BaseException as error:
        for file in fresh:
            if not file.exists():
                (folder / file.name).replace(file)
        for file in sorted(old.glob("*"), key=_is_run_file):
            file.replace(folder / file.name)
        if isinstance(error, OSError):
            raise FaimError(
                f"{folder}: cannot be written ({error.strerror}); expected a folder whose files "
                "may be replaced"
            ) from error
        raise


def _is_run_file(file: Path) -> bool:
    return file.name == RUN_FILE
