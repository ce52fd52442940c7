"""Which frame a full memory bank gives up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, get_args

from faim.choices import PolicyName
from faim.errors import FaimError


class BankPolicy(Protocol):
    """Decides who goes; it holds no state of any video, so one policy serves many banks."""

    def check(self, capacity: int) -> None:
        """Raise FaimError where this policy cannot manage a bank of `capacity` frames."""
        ...

    def evict(self, frames: Sequence[int], newest: int) -> int:
        """The place in `frames` of the frame that goes.

        Args:
            frames: numbers of the frames held, rising, as many as the bank has room for.
            newest: number of the frame that comes in; it always does.
        """
        ...


@dataclass(frozen=True)
class Recent:
    """Keeps the last frames: the oldest goes."""

    def check(self, capacity: int) -> None:
        """See `BankPolicy`."""

    def evict(self, frames: Sequence[int], newest: int) -> int:
        """See `BankPolicy`."""
        return 0


@dataclass(frozen=True)
class RecentAndSpread:
    """Keeps the last frames, and of all before them some that are spread evenly.

    FAIM's own comparison finds a few references from the whole video worth more than many around
    the key frame. Of the frames older than the last `recent`, the one goes whose neighbours are
    closest to each other. As the smallest of k + 1 such distances is at most their mean, no gap
    between the k frames of the reservoir, nor before or after them, ever exceeds 2 / (k + 1) of the
    past that they stand for (or 1).

    Attributes:
        recent: how many of the last frames always stay, the newest included; from 0 to the bank's
            capacity.
    """

    recent: int

    def check(self, capacity: int) -> None:
        """See `BankPolicy`."""
        if not 0 <= self.recent <= capacity:
            raise FaimError(
                f"memory bank: {self.recent} recent frames in a bank of {capacity}; expected 0 to "
                f"{capacity}"
            )

    def evict(self, frames: Sequence[int], newest: int) -> int:
        """See `BankPolicy`."""
        window = newest - self.recent + 1
        after = [*frames[1:], newest]
        before = [-1, *frames[:-1]]
        places = [place for place, frame in enumerate(frames) if frame < window]
        # Of equals the latest goes, which lets the first frame of the video stay longest.
        return min(places, key=lambda place: (after[place] - before[place], -place))


def make_policy(name: PolicyName, capacity: int) -> BankPolicy:
    """A policy for a bank of `capacity` frames.

    Args:
        name: "recent" is `Recent`; "spread" gives half of the bank to recent frames and half to
            the reservoir.
        capacity: of the bank, 0 or more.

    Raises:
        FaimError: no such name.
    """
    if name == "recent":
        return Recent()
    if name == "spread":
        return RecentAndSpread(capacity - capacity // 2)
    raise FaimError(
        f"memory policy: {name!r} given; expected one of {', '.join(get_args(PolicyName))}"
    )
