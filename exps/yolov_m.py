"""Second stage: YOLOV, the baseline, on a trained YOLOX-m."""

from faim.training.experiment import YolovExperiment

exp = YolovExperiment(variant="m")
