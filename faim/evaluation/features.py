"""Features of proposals that belong to objects, before and after aggregation (FAIM, Fig. 5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from faim.data.coco_vid import FrameRecord
from faim.data.transforms import LetterboxGeometry
from faim.detector import BoxFeatures
from faim.files import write_whole

#: Proposals that are kept, drawn by chance.
MOST = 2000
IOU_MATCHED = 0.5


class FeatureSample:
    """Collects proposals as frames come by, every one with the same chance to stay.

    A proposal belongs to the object that it overlaps most, from IoU 0.5 on.

    Attributes:
        labels: (N,) long, dense class index of the dataset.
        before: (N, D) float32, of each frame alone.
        after: (N, E) float32, what the classes are decided by; E is 0 where frames are not joined.
    """

    def __init__(self, seed: int = 0) -> None:
        """`seed` is of the draw."""
        self._random = np.random.default_rng(seed)
        self._lots = np.zeros(0)
        self.labels = torch.zeros(0, dtype=torch.long)
        self.before = torch.zeros(0, 0)
        self.after = torch.zeros(0, 0)

    def take(
        self,
        frames: list[FrameRecord],
        geometries: list[LetterboxGeometry],
        found: BoxFeatures,
    ) -> None:
        """Those of the boxes of m frames, leading dimensions (m, n), that belong to objects."""
        for index, (frame, geometry) in enumerate(zip(frames, geometries, strict=True)):
            own = found[index]
            places, labels = _belonging(frame, geometry, own)
            before, after = own.before[places], own.after[places]
            self._add(labels, before.float().cpu(), after.float().cpu())

    def write(self, path: Path) -> None:
        """Write `labels`, `before` and, if there is such, `after`; nothing without features.

        Raises:
            FaimError: the file cannot be written.
        """
        if not self.before.numel():
            return
        arrays = {"labels": self.labels.numpy(), "before": self.before.numpy()}
        if self.after.numel():
            arrays["after"] = self.after.numpy()

        def write(part: Path) -> None:
            with part.open("wb") as file:  # by a name, NumPy would append .npz
                np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

        write_whole(path, write)

    def _add(self, labels: Tensor, before: Tensor, after: Tensor) -> None:
        if not len(labels):
            return
        self._lots = np.concatenate([self._lots, self._random.random(len(labels))])
        self.labels = torch.cat([self.labels, labels])
        self.before = torch.cat([self.before, before]) if len(self.before) else before
        self.after = torch.cat([self.after, after]) if len(self.after) else after
        if len(self._lots) > MOST:
            # The smallest lots of all so far: a fair draw, whatever is still to come.
            kept = np.sort(np.argpartition(self._lots, MOST)[:MOST])
            self._lots = self._lots[kept]
            self.labels, self.before = self.labels[kept], self.before[kept]
            self.after = self.after[kept]


def _belonging(
    frame: FrameRecord, geometry: LetterboxGeometry, found: BoxFeatures
) -> tuple[Tensor, Tensor]:
    """Places of a frame's boxes that belong to objects, and the objects' classes."""
    places = found.valid.nonzero()[:, 0]
    if not frame.annotations:
        return places[:0], torch.zeros(0, dtype=torch.long)
    boxes = geometry.to_source(found.boxes[places].float()).cpu()
    truth = torch.tensor([annotation.box for annotation in frame.annotations])
    iou, best = box_iou(boxes, truth).max(dim=1)
    matched = iou >= IOU_MATCHED
    labels = torch.tensor([annotation.category_id for annotation in frame.annotations])
    return places[matched.to(places.device)], labels[best[matched]]
