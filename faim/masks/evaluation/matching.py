"""Which predicted annotation stands for which true one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from faim.data.coco_vid import Annotation, CocoVid, FrameRecord
from faim.errors import FaimError

#: Overlap from which boxes without instance ids are taken for the same object.
SAME_BOX_IOU = 0.5


@dataclass(frozen=True)
class Pair:
    """A predicted and a true annotation of one frame; None where there is no counterpart."""

    predicted: Annotation | None
    truth: Annotation | None

    @property
    def instance_id(self) -> int:
        """The object in its video: the truth's number if there is one; -1 unknown."""
        annotation = self.truth or self.predicted
        return -1 if annotation is None else annotation.instance_id


def match_frames(predicted: CocoVid, truth: CocoVid) -> dict[int, FrameRecord]:
    """The predicted frames by image id, of the images that the truth has.

    Raises:
        FaimError: an id is another image in the two files: by its file name or size.
    """
    known = {frame.image_id: frame for frame in truth.frames}
    found = {}
    for frame in predicted.frames:
        other = known.get(frame.image_id)
        if other is None:
            continue
        if _describe(frame) != _describe(other):
            raise FaimError(
                f"{predicted.annotation_file}: image {frame.image_id} is {_describe(frame)}; "
                f"expected {_describe(other)}, as in {truth.annotation_file}"
            )
        found[frame.image_id] = frame
    return found


def match_annotations(predicted: Sequence[Annotation], truth: Sequence[Annotation]) -> list[Pair]:
    """Pair the annotations of one frame, each at most once; classes do not count.

    First by instance id, where it stands once on either side. Then by boxes, best IoU first, down
    to `SAME_BOX_IOU`; two that both have such an id are two objects, and no such pair.

    Returns:
        The true annotations in their order, then what was predicted beside them.
    """
    ours, theirs = _by_instance(predicted), _by_instance(truth)
    partner = {theirs[number]: ours[number] for number in theirs if number in ours}
    if len(partner) < min(len(predicted), len(truth)):
        iou = _box_iou(predicted, truth)
        iou[np.ix_([*ours.values()], [*theirs.values()])] = 0
        iou[:, [*partner]] = 0
        iou[[*partner.values()]] = 0
        partner |= _best_first(iou)
    pairs = [
        Pair(predicted[partner[k]] if k in partner else None, annotation)
        for k, annotation in enumerate(truth)
    ]
    used = set(partner.values())
    return pairs + [Pair(each, None) for k, each in enumerate(predicted) if k not in used]


def _by_instance(annotations: Sequence[Annotation]) -> dict[int, int]:
    """Places by instance id, of the ids that occur once."""
    counts = Counter(each.instance_id for each in annotations)
    return {
        each.instance_id: place
        for place, each in enumerate(annotations)
        if each.instance_id >= 0 and counts[each.instance_id] == 1
    }


def _best_first(iou: npt.NDArray[np.float64]) -> dict[int, int]:
    """Rows by columns of the greatest entries, each row and column once; `iou` is used up."""
    pairs = {}
    while iou.max() >= SAME_BOX_IOU:
        row, column = divmod(int(iou.argmax()), iou.shape[1])
        pairs[column] = row
        iou[row], iou[:, column] = 0, 0
    return pairs


def _box_iou(first: Sequence[Annotation], second: Sequence[Annotation]) -> npt.NDArray[np.float64]:
    """(p, t), all pairs; neither is empty."""
    corners = [np.array([each.box for each in side], np.float64) for side in (first, second)]
    boxes = [np.hstack([side[:, :2], side[:, 2:] - side[:, :2]]) for side in corners]
    return np.asarray(coco_mask.iou(*boxes, [False] * len(second)))


def _describe(frame: FrameRecord) -> str:
    return f"{frame.path.name}, {frame.width}x{frame.height}"
