"""Second stage: YOLOV, the baseline, on a trained YOLOX-tiny."""

from faim.training.experiment import YolovExperiment

exp = YolovExperiment(variant="tiny", model={"test_size": (416, 416)})
