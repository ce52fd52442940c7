"""Second stage: YOLOV, the baseline, on a trained YOLOX-s."""

from faim.training.experiment import YolovExperiment

exp = YolovExperiment(variant="s")
