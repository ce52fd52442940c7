"""Second stage: YOLOV, the baseline, on a trained YOLOX-nano."""

from faim.training.experiment import YolovExperiment

exp = YolovExperiment(variant="nano", model={"test_size": (416, 416)})
