"""Which of a frame's detections are given out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import nms

from faim.checks import check_iou
from faim.errors import FaimError
from faim.groups import SelectionOptions
from faim.reading import is_whole, shown
from faim.runtime.class_choice import class_ids_of
from faim.runtime.region import Region, make_region
from faim.structures import Detections


@dataclass(frozen=True)
class Selection:
    """Which of a frame's detections are given out: always some of those that were there without it.

    It comes after the links over time, which go on where it takes detections away: an object that
    leaves the region and comes back is still the same.

    Attributes:
        iou: of the last NMS within a class, and across classes where `agnostic`; in [0, 1].
        agnostic: whether of boxes that overlap by more than `iou` only the best is given out,
            whatever their classes.
        class_ids: those given out; all if None.
        region: where the centre of a box has to lie; anywhere if None.
        max_det: most detections of a frame, the best that the others leave; all if None.

    Raises:
        FaimError: a value out of its range.
    """

    iou: float
    agnostic: bool = False
    class_ids: tuple[int, ...] | None = None
    region: Region | None = None
    max_det: int | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        check_iou(self.iou)
        if not isinstance(self.agnostic, (bool, np.bool_)):
            raise FaimError(f"agnostic: {shown(self.agnostic)} given; expected True or False")
        if self.max_det is not None and not (is_whole(self.max_det) and self.max_det >= 1):
            raise FaimError(
                f"max det: {shown(self.max_det)} given; expected a whole number from 1 on"
            )

    def of(self, found: Detections, size: tuple[int, int]) -> Detections:
        """Those of a frame's detections that are given out, in their order.

        Args:
            found: in pixels of the frame, best score first.
            size: the frame's height and width.
        """
        if self.agnostic:
            found = found[nms(found.boxes, found.scores, self.iou).sort().values]
        if self.class_ids is not None:
            wanted = torch.tensor(self.class_ids, device=found.class_ids.device)
            found = found[torch.isin(found.class_ids, wanted)]
        if self.region is not None:
            centres = ((found.boxes[:, :2] + found.boxes[:, 2:]) / 2).cpu().numpy()
            found = found[torch.from_numpy(self.region.holds(centres, size))]
        return found if self.max_det is None else found[: self.max_det]


def select(options: SelectionOptions, names: Sequence[str], iou: float) -> Selection:
    """What a person asks for, of a model with classes of these names and an `iou` of its own.

    Raises:
        FaimError: a value out of its range, a class that is none, or no region.
    """
    return Selection(
        iou=iou if options.iou is None else options.iou,
        agnostic=options.agnostic,
        class_ids=None if options.classes is None else class_ids_of(options.classes, names),
        region=None if options.roi is None else make_region(options.roi),
        max_det=options.max_det,
    )
