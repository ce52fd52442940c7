"""From the detections of `ablation.py`'s rows to figures that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from faim.data.coco_vid import CocoVid, VideoRecord
from faim.evaluation.average_precision import ap_of
from faim.evaluation.results_file import read_detections
from faim.evaluation.tables import Case
from faim.evaluation.viewer import viewer_figures
from faim.reading import read_json
from faim.structures import Detections
from lab.jobs import Job, value_of
from lab.spread import spread
from lab.subsets import with_videos

MODES = ("frame", "stream", "global")
#: Of a mode, from the evaluation's report, and from its detections.
REPORTED = ("ap50", "ap75", "ap50_95", "found_share", "flips_per_100")
SEEN = ("wrong_labels", "boxes_per_frame")
FIGURES = (*REPORTED, *SEEN)
#: AP50 of parts of the data.
PARTS = ("by_speed", "by_degradation", "by_company")
#: Resamples of the videos, for the interval of a paired difference.
RESAMPLES = 2000

#: What `read_evaluation` gives, by seed.
Seeds = Mapping[str, Mapping[str, Any]]


def read_row(job: Job) -> dict[str, Any]:
    """A job's result, from what its evaluation left; see `read_evaluation`."""
    (line,) = (line for line in job.commands if line[0] == "eval")
    return read_evaluation(Path(value_of(line, "--out")), Path(value_of(line, "--data")))


def read_evaluation(folder: Path, annotations: Path) -> dict[str, Any]:
    """Figures of a run folder.

    Returns:
        `modes`: by mode the `FIGURES`, AP50 by speed, by degradation, and `by_company`, see
        `company`; `videos`: by mode AP50 of each video alone.
    """
    report, data = read_json(folder / "run.json"), CocoVid(annotations)
    modes, videos = {}, {}
    for mode, figures in report["modes"].items():
        found = read_detections(folder / f"detections_{mode}.json", data)
        shown = vars(viewer_figures(data, found))
        modes[mode] = {name: figures[name] for name in REPORTED}
        modes[mode] |= {name: shown[name] for name in SEEN}
        for part in ("by_speed", "by_degradation"):
            modes[mode][part] = {k: v["ap50"] for k, v in figures.get(part, {}).items()}
        videos[mode] = ap_of_videos(data, found)
        modes[mode]["by_company"] = {
            name: ap_of(_case(data, part, found)).ap50 for name, part in company(data).items()
        }
    return {"modes": modes, "videos": videos}


def company(data: CocoVid) -> dict[str, list[VideoRecord]]:
    """The videos by whether some class has several objects, `alike`, or none has, `distinct`.

    A kind without videos is left out.
    """
    found: dict[str, list[VideoRecord]] = {}
    for video in data.videos:
        objects = {(a.category_id, a.instance_id) for f in video.frames for a in f.annotations}
        classes = {category for category, _ in objects}
        if objects:
            kind = "alike" if len(classes) < len(objects) else "distinct"
            found.setdefault(kind, []).append(video)
    return found


def ap_of_videos(data: CocoVid, detections: Mapping[int, Detections]) -> dict[str, float]:
    """AP50 of every video with objects, as if it were the dataset."""
    found = {}
    for video in data.videos:
        case = _case(data, [video], detections)
        if len(case.objects.label):
            found[video.name] = ap_of(case).ap50
    return found


def _case(data: CocoVid, videos: Sequence[VideoRecord], found: Mapping[int, Detections]) -> Case:
    return Case(with_videos(data, videos), found, strict=False)


def summary(row: Seeds, mode: str) -> dict[str, Any]:
    """Mean and spread over the seeds of each of the mode's figures; parts where all have them."""
    modes = [content["modes"][mode] for content in row.values()]
    found: dict[str, Any] = {name: spread_each([each[name] for each in modes]) for name in FIGURES}
    for part in PARTS:
        found[part] = {
            name: spread_each([each[part][name] for each in modes])
            for name, value in modes[0][part].items()
            if value is not None
        }
    return found


def spread_each(values: Sequence[float]) -> dict[str, Any]:
    """See `spread`; and all values, as `each`."""
    return {**spread(values), "each": [*values]}


def gain(row: Seeds, other: Seeds, mode: str, other_mode: str | None = None) -> dict[str, Any]:
    """AP50 of a row minus another's on the same videos, of the seeds that both have.

    Returns:
        `each`: the difference of AP50 of the whole set, seed by seed, and its `mean`; `videos`: the
        mean over videos of the difference on one, averaged over the seeds, with an interval of
        95 % (`low`, `high`: bootstrap over the videos, so that of these trainings) and how many
        videos are `better` and `worse`.
    """
    other_mode = other_mode or mode
    seeds = [seed for seed in row if seed in other]
    each = {s: row[s]["modes"][mode]["ap50"] - other[s]["modes"][other_mode]["ap50"] for s in seeds}
    names = list(row[seeds[0]]["videos"][mode])
    differences = np.array(
        [
            mean(row[s]["videos"][mode][n] - other[s]["videos"][other_mode][n] for s in seeds)
            for n in names
        ]
    )
    low, high = interval(differences)
    return {
        **spread([*each.values()]),
        "each": each,
        "videos": {
            "mean": float(differences.mean()),
            "low": low,
            "high": high,
            "better": int((differences > 0).sum()),
            "worse": int((differences < 0).sum()),
        },
    }


def interval(values: np.ndarray | Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    listed = np.asarray(values)
    draws = np.random.default_rng(0).integers(len(listed), size=(RESAMPLES, len(listed)))
    low, high = np.percentile(listed[draws].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
