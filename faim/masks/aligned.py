"""`aligned`: masks of any instance segmenter, each given to the box that it fits best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torchvision.ops import box_iou

from faim.devices import resolve_device
from faim.errors import FaimError
from faim.masks.prompts import to_rgb
from faim.masks.protocol import Boxes, Frames, ObjectMask, TrackIds
from faim.masks.segmenters import (
    MODELS,
    Found,
    Results,
    load_mask_rcnn,
    read_results,
    run_mask_rcnn,
)
from faim.masks.weight_files import identity


@dataclass
class AlignedMasks:
    """The masks of a segmenter aligned to the boxes by the best IoU (FAIM, A.1).

    The classes that it sees in them do not matter.

    Attributes:
        results: a JSON list of results with masks as COCO has it, whose `image_id` are those of the
            annotation file; or
        checkpoint: weights of torchvision's Mask R-CNN, which then looks at every frame: a file, or
            the name of a model for torchvision's own.
        model: which Mask R-CNN the file is of.
        min_iou: of the box of a mask with the box that it is for, in [0, 1].
        min_score: of the segmenter in a mask.
        device: auto, cpu or a GPU as torch names it.

    Raises:
        FaimError: a value out of its range; not just one of `results` and `checkpoint`.
    """

    results: str | Path | None = None
    checkpoint: str | Path | None = None
    model: str = MODELS[0]
    min_iou: float = 0.5
    min_score: float = 0.05
    device: str = "auto"

    name: ClassVar[str] = "aligned"
    version: ClassVar[int] = 1
    needs_frames: ClassVar[bool] = True
    parallel: ClassVar[bool] = False  # every process would read the results, which takes longest
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Validate."""
        for field in ("min_iou", "min_score"):
            if not 0 <= getattr(self, field) <= 1:
                raise FaimError(
                    f"method aligned: {field} is {getattr(self, field)}; expected 0 to 1"
                )
        if self.model not in MODELS:
            raise FaimError(
                f"method aligned: model is {self.model!r}; expected one of {', '.join(MODELS)}"
            )
        if (self.results is None) == (self.checkpoint is None):
            count = "neither" if self.results is None else "both"
            raise FaimError(
                f"method aligned: {count} of results and checkpoint given; expected "
                "results=FILE.json of a segmenter, or checkpoint=… of torchvision's Mask R-CNN"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """The source of the masks by name and content, and the limits."""
        limits = {"min_iou": self.min_iou, "min_score": self.min_score}
        if self.checkpoint is not None:
            return {**identity(self.checkpoint), "model": self.model, **limits}
        source = identity(str(self.results))
        source["results"] = source.pop("checkpoint")
        return {**source, **limits}

    @cached_property
    def read(self) -> Results:
        """The results; FaimError as `generate`."""
        return read_results(Path(str(self.results)))

    @cached_property
    def network(self) -> nn.Module:
        """The Mask R-CNN; FaimError as `generate`."""
        return load_mask_rcnn(str(self.checkpoint), self.model, resolve_device(self.device))

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """See `MaskMethod`; None for boxes that no mask fits."""
        for index, here in enumerate(boxes):
            if not len(here):
                continue
            found = self._found(frames, index)
            pairs = align(here, found, self.min_iou)
            for number in range(len(here)):
                mask = found.mask(pairs[number]) if number in pairs else None
                yield ObjectMask(index, number, mask)

    def _found(self, frames: Frames, index: int) -> Found:
        if self.results is None:
            return run_mask_rcnn(self.network, to_rgb(frames[index]), self.min_score)
        return self.read.found(frames.image_ids[index], frames.sizes[index], self.min_score)


def align(boxes: Boxes, found: Found, min_iou: float) -> dict[int, int]:
    """Which object that was found is whose mask, each for one box at most.

    The pair of the highest IoU first, then the next of what is left: a mask that fits a box best of
    all stays with it, where the assignment of the greatest sum would give it away to help another.
    Of equal IoUs the higher score counts, then the order.

    Args:
        boxes: (k, 4), x1 y1 x2 y2 in pixels.
        found: n objects.
        min_iou: pairs below it, and those that do not overlap, are none.

    Returns:
        From numbers of boxes to numbers of objects.
    """
    overlaps = box_iou(torch.from_numpy(boxes), torch.from_numpy(found.boxes)).nan_to_num().numpy()
    rows, columns = np.nonzero((overlaps >= min_iou) & (overlaps > 0))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for best in np.lexsort((-found.scores[columns], -overlaps[rows, columns])):
        row, column = int(rows[best]), int(columns[best])
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return pairs
