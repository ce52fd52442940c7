"""What a running video remembers, apart from the model."""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from faim.errors import FaimError
from faim.structures import TensorRecord

Entry = TypeVar("Entry", bound=TensorRecord)


class MemoryBank(Generic[Entry]):
    """The entries of the last `capacity` frames, oldest first.

    Args:
        capacity: frames to keep; with 0 it stays empty.
    """

    def __init__(self, capacity: int) -> None:
        """See the class."""
        if capacity < 0:
            raise FaimError(f"memory bank: capacity is {capacity}; expected 0 or more")
        self._entries: deque[Entry] = deque(maxlen=capacity)

    @property
    def capacity(self) -> int:
        """Most entries it keeps."""
        return self._entries.maxlen or 0

    def __len__(self) -> int:
        """Entries it holds."""
        return len(self._entries)

    def append(self, entry: Entry) -> None:
        """Remember one frame's entry; when full, the oldest goes."""
        self._entries.append(entry)

    def stacked(self) -> Entry | None:
        """All entries with a new leading dimension of `len(self)`, or None when empty."""
        return type(self._entries[0]).stack(list(self._entries)) if self._entries else None

    def reset(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __copy__(self) -> MemoryBank[Entry]:
        """A bank of its own over the same entries, which nobody changes."""
        other: MemoryBank[Entry] = MemoryBank(self.capacity)
        other._entries.extend(self._entries)
        return other


@dataclass
class StreamState:
    """All that a stream carries from one frame to the next.

    The model keeps nothing, so a state may be copied to try two futures, dropped to start anew, or
    kept beside others for several streams in turn.

    Attributes:
        bank: what past frames left behind.
        frames_seen: frames since the start; a reset does not set it back.
        resets: times the past was forgotten.
    """

    bank: MemoryBank[TensorRecord]
    frames_seen: int = 0
    resets: int = 0

    @classmethod
    def empty(cls, capacity: int) -> StreamState:
        """The state before the first frame."""
        return cls(MemoryBank(capacity))

    def copy(self) -> StreamState:
        """An independent state with the same past."""
        return replace(self, bank=copy(self.bank))

    def reset(self) -> None:
        """Forget the past, as at a scene cut or the start of another video."""
        self.bank.reset()
        self.resets += 1
