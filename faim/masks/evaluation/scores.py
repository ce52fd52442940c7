"""The figures of masks against true ones: by frame, object, sequence and data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

#: J above which a mask counts as found (Perazzi et al., 2016: object recall).
FOUND = 0.5

Status = Literal["matched", "missing", "without mask", "extra"]


@dataclass(frozen=True, slots=True)
class MaskScore:
    """One mask.

    Attributes:
        image_id: of the annotation files.
        frame_id: place in time.
        jaccard: J in [0, 1].
        boundary: F in [0, 1].
        status: "matched"; or, with J = F = 0, "missing": no predicted annotation, "without mask":
            one without a mask, "extra": a predicted mask that no true annotation asks for.
    """

    image_id: int
    frame_id: int
    jaccard: float
    boundary: float
    status: Status = "matched"


@dataclass(frozen=True)
class Means:
    """Mean figures in [0, 1].

    Attributes:
        jaccard: J.
        boundary: F.
        recall: share of masks with J above `FOUND`.
    """

    jaccard: float
    boundary: float
    recall: float

    def to_json(self) -> dict[str, float]:
        """Names to figures."""
        return {"jaccard": self.jaccard, "boundary": self.boundary, "recall": self.recall}


@dataclass(frozen=True)
class ObjectScores:
    """One object over time; `instance_id` -1 stands for all of a sequence that have no track."""

    instance_id: int
    masks: tuple[MaskScore, ...]

    @property
    def means(self) -> Means:
        """Over its frames."""
        found = [float(mask.jaccard > FOUND) for mask in self.masks]
        return Means(
            _mean(mask.jaccard for mask in self.masks),
            _mean(mask.boundary for mask in self.masks),
            _mean(found),
        )


@dataclass(frozen=True)
class SequenceScores:
    """One video: its objects, at least one."""

    name: str
    objects: tuple[ObjectScores, ...]

    @property
    def means(self) -> Means:
        """Over its objects."""
        return mean_of(each.means for each in self.objects)

    @property
    def masks(self) -> int:
        """How many masks were scored."""
        return sum(len(each.masks) for each in self.objects)


@dataclass(frozen=True)
class MaskScores:
    """A whole data set.

    Attributes:
        sequences: those with an object, in the truth's order.
        notes: what was not scored, by kind: true annotations without mask, predicted images that
            the truth does not have.
    """

    sequences: tuple[SequenceScores, ...]
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[ObjectScores, ...]:
        """Those of all sequences."""
        return tuple(each for sequence in self.sequences for each in sequence.objects)

    @property
    def means(self) -> Means:
        """Over all objects, each with the same weight, as DAVIS has it."""
        return mean_of(each.means for each in self.objects)

    @property
    def counts(self) -> dict[Status, int]:
        """Masks by status."""
        counts: dict[Status, int] = {"matched": 0, "missing": 0, "without mask": 0, "extra": 0}
        for each in self.objects:
            for mask in each.masks:
                counts[mask.status] += 1
        return counts

    def to_json(self) -> dict[str, Any]:
        """All figures but those of single masks, as JSON values."""
        return {
            **self.means.to_json(),
            "masks": self.counts,
            "not_scored": self.notes,
            "sequences": {
                sequence.name: {
                    **sequence.means.to_json(),
                    "masks": sequence.masks,
                    "objects": {
                        str(each.instance_id): {**each.means.to_json(), "masks": len(each.masks)}
                        for each in sequence.objects
                    },
                }
                for sequence in self.sequences
            },
        }


def mean_of(several: Iterable[Means]) -> Means:
    """The mean of at least one."""
    figures = list(several)
    return Means(
        _mean(each.jaccard for each in figures),
        _mean(each.boundary for each in figures),
        _mean(each.recall for each in figures),
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
