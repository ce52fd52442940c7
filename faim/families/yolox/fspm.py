"""FSPM, the feature and prediction selection module (FAIM, Sec. 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import nms

from faim.structures import Picks, RawPredictions

#: Anchors a proposal that are tried first.
FEW = 6


class FSPM(nn.Module):
    """Keeps the n best predictions of every frame.

    The `top_k` anchors of highest objectness pass class-aware NMS, ranked by objectness times best
    class score; the first `num_proposals` survivors are the frame's proposals. The NMS threshold
    is `nms_train` in training mode, and the stricter `nms_test` otherwise (Sec. 4).
    """

    def __init__(
        self,
        top_k: int = 750,
        num_proposals: int = 30,
        nms_train: float = 0.75,
        nms_test: float = 0.5,
    ) -> None:
        """Thresholds are IoU in [0, 1]."""
        super().__init__()
        self.top_k = top_k
        self.num_proposals = num_proposals
        self.nms_train = nms_train
        self.nms_test = nms_test

    @torch.no_grad()
    def forward(self, raw: RawPredictions) -> Picks:
        """Select; frames with fewer than n survivors are padded and marked invalid."""
        frames = [self._select(raw[frame]) for frame in range(len(raw.boxes))]
        return (
            frames[0].map(lambda tensor: tensor[None]) if len(frames) == 1 else Picks.stack(frames)
        )

    def ranking(self, raw: RawPredictions) -> tuple[Tensor, Tensor]:
        """The score by which NMS goes, and the class within which it removes boxes, (A,) each."""
        best, labels = raw.class_scores.max(dim=-1)
        return raw.objectness * best, labels

    def _select(self, raw: RawPredictions) -> Picks:
        top = raw.objectness.topk(min(self.top_k, len(raw.objectness))).indices
        index = top[self._survivors(raw[top])]
        return Picks(
            index=self._pad(index),
            boxes=self._pad(raw.boxes[index]),
            objectness=self._pad(raw.objectness[index]),
            class_scores=self._pad(raw.class_scores[index]),
            valid=torch.arange(self.num_proposals, device=index.device) < len(index),
        )

    def _survivors(self, raw: RawPredictions) -> Tensor:
        """Indices of the n best that NMS leaves of one frame's anchors.

        What NMS leaves of the first anchors does not depend on the later ones; the first few nearly
        always suffice, in a tenth of the time.
        """
        threshold = self.nms_train if self.training else self.nms_test
        scores, labels = self.ranking(raw)
        order = scores.argsort(descending=True, stable=True)
        few = order[: FEW * self.num_proposals]
        keep = self._nms(raw.boxes[few], scores[few], labels[few], threshold)
        if len(keep) >= self.num_proposals or len(few) == len(order):
            return few[keep[: self.num_proposals]]
        return self._nms(raw.boxes, scores, labels, threshold)[: self.num_proposals]

    @staticmethod
    def _nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
        """Class-aware NMS: classes are moved apart, so that their boxes do not meet."""
        boxes = boxes.float()
        apart = labels[:, None] * (boxes.max() - boxes.min() + 1)
        return nms(boxes + apart, scores.float(), threshold)

    def _pad(self, tensor: Tensor) -> Tensor:
        missing = self.num_proposals - len(tensor)
        if not missing:
            return tensor
        return torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])])
