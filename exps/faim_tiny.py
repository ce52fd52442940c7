"""Second stage: FAIM on a trained YOLOX-tiny."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(variant="tiny")
