"""Second stage: YOLOV, the baseline, on a trained YOLOX-l."""

from faim.training.experiment import YolovExperiment

exp = YolovExperiment(variant="l")
