"""First stage: YOLOX-nano on single frames of video, from COCO weights."""

from faim.training.experiment import BaseExperiment

exp = BaseExperiment(variant="nano", model={"test_size": (416, 416)}, input_size=(416, 416))
