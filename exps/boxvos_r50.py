"""The box-to-mask network of Zhao et al., 2021, on YouTube-VOS and DAVIS 2017."""

from faim.families.boxvos.experiment import BoxVosExperiment

exp = BoxVosExperiment()
