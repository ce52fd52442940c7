"""Second stage: YOLOV, the baseline, on a trained YOLOX-x."""

from faim.training.experiment import YolovExperiment

exp = YolovExperiment(variant="x")
