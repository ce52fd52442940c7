"""Second stage: FAIM on a trained YOLOX-nano."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(variant="nano", model={"test_size": (416, 416)})
