"""Second stage: FAIM on a trained YOLOX-l."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(variant="l")
