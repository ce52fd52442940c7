"""What an evaluation leaves behind for `faim report`.

A run folder holds `run.json`, the report with a name; of every mode `detections_<mode>.json`,
COCO's list of results; and `features.npz`, proposal features, where a model was run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.features import FeatureSample
from faim.evaluation.report import check_writable, write_json
from faim.evaluation.results_file import write_detections
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
    detections: Mapping[str, Mapping[int, Detections]],
    features: FeatureSample | None = None,
) -> None:
    """Write a run folder; what an earlier run left in it is replaced.

    Args:
        folder: see `prepare_run_folder`; its name is the run's.
        data: what was evaluated on.
        report: the figures, see `run_eval`.
        detections: by mode and image id.
        features: of proposals.

    Raises:
        FaimError: a file cannot be written.
    """
    for old in [*folder.glob("detections_*.json"), folder / FEATURES_FILE, folder / RUN_FILE]:
        try:
            old.unlink(missing_ok=True)
        except OSError as error:
            raise FaimError(f"{old}: cannot be replaced ({error.strerror})") from error
    for mode, found in detections.items():
        write_detections(folder / f"detections_{mode}.json", data, found)
    if features is not None:
        features.write(folder / FEATURES_FILE)
    # Last, so that a folder with it is whole.
    write_json(folder / RUN_FILE, {"name": folder.resolve().name, **report})
