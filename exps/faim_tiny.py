"""Second stage: FAIM on a trained YOLOX-tiny."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(variant="tiny", model={"test_size": (416, 416)})
