"""First stage: YOLOX-s on single frames of video, from COCO weights."""

from faim.training.experiment import BaseExperiment

exp = BaseExperiment(variant="s")
