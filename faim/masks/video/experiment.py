"""The box-to-mask network's experiment, where users' files have always found it."""

from __future__ import annotations

from faim.families.boxvos.experiment import BoxVosExperiment

__all__ = ["BoxVosExperiment"]
