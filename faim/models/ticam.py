"""TICAM, the temporal instance classification aggregation module (FAIM, Sec. 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from faim.structures import Proposals, TensorRecord


@dataclass(frozen=True)
class TicamEntry(TensorRecord):
    """What proposals offer as references; H heads of d channels, H * d = D.

    Attributes:
        keys_cls: (n, H, d) float, unit vectors, of the classification features.
        keys_ins: (n, H, d) float, unit vectors, of the instance-mask features.
        values: (n, H, d) float, of the classification features.
        cls_guide: (n,) float in [0, 1], the base detector's best class score.
        ins_guide: (n,) float in [0, 1], the base detector's objectness; 1 when it does not guide.
        first_round: (n, 2D) float, what the first attention made of them in their own frame's turn.
        valid: (n,) bool, False on padding.
    """

    keys_cls: Tensor
    keys_ins: Tensor
    values: Tensor
    cls_guide: Tensor
    ins_guide: Tensor
    first_round: Tensor
    valid: Tensor

    def flatten_frames(self) -> TicamEntry:
        """Of a stack with leading (m, n): one list of m * n references."""
        return self.map(lambda tensor: tensor.flatten(0, 1))


class TICAM(nn.Module):
    """Decides the class of every proposal from the proposals of many frames.

    Queries from F_cls and F_ins each attend to all references by cosine similarity, scaled; the
    class attention is guided by the references' class scores, and with `guide_ins` the instance
    attention by their objectness (the public YOLOV implementation does without).
    The two attention maps are averaged and applied to the values (of F_cls). A second round
    averages the result over the references whose values are alike (mean cosine over heads above
    the threshold), the affinity average of YOLOV (Shi et al., AAAI 2023), and a linear classifier
    reads the class off.

    The second round needs the attention map itself, which `F.scaled_dot_product_attention` does not
    hand out, hence the plain matrix products.
    """

    def __init__(
        self,
        dim: int,
        num_classes: int,
        num_heads: int = 4,
        scale: float = 25.0,
        similarity_threshold: float = 0.75,
        guide_ins: bool = False,
    ) -> None:
        """`dim` is D, a multiple of `num_heads`."""
        super().__init__()
        self.guide_ins = guide_ins
        self.num_heads = num_heads
        self.scale = scale
        self.similarity_threshold = similarity_threshold
        self.qkv_cls = nn.Linear(dim, 3 * dim, bias=False)
        self.qk_ins = nn.Linear(dim, 2 * dim, bias=False)
        self.linear1 = nn.Linear(2 * dim, 2 * dim)
        self.linear2 = nn.Linear(4 * dim, 4 * dim)
        self.classifier = nn.Linear(4 * dim, num_classes)

    def forward(self, proposals: Proposals) -> Tensor:
        """All frames at once, every proposal a query.

        Args:
            proposals: of m frames, leading dimensions (m, n).

        Returns:
            (m, n, C) refined class logits; those of padding mean nothing.
        """
        flat = proposals.map(lambda tensor: tensor.flatten(0, 1))
        queries, entry = self._project(flat)
        attention, first_round = self._first_round(queries, entry, entry)
        logits = self._second_round(attention, first_round, entry, entry.values, first_round)
        return logits.unflatten(0, proposals.valid.shape)

    def step(self, key: Proposals, bank: TicamEntry | None) -> tuple[Tensor, TicamEntry]:
        """One key frame against a bank; n queries, (m + 1) * n references.

        The references' first-round features are those they got when they were key frames, which is
        what makes a step cost n * (m * n) instead of (m * n)^2.

        Args:
            key: the key frame's proposals, leading dimension (n,).
            bank: stacked entries of past frames, leading dimensions (m, n); None at the start.

        Returns:
            (n, C) refined class logits, and the key frame's own entry.
        """
        queries, own = self._project(key)
        references = own
        if bank is not None:
            references = TicamEntry.concatenate([bank.flatten_frames(), own])
        attention, first_round = self._first_round(queries, own, references)
        past = references.first_round[: len(references.valid) - len(own.valid)]
        logits = self._second_round(
            attention, first_round, references, own.values, torch.cat([past, first_round])
        )
        return logits, replace(own, first_round=first_round)

    def _project(self, proposals: Proposals) -> tuple[tuple[Tensor, Tensor], TicamEntry]:
        """Queries (of F_cls and of F_ins) and the entry, its first round still empty."""

        def heads(tensor: Tensor) -> Tensor:
            return tensor.unflatten(-1, (self.num_heads, -1))

        query_cls, key_cls, value = map(heads, self.qkv_cls(proposals.cls_features).chunk(3, -1))
        query_ins, key_ins = map(heads, self.qk_ins(proposals.ins_features).chunk(2, -1))
        objectness = proposals.objectness
        entry = TicamEntry(
            keys_cls=F.normalize(key_cls, dim=-1),
            keys_ins=F.normalize(key_ins, dim=-1),
            values=value,
            cls_guide=proposals.class_scores.amax(dim=-1),
            ins_guide=objectness if self.guide_ins else torch.ones_like(objectness),
            first_round=value.new_zeros(len(value), self.linear1.out_features),
            valid=proposals.valid,
        )
        return (F.normalize(query_cls, dim=-1), F.normalize(query_ins, dim=-1)), entry

    def _first_round(
        self, queries: tuple[Tensor, Tensor], own: TicamEntry, references: TicamEntry
    ) -> tuple[Tensor, Tensor]:
        """The averaged attention map (H, q, r) and the first-round features (q, 2D)."""
        maps = [
            self._attention(query, key, guide, references.valid)
            for query, key, guide in (
                (queries[0], references.keys_cls, references.cls_guide),
                (queries[1], references.keys_ins, references.ins_guide),
            )
        ]
        attention = (maps[0] + maps[1]) / 2
        attended = torch.einsum("hqr,rhd->qhd", attention, references.values)
        both = torch.cat([attended.flatten(1), own.values.flatten(1)], dim=-1)
        return attention, self.linear1(both)

    def _attention(self, query: Tensor, key: Tensor, guide: Tensor, valid: Tensor) -> Tensor:
        logits = torch.einsum("qhd,rhd->hqr", query, key) * (self.scale * guide)
        # The lowest finite number, not -inf: a frame without any proposal must not give NaN.
        return logits.masked_fill(~valid, torch.finfo(logits.dtype).min).softmax(dim=-1)

    def _second_round(
        self,
        attention: Tensor,
        first_round: Tensor,
        references: TicamEntry,
        query_values: Tensor,
        reference_first_round: Tensor,
    ) -> Tensor:
        """Average over similar references, then classify: (q, C) logits."""
        unit_queries = F.normalize(query_values, dim=-1).flatten(1)
        unit_references = F.normalize(references.values, dim=-1).flatten(1)
        similarity = unit_queries @ unit_references.T / self.num_heads
        alike = (similarity > self.similarity_threshold) & references.valid
        weights = attention.mean(dim=0).exp() * alike
        weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        averaged = weights @ reference_first_round
        return self.classifier(self.linear2(torch.cat([averaged, first_round], dim=-1)))
