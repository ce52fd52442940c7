"""Whether all objects in the training data have a label, and how TICAM's scores join by that.

Where many have none, nothing teaches TICAM what is none of its classes: see `Join`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pycocotools import mask as coco_mask

from faim.data.coco_vid import CocoVid, FrameRecord, read_frame
from faim.data.transforms import letterbox, to_batch
from faim.families.yolox.config import JoinKind
from faim.families.yolox.experiments import Labels
from faim.families.yolox.ticam_detector import VideoModel, make_proposals
from faim.nn.nms import postprocess
from faim.wording import counted

#: Frames looked at; the score from which a detection is taken for an object; and the IoU from which
#: a label is taken for its.
FRAMES, CONFIDENT, OVERLAP = 64, 0.5, 0.3
#: Fewer detections say nothing; a larger share of them without a label means partial labels.
FEWEST, MOST_UNLABELLED = 10, 0.2


@dataclass(frozen=True)
class LabelCoverage:
    """How many of a detector's confident detections have a label.

    Attributes:
        frames: looked at, at most `FRAMES`.
        detections: in them, scored `CONFIDENT` or more, of the classes that TICAM decides.
        unlabelled: of these, those that overlap no label by an IoU of `OVERLAP`.
    """

    frames: int
    detections: int
    unlabelled: int


@dataclass(frozen=True)
class JoinChoice:
    """A rule for TICAM's scores and the base detector's, and the sentence that says why."""

    join: JoinKind
    sentence: str


def label_coverage(model: VideoModel, data: CocoVid) -> LabelCoverage:
    """Compare a base detector's detections with the labels of frames spread over all videos.

    Labels of any class count, and a crowd by the share of the detection that lies in it.

    Args:
        model: whose base detector is asked, with the data's classes; left as it was.
        data: the training frames.

    Raises:
        FaimError: an image that cannot be read, or is of another size than the file says.
    """
    frames, count = data.frames, min(len(data.frames), FRAMES)
    spread = [frames[(2 * place + 1) * len(frames) // (2 * count)] for place in range(count)]
    was_training = model.training
    model.eval()
    try:
        found = [_has_label(_confident(model, frame), frame) for frame in spread]
    finally:
        model.train(was_training)
    labelled = np.concatenate([np.zeros(0, bool), *found])
    return LabelCoverage(count, len(labelled), int((~labelled).sum()))


def choose_join(labels: Labels, data: CocoVid, model: VideoModel | None) -> JoinChoice:
    """By what the experiment says, else by what the data file says, else by what is found.

    Args:
        labels: of the experiment.
        data: the training frames.
        model: whose base detector to ask, None if it does not know the data's classes.

    Raises:
        FaimError: see `label_coverage`.
    """
    if labels != "auto":
        return _choice(labels == "partial", f"labels={labels}")
    if data.exhaustive is not None:
        extent = "all" if data.exhaustive else "not all"
        return _choice(
            not data.exhaustive, f"{data.annotation_file} says that {extent} objects have a label"
        )
    if model is None:
        return _choice(
            False,
            "labels cannot be judged: the base detector's class names are not those of the data",
        )
    coverage = label_coverage(model, data)
    number, missing = coverage.detections, coverage.unlabelled
    if number < FEWEST:
        return _choice(
            False,
            f"labels cannot be judged: {counted(number, 'confident detection')} of the base "
            f"detector in {counted(coverage.frames, 'frame')}, at least {FEWEST} are needed",
        )
    partial = missing > MOST_UNLABELLED * number
    return _choice(
        partial,
        f"labels look {'partial' if partial else 'exhaustive'}: {missing} of {number} confident "
        f"detections of the base detector ({100 * missing / number:.0f} %) have no label",
    )


def _choice(partial: bool, reason: str) -> JoinChoice:
    if partial:
        rule = "TICAM corrects the base detector's scores (model.join=correction)"
        return JoinChoice(
            "correction", f"{reason}, so {rule}; model.join=replace for the paper's rule"
        )
    rule = "TICAM's scores replace the base detector's (model.join=replace)"
    return JoinChoice("replace", f"{reason}, so {rule}")


@torch.no_grad()
def _confident(model: VideoModel, frame: FrameRecord) -> np.ndarray:
    """The base detector's confident detections, (k, 4) float, x1 y1 x2 y2 in image pixels."""
    config = model.config
    image, geometry = letterbox(read_frame(frame), config.test_size)
    device = next(model.detector.parameters()).device
    picks = model.fspm(model.detector(to_batch([image]).to(device)).raw)
    nothing = picks.boxes[..., :0]
    proposals = make_proposals(picks, nothing, nothing)[0]
    found = postprocess(
        proposals,
        proposals.class_scores,
        score_threshold=CONFIDENT,
        nms_threshold=config.nms_final,
    )
    boxes = found.boxes
    if config.refined is not None:
        boxes = boxes[torch.tensor(config.refined, device=boxes.device)[found.class_ids]]
    return geometry.to_source(boxes).double().cpu().numpy()


def _has_label(boxes: np.ndarray, frame: FrameRecord) -> np.ndarray:
    """Of boxes (k, 4), whether a label is theirs, (k,) bool."""
    known = [*frame.annotations, *frame.crowds]
    if not len(boxes) or not known:
        return np.zeros(len(boxes), bool)
    crowd = [place >= len(frame.annotations) for place in range(len(known))]
    truth = np.array([label.box for label in known], np.float64)
    overlaps = coco_mask.iou(_sized(boxes), _sized(truth), crowd)
    return np.asarray(overlaps).max(axis=1) >= OVERLAP


def _sized(boxes: np.ndarray) -> np.ndarray:
    """x1 y1 x2 y2 as x, y, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
