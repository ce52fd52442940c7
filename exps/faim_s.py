"""Second stage: FAIM on a trained YOLOX-s."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(variant="s")
