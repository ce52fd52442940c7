"""Second stage: FAIM on a trained YOLOX-x."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(variant="x")
