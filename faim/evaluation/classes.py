"""The classes of weights and those of a dataset, matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.evaluation.stability import SCORE_FOUND
from faim.structures import Detections


@dataclass
class OtherClasses:
    """Detections of classes that the weights know and the dataset does not have.

    A viewer sees them; average precision and its like do not know of them.

    Attributes:
        names: the classes, of numbers from `len(data.classes)` on.
        detections: by image id, of score `SCORE_FOUND` or more; images without any may be absent.
    """

    names: tuple[str, ...] = ()
    detections: dict[int, Detections] = field(default_factory=dict)


class ClassMatch:
    """Which class of the dataset each class of a model is.

    Attributes:
        to_dataset: (C,) long, see `match_classes`.
        others: names of the model's classes that the dataset does not have.
    """

    def __init__(self, model_names: Sequence[str], data: CocoVid) -> None:
        """See `match_classes`."""
        self.to_dataset = match_classes(model_names, data)
        strange = self.to_dataset < 0
        self.others = tuple(
            name for name, other in zip(model_names, strange.tolist(), strict=True) if other
        )
        self._to_others = len(data.classes) - 1 + strange.cumsum(0)

    def split(self, found: Detections) -> tuple[Detections, Detections]:
        """A frame's detections of the dataset's classes, and what `OtherClasses` holds of it."""
        labels = self.to_dataset[found.class_ids]
        known = Detections(found.boxes, found.scores, labels)[labels >= 0]
        rest = Detections(found.boxes, found.scores, self._to_others[found.class_ids])
        return known, rest[(labels < 0) & (found.scores >= SCORE_FOUND)]


def match_classes(model_names: Sequence[str], data: CocoVid) -> Tensor:
    """Dataset class of every model class, by name: (C,) long, -1 where the dataset has none.

    Raises:
        FaimError: the dataset has a class that the model does not have.
    """
    unknown = [name for name in data.classes if name not in model_names]
    if unknown:
        raise FaimError(
            f"{data.annotation_file}: {len(unknown)} of {len(data.classes)} classes are unknown to "
            f"the weights ({_some(unknown)}); expected some of {_some(model_names)}"
        )
    place = {name: index for index, name in enumerate(data.classes)}
    return torch.tensor([place.get(name, -1) for name in model_names])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
