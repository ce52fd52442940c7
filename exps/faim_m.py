"""Second stage: FAIM on a trained YOLOX-m."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(variant="m")
