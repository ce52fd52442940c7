"""Second stage: YOLOV with instance masks learnt beside it, on a trained YOLOX-s."""

from faim.training.experiment import YolovIfemExperiment

exp = YolovIfemExperiment(variant="s")
