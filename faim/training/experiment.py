"""The experiments of detectors, where users' files have always found them."""

from __future__ import annotations

from faim.data.video_frames import every_nth_frame, seen_classes
from faim.experiments.common import Precision
from faim.families.yolox.experiments import (
    BaseExperiment,
    Experiment,
    FaimExperiment,
    YolovExperiment,
    YolovIfemExperiment,
)

__all__ = [
    "BaseExperiment",
    "Experiment",
    "FaimExperiment",
    "Precision",
    "YolovExperiment",
    "YolovIfemExperiment",
    "every_nth_frame",
    "seen_classes",
]
