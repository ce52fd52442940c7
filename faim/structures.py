"""The dataclasses of tensors that flow between the parts.

Letters in the shapes: B images, A anchors (all levels), n proposals a frame, m frames, g ground
truths, k detections, C classes, D feature channels. Boxes are x1 y1 x2 y2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self, TypeGuard

import torch
from torch import Tensor


@dataclass(frozen=True)
class TensorRecord:
    """A dataclass whose fields are tensors, or tuples of tensors, with the same leading dimensions.

    Fields may be None, or of any other type, which operations leave as it is.
    """

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """A copy with `function` applied to every tensor."""
        changed: dict[str, Tensor | tuple[Tensor, ...]] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, Tensor):
                changed[part.name] = function(value)
            elif _is_tensors(value):
                changed[part.name] = tuple(function(tensor) for tensor in value)
        return replace(self, **changed)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name; those of a tuple are called "field.0", "field.1" …"""
        found: dict[str, Tensor] = {}
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, Tensor):
                found[part.name] = value
            elif _is_tensors(value):
                found |= {f"{part.name}.{place}": tensor for place, tensor in enumerate(value)}
        return found

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Self:
        """A copy with other tensors under the names of `tensors`."""
        names = iter(self.tensors())
        return self.map(lambda _: tensors[next(names)])

    def __getitem__(self, index: int | slice | Tensor) -> Self:
        """Index the leading dimension of every tensor."""
        return self.map(lambda tensor: tensor[index])

    def to(self, device: torch.device | str) -> Self:
        """A copy on another device."""
        return self.map(lambda tensor: tensor.to(device))

    def detach(self) -> Self:
        """A copy cut from the autograd graph."""
        return self.map(Tensor.detach)

    @classmethod
    def stack(cls, records: Sequence[Self]) -> Self:
        """Records of equal shapes, stacked along a new leading dimension."""
        return cls._join(records, torch.stack)

    @classmethod
    def concatenate(cls, records: Sequence[Self]) -> Self:
        """Records joined along their leading dimension."""
        return cls._join(records, torch.cat)

    @classmethod
    def _join(cls, records: Sequence[Self], join: Callable[[list[Tensor]], Tensor]) -> Self:
        every = [record.tensors() for record in records]
        return records[0].with_tensors({name: join([t[name] for t in every]) for name in every[0]})


def _is_tensors(value: object) -> TypeGuard[tuple[Tensor, ...]]:
    return isinstance(value, tuple) and bool(value) and all(isinstance(t, Tensor) for t in value)


@dataclass(frozen=True)
class RawPredictions(TensorRecord):
    """What the base detector says at every anchor.

    Attributes:
        boxes: (B, A, 4) float, network-input pixels, not clipped.
        objectness: (B, A) float in [0, 1].
        class_scores: (B, A, C) float in [0, 1], sigmoid of the class logits.
    """

    boxes: Tensor
    objectness: Tensor
    class_scores: Tensor


@dataclass(frozen=True)
class Picks(TensorRecord):
    """The anchors that FSPM selects, padded to n a frame.

    Attributes:
        index: (B, n) long, flat anchor index, levels in the order P3, P4, P5; 0 on padding.
        boxes: (B, n, 4) float, network-input pixels.
        objectness: (B, n) float in [0, 1]; 0 on padding.
        class_scores: (B, n, C) float in [0, 1]; 0 on padding.
        valid: (B, n) bool, False on padding.
    """

    index: Tensor
    boxes: Tensor
    objectness: Tensor
    class_scores: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Proposals(TensorRecord):
    """The objects one frame offers to the aggregation; with a leading m, those of m frames.

    Attributes:
        boxes: (n, 4) float, network-input pixels.
        objectness: (n,) float in [0, 1].
        class_scores: (n, C) float in [0, 1], the base detector's.
        cls_features: (n, D) float, F_cls of the paper.
        ins_features: (n, D) float, F_ins of the paper; (n, 0) from a base detector alone.
        valid: (n,) bool, False on padding.
    """

    boxes: Tensor
    objectness: Tensor
    class_scores: Tensor
    cls_features: Tensor
    ins_features: Tensor
    valid: Tensor


@dataclass(frozen=True)
class BankEntry(TensorRecord):
    """What a frame leaves in a stream's bank for later ones."""

    def check_stack(self) -> None:
        """Raise ValueError unless these are entries of frames, leading dimension (m,)."""
        raise NotImplementedError

    def fits(self, seen: TensorRecord) -> bool:
        """Whether entries of frames (m, …) are of the detector that saw this frame."""
        raise NotImplementedError


@dataclass(frozen=True)
class FrameTargets(TensorRecord):
    """The ground truth of one frame.

    Attributes:
        boxes: (g, 4) float, network-input pixels.
        labels: (g,) long in [0, C).
        instance_ids: (g,) long, the same number for the same object within a video; -1 unknown.
        masks: (g, H, W) bool at network-input resolution, or None where there are none.
    """

    boxes: Tensor
    labels: Tensor
    instance_ids: Tensor
    masks: Tensor | None = None


@dataclass(frozen=True)
class VideoSample:
    """m frames of one video, as the network reads them.

    Attributes:
        images: (m, 3, H, W) float32, BGR in [0, 255], letterboxed.
        targets: m `FrameTargets`.
    """

    images: Tensor
    targets: list[FrameTargets]


@dataclass(frozen=True)
class Detections(TensorRecord):
    """What is found in one frame, best score first.

    Attributes:
        boxes: (k, 4) float, pixels of whichever image the producer names.
        scores: (k,) float in [0, 1].
        class_ids: (k,) long.
        track_ids: (k,) long from 1 on, the same number for the same object within a video, -1 where
            none is known (yet); None where nothing links the frames.
    """

    boxes: Tensor
    scores: Tensor
    class_ids: Tensor
    track_ids: Tensor | None = None


@dataclass(frozen=True)
class ScoredBoxes(TensorRecord):
    """The boxes of one frame with the scores of all classes, which post-processing links.

    Attributes:
        boxes: (k, 4) float32, pixels of whichever image the producer names.
        scores: (k, C) float32 in [0, 1], objectness times class probability; 0 for the classes that
            a box does not stand for.
        track_ids: (k,) long, as those of `Detections`.
    """

    boxes: Tensor
    scores: Tensor
    track_ids: Tensor | None = None
