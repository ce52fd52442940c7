"""Which objects a video has: how many, of which classes, how large; one way an edition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from faim.data.synth.degrade import Severity

#: Of SynthVID: the first has one object a class and video, all of about a size.
Edition = Literal[1, 2]


@dataclass(frozen=True)
class Part:
    """What is drawn of one object before its looks are.

    Attributes:
        category: its class.
        extent: longer side, as a share of the frame's.
        grain: factor on the repeat of its class's texture.
    """

    category: int
    extent: float
    grain: float = 1.0


class Cast(Protocol):
    """The objects of a video, drawn once."""

    #: Places at frame 0 are the best spread of so many drawings.
    draws: int

    def categories(self, classes: int, severity: Severity, rng: np.random.Generator) -> list[int]:
        """The class of every object, of `classes` to choose from."""
        ...

    def part(self, category: int, count: int, rng: np.random.Generator) -> Part:
        """One of `count` objects; called for each in turn."""
        ...


class DistinctCast:
    """Edition 1: 1 to 3 objects, or 2 to 4 in a third of the hard videos, no class twice."""

    draws = 20

    def categories(self, classes: int, severity: Severity, rng: np.random.Generator) -> list[int]:
        """See `Cast`."""
        crowded = severity == "hard" and rng.random() < 1 / 3
        count = int(rng.integers(2, 5) if crowded else rng.integers(1, 4))
        return np.concatenate([rng.permutation(classes) for _ in range(count)])[:count].tolist()

    def part(self, category: int, count: int, rng: np.random.Generator) -> Part:
        """0.24 to 0.48 of the frame's side, less where there are many."""
        largest = {1: 0.48, 2: 0.42, 3: 0.36, 4: 0.32}[count]
        return Part(category, rng.uniform(0.24, largest))


class MixedCast:
    """Edition 2: 1 to 5 objects, in most videos several of a class, of all three levels' sizes.

    Where two objects share a class, the class does not tell one from the other: what is to be
    aggregated over time is the object's, not the class's.
    """

    draws = 60
    #: Shares of the frame's side: what YOLOX's levels P3, P4 and P5 are each for, at 256 pixels.
    extents = (0.12, 0.75)
    #: Share of videos of two objects and more in which some are of one class.
    shared = 0.75

    def categories(self, classes: int, severity: Severity, rng: np.random.Generator) -> list[int]:
        """See `Cast`; the severity changes what happens to the objects alone."""
        count = int(rng.choice([1, 2, 3, 4, 5], p=[0.1, 0.3, 0.3, 0.2, 0.1]))
        different = count
        if count > 1 and rng.random() < self.shared:
            different = int(rng.integers(1, count))
        chosen = rng.permutation(classes)[:different]
        # Every chosen class once, the rest at random among them.
        rest = rng.choice(chosen, count - len(chosen))
        return rng.permutation(np.concatenate([chosen, rest])).tolist()

    def part(self, category: int, count: int, rng: np.random.Generator) -> Part:
        """Uniform in the logarithm; where there are many, none is of the largest."""
        low, high = self.extents
        largest = min(high, 1.7 / (count + 0.8))
        extent = float(np.exp(rng.uniform(np.log(low), np.log(largest))))
        # The texture of a thing grows with it, if less: a small one shows as many repeats.
        grain = float(np.clip((extent / 0.33) ** 0.6, 0.55, 1.5))
        return Part(category, extent, grain)


def cast_of(edition: Edition) -> Cast:
    """The cast of a SynthVID edition."""
    return DistinctCast() if edition == 1 else MixedCast()
