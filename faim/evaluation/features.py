"""Features of proposals that belong to objects, before and after aggregation (FAIM, Fig. 5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from faim.data.coco_vid import FrameRecord
from faim.data.transforms import LetterboxGeometry
from faim.files import write_whole
from faim.structures import Proposals

#: Proposals that are kept, drawn by chance.
MOST = 2000
IOU_MATCHED = 0.5


class FeatureSample:
    """Collects proposals as frames come by, every one with the same chance to stay.

    A proposal belongs to the object that it overlaps most, from IoU 0.5 on.

    Attributes:
        labels: (N,) long, dense class index of the dataset.
        before: (N, D) float32, F_cls.
        after: (N, E) float32, what the aggregation's classifier reads; E is 0 where there is none.
    """

    def __init__(self, model: object, seed: int = 0) -> None:
        """`model`'s `ticam`, if it has one, is listened to."""
        ticam = getattr(model, "ticam", None)
        self._classifier: nn.Module | None = getattr(ticam, "classifier", None)
        self._heard: Tensor | None = None
        self._random = np.random.default_rng(seed)
        self._lots = np.zeros(0)
        self.labels = torch.zeros(0, dtype=torch.long)
        self.before = torch.zeros(0, 0)
        self.after = torch.zeros(0, 0)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within it, one call of the classifier is heard, for `take`."""
        self._heard = None
        if self._classifier is None:
            yield
            return

        def hear(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._heard = inputs[0].detach()

        handle = self._classifier.register_forward_pre_hook(hear)
        try:
            yield
        finally:
            handle.remove()

    def take(self, frame: FrameRecord, geometry: LetterboxGeometry, proposals: Proposals) -> None:
        """The proposals of one frame that belong to objects, without an aggregation."""
        self.take_heard([frame], [geometry], Proposals.stack([proposals]), heard=False)

    def take_heard(
        self,
        frames: list[FrameRecord],
        geometries: list[LetterboxGeometry],
        proposals: Proposals,
        *,
        heard: bool = True,
    ) -> None:
        """The proposals of m frames, leading dimensions (m, n), with what `listening` heard."""
        after = None
        if heard and self._heard is not None:
            after = self._heard.unflatten(0, proposals.valid.shape)
        for index, (frame, geometry) in enumerate(zip(frames, geometries, strict=True)):
            places, labels = _belonging(frame, geometry, proposals[index])
            before = proposals.cls_features[index][places]
            rest = before[:, :0] if after is None else after[index][places]
            self._add(labels, before.float().cpu(), rest.float().cpu())

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
    frame: FrameRecord, geometry: LetterboxGeometry, proposals: Proposals
) -> tuple[Tensor, Tensor]:
    """Places of a frame's proposals that belong to objects, and the objects' classes."""
    places = proposals.valid.nonzero()[:, 0]
    if not frame.annotations:
        return places[:0], torch.zeros(0, dtype=torch.long)
    boxes = geometry.to_source(proposals.boxes[places].float()).cpu()
    truth = torch.tensor([annotation.box for annotation in frame.annotations])
    iou, best = box_iou(boxes, truth).max(dim=1)
    matched = iou >= IOU_MATCHED
    labels = torch.tensor([annotation.category_id for annotation in frame.annotations])
    return places[matched.to(places.device)], labels[best[matched]]
