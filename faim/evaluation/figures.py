"""Everything that one set of detections is measured by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from faim.choices import PostName
from faim.data.coco_vid import CocoVid
from faim.evaluation.average_precision import (
    ApResult,
    Levels,
    ap_of,
    ap_of_degradations,
    ap_of_splits,
)
from faim.evaluation.classes import OtherClasses
from faim.evaluation.error_split import error_split
from faim.evaluation.motion import SPEEDS, SpeedResult, by_speed
from faim.evaluation.stability import Stability, stability_of
from faim.evaluation.tables import Case
from faim.evaluation.viewer import ViewerFigures, viewer_figures
from faim.structures import Detections


@dataclass(frozen=True)
class ModeFigures:
    """One mode's figures.

    Attributes:
        ap: average precision.
        stability: share found, flips, class switches and jitter.
        ms_per_frame: median milliseconds; NaN where nothing was timed.
        speeds: by speed of motion; None where no object's speed is known.
        splits: average precision of the videos of each split alone.
        degradations: average precision of the frames of each kind of degradation alone.
        errors: see `error_split`.
        post: the post-processing that ran, None where that is not known.
        viewer: wrong labels, boxes a frame, doubles, ghosts and false boxes.
    """

    ap: ApResult
    stability: Stability
    ms_per_frame: float
    speeds: SpeedResult | None = None
    splits: dict[str, ApResult] = field(default_factory=dict)
    degradations: dict[str, ApResult] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    post: PostName | None = None
    viewer: ViewerFigures = field(default_factory=ViewerFigures)


def measure(
    data: CocoVid,
    detections: Mapping[int, Detections],
    ms_per_frame: float = math.nan,
    post: PostName | None = None,
    others: OtherClasses | None = None,
) -> ModeFigures:
    """All figures; errors and the other arguments as `evaluate_ap` and `viewer_figures`."""
    case = Case(data, detections)
    return ModeFigures(
        ap=ap_of(case),
        stability=stability_of(case),
        viewer=viewer_figures(data, detections, others),
        ms_per_frame=ms_per_frame,
        speeds=by_speed(case),
        splits=ap_of_splits(data, detections),
        degradations=ap_of_degradations(data, detections),
        errors=error_split(case),
        post=post,
    )


def as_dictionary(figures: Mapping[str, ModeFigures]) -> dict[str, Any]:
    """The figures by mode, ready for JSON; what is not known is None, or its part is absent."""
    return {mode: _of_mode(f) for mode, f in figures.items()}


def _of_mode(figures: ModeFigures) -> dict[str, Any]:
    ap = figures.ap
    content: dict[str, Any] = {
        **levels(ap),
        "per_class": {name: levels(part) for name, part in ap.per_class.items()},
        **known(vars(figures.stability)),
        **known(vars(figures.viewer)),
        "post": figures.post,
        "ms_per_frame": known(vars(figures))["ms_per_frame"],
    }
    if ap.by_size:
        content["by_size"] = {name: levels(part) for name, part in ap.by_size.items()}
    if figures.speeds is not None:
        content["by_speed"] = {
            name: {
                **known({"ap50": figures.speeds.ap50[name]}),
                "objects": figures.speeds.objects[name],
            }
            for name in SPEEDS
        }
        content["objects_of_unknown_speed"] = figures.speeds.unknown
    for key, parts in (("by_split", figures.splits), ("by_degradation", figures.degradations)):
        if parts:
            content[key] = {name: levels(part) for name, part in parts.items()}
    if figures.errors:
        content["errors"] = known(figures.errors)
    return content


def levels(ap: Levels) -> dict[str, Any]:
    """AP50, AP75 and AP50:95, ready for JSON."""
    return known({name: getattr(ap, name) for name in ("ap50", "ap75", "ap50_95")})


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values ready for JSON: None for NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }
