"""Experiments: every number of a training in one typed place.

An experiment file (`exps/*.py`) defines `exp`, an instance of one of the two stages here, or a
class `Exp`. Any field can be overridden on the command line as `key=value`.
"""

from __future__ import annotations

from faim.data.video_frames import every_nth_frame, seen_classes
from faim.training.base_stage import BaseExperiment
from faim.training.common import Precision
from faim.training.detector_experiment import Experiment
from faim.training.second_stage import FaimExperiment, YolovExperiment, YolovIfemExperiment

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
