"""TICAM, the temporal instance classification aggregation module (FAIM, Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from faim.structures import BankEntry, Proposals, TensorRecord


@dataclass(frozen=True)
class TicamEntry(BankEntry):
    """What proposals offer as references; H heads of d channels, H * d = D.

    Attributes:
        keys: (n, 2H, d) float, unit vectors times scale and guide: H of the classification
            features, then H of the instance-mask features.
        values: (n, H, d) float, of the classification features.
        unit_values: (n, H, d) float, the same as unit vectors.
        first_round: (n, 2D) float, what the first attention made of them in their own frame's turn.
        valid: (n,) bool, False on padding.
    """

    keys: Tensor
    values: Tensor
    unit_values: Tensor
    first_round: Tensor
    valid: Tensor

    def check_stack(self) -> None:
        """See `BankEntry`."""
        shape = tuple(self.values.shape)
        if len(shape) != 4:
            raise ValueError("the tensors of the bank do not match")
        m, n, heads, d = shape
        found = (self.keys, self.unit_values, self.first_round, self.valid)
        expected = ((m, n, 2 * heads, d), shape, (m, n, 2 * heads * d), (m, n))
        if any(tuple(t.shape) != want for t, want in zip(found, expected, strict=True)):
            raise ValueError("the tensors of the bank do not match")
        floats = (self.keys, self.values, self.unit_values, self.first_round)
        if self.valid.dtype != torch.bool or not all(t.is_floating_point() for t in floats):
            raise ValueError("the tensors of the bank are of another type")

    def fits(self, seen: TensorRecord) -> bool:
        """See `BankEntry`."""
        n, heads, d = self.values.shape[1:]
        return isinstance(seen, Proposals) and seen.cls_features.shape == (n, heads * d)

    def flatten_frames(self) -> TicamEntry:
        """Of a stack with leading (m, n): one list of m * n references."""
        return self.map(lambda tensor: tensor.flatten(0, 1))


@dataclass(frozen=True)
class Attention:
    """What proposals take from each other, to be looked at; a row is a query.

    Rows sum to 1 unless they are of padding, which mean nothing; columns of padding are 0.

    Attributes:
        cls: (r, r) float32, the first round's class map, the mean of its heads.
        ins: (r, r) float32, its instance map.
        second: (r, r) float32, the share of each reference in the second round's average; without
            such a round a proposal has itself alone.
    """

    cls: Tensor
    ins: Tensor
    second: Tensor

    @property
    def first(self) -> Tensor:
        """(r, r) float32, the first round: both maps averaged."""
        return (self.cls + self.ins) / 2


class TICAM(nn.Module):
    """Decides the class of every proposal from the proposals of many frames.

    Queries from F_cls and F_ins each attend to all references by cosine similarity, scaled; the
    class attention is guided by the references' class scores, and with `guide_ins` the instance
    attention by their objectness (as the public YOLOV implementation did until 2024).
    The two attention maps are averaged and applied to the values (of F_cls). A second round
    averages the result over the references whose values are alike (mean cosine over heads above
    the threshold), the affinity average of YOLOV (Shi et al., AAAI 2023), and a linear classifier
    reads the class off. Guidance and second round can be switched off, to see what they are worth.

    Attributes:
        refined: (C,) bool, the classes that it is to decide; None for all. Logits of others mean
            nothing.

    The second round needs the attention map itself, which `F.scaled_dot_product_attention` does not
    hand out, hence the plain matrix products.
    """

    refined: Tensor | None

    def __init__(
        self,
        dim: int,
        num_classes: int,
        *,
        num_heads: int = 4,
        scale: float = 25.0,
        similarity_threshold: float = 0.75,
        guide_ins: bool = True,
        guide_cls: bool = True,
        affinity_average: bool = True,
        refined: Sequence[bool] | None = None,
        starts_at_zero: bool = False,
    ) -> None:
        """`dim` is D, a multiple of `num_heads`; a correction of other scores starts at zero."""
        super().__init__()
        marks = None if refined is None else torch.tensor(refined)
        self.register_buffer("refined", marks, persistent=False)
        self.guide_ins = guide_ins
        self.guide_cls = guide_cls
        self.affinity_average = affinity_average
        self.num_heads = num_heads
        self.scale = scale
        self.similarity_threshold = similarity_threshold
        self.qkv_cls = nn.Linear(dim, 3 * dim, bias=False)
        self.qk_ins = nn.Linear(dim, 2 * dim, bias=False)
        self.linear1 = nn.Linear(2 * dim, 2 * dim)
        self.linear2 = nn.Linear(4 * dim, 4 * dim)
        self.classifier = nn.Linear(4 * dim, num_classes)
        if starts_at_zero:
            nn.init.zeros_(self.classifier.weight)
            nn.init.zeros_(self.classifier.bias)

    def forward(self, proposals: Proposals) -> Tensor:
        """All frames at once, every proposal a query.

        Args:
            proposals: of m frames, leading dimensions (m, n).

        Returns:
            (m, n, C) float32 refined class logits; those of padding mean nothing.
        """
        return self.classifier(self.decided_by(proposals)).float()

    def decided_by(self, proposals: Proposals) -> Tensor:
        """What `forward` classifies: (m, n, E), as it is in the type of the weights."""
        flat = proposals.map(lambda tensor: tensor.flatten(0, 1))
        queries, entry = self._project(flat)
        attention, entry = self._first_round(queries, entry, [entry])
        joined = self._second_round(attention, entry, [entry])
        return joined.unflatten(0, proposals.valid.shape)

    def step(self, key: Proposals, bank: TicamEntry | None) -> tuple[Tensor, TicamEntry]:
        """One key frame against a bank; n queries, (m + 1) * n references.

        The references' first-round features are those they got when they were key frames, which is
        what makes a step cost n * (m * n) instead of (m * n)^2.

        Args:
            key: the key frame's proposals, leading dimension (n,).
            bank: stacked entries of past frames, leading dimensions (m, n); None at the start.

        Returns:
            (n, C) float32 refined class logits, and the key frame's own entry.
        """
        queries, own = self._project(key)
        past = [] if bank is None else [bank.flatten_frames()]
        attention, own = self._first_round(queries, own, [*past, own])
        joined = self._second_round(attention, own, [*past, own])
        return self.classifier(joined).float(), own

    def attention(self, proposals: Proposals) -> Attention:
        """What `forward` takes from where: r = m * n of proposals with leading (m, n)."""
        flat = proposals.map(lambda tensor: tensor.flatten(0, 1))
        queries, entry = self._project(flat)
        maps = self._maps(queries, [entry])
        cls, ins = maps.mean(dim=1)
        second = torch.eye(len(cls), device=cls.device)
        if self.affinity_average:
            weights = self._second_weights(maps.mean(dim=0), entry, entry)
            second = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-12)
        return Attention(cls, ins, second)

    def _project(self, proposals: Proposals) -> tuple[Tensor, TicamEntry]:
        """Queries (n, 2H, d), unit vectors, and the entry, its first round still empty."""
        dtype = self.linear1.weight.dtype
        vectors = torch.cat(
            [
                self.qkv_cls(proposals.cls_features.to(dtype)),
                self.qk_ins(proposals.ins_features.to(dtype)),
            ],
            dim=-1,
        ).unflatten(-1, (5, self.num_heads, -1))
        query_cls, key_cls, value, query_ins, key_ins = _unit(vectors).unbind(1)
        objectness = proposals.objectness
        best = proposals.class_scores.amax(dim=-1)
        cls_guide = best if self.guide_cls else torch.ones_like(best)
        ins_guide = objectness if self.guide_ins else torch.ones_like(objectness)
        # The guides weigh the references, so they can be a part of the keys.
        guides = (self.scale * torch.stack([cls_guide, ins_guide], dim=1)).to(dtype)
        keys = torch.stack([key_cls, key_ins], dim=1) * guides[..., None, None]
        entry = TicamEntry(
            keys=keys.flatten(1, 2),
            values=vectors[:, 2],
            unit_values=value,
            first_round=value.new_zeros(value.shape[0], self.linear1.out_features),
            valid=proposals.valid,
        )
        return torch.cat([query_cls, query_ins], dim=1), entry

    # The references come in parts (the bank, the key frame) that are never joined: copying a bank
    # of 127 frames would take longer than attending to it.

    def _maps(self, queries: Tensor, references: list[TicamEntry]) -> Tensor:
        """The first round's class and instance attention, (2, H, q, r) float32, parts joined."""
        logits = []
        for part in references:
            cosine = (queries.transpose(0, 1) @ part.keys.permute(1, 2, 0)).float()
            # A finite number, not -inf: a frame without any proposal must not give NaN.
            logits.append(cosine + (part.valid.float() - 1) * 1e6)
        return torch.cat(logits, dim=-1).softmax(dim=-1).unflatten(0, (2, self.num_heads))

    def _first_round(
        self, queries: Tensor, own: TicamEntry, references: list[TicamEntry]
    ) -> tuple[list[Tensor], TicamEntry]:
        """The averaged attention map, (H, q, r) float32 a part, and `own` with its first round."""
        average = self._maps(queries, references).mean(dim=0)
        # shape[0], since len() would be fixed to a number when this is exported.
        attention = list(average.split([part.valid.shape[0] for part in references], dim=-1))
        attended = torch.stack(
            [
                weights.to(part.values.dtype) @ part.values.transpose(0, 1)
                for weights, part in zip(attention, references, strict=True)
            ]
        ).sum(dim=0)
        joined = torch.cat([attended.transpose(0, 1).flatten(1), own.values.flatten(1)], dim=-1)
        return attention, replace(own, first_round=self.linear1(joined))

    def _second_round(
        self, attention: list[Tensor], own: TicamEntry, references: list[TicamEntry]
    ) -> Tensor:
        """Average over similar references: (q, E), which the classifier reads."""
        if not self.affinity_average:
            return self._joined(own.first_round, own)
        averaged, total = torch.zeros(()), torch.zeros(())
        for part_attention, part in zip(attention, references, strict=True):
            weights = self._second_weights(part_attention, own, part)
            total = total + weights.sum(dim=-1, keepdim=True)
            averaged = averaged + (weights.to(part.first_round.dtype) @ part.first_round).float()
        return self._joined((averaged / total.clamp(min=1e-12)).to(own.first_round.dtype), own)

    def _second_weights(self, attention: Tensor, own: TicamEntry, part: TicamEntry) -> Tensor:
        """What each reference counts in the average, (q, r) float32; 0 where it is not alike."""
        similarity = own.unit_values.flatten(1) @ part.unit_values.flatten(1).T / self.num_heads
        alike = (similarity > self.similarity_threshold) & part.valid
        return attention.mean(dim=0).exp() * alike

    def _joined(self, averaged: Tensor, own: TicamEntry) -> Tensor:
        joined = torch.cat([averaged, own.first_round], dim=-1)
        return self.linear2(joined)


def _unit(vectors: Tensor) -> Tensor:
    """Unit vectors along the last dimension; half precision could not hold the squares."""
    lengths = vectors.float().norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return (vectors.float() / lengths).to(vectors.dtype)
