"""What a running video remembers, apart from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from faim.errors import FaimError
from faim.reading import shown
from faim.stream.bank_policy import (
    BankPolicy,
    PolicyName,
    Recent,
    RecentAndSpread,
    make_policy,
)
from faim.structures import TensorRecord

__all__ = [
    "BankContent",
    "BankPolicy",
    "MemoryBank",
    "PolicyName",
    "Recent",
    "RecentAndSpread",
    "make_policy",
]

#: Most frames that a bank keeps.
MOST_FRAMES = 4096
Entry = TypeVar("Entry", bound=TensorRecord)


@dataclass(frozen=True)
class BankContent(Generic[Entry]):
    """What a bank holds.

    Attributes:
        storage: every tensor with a leading dimension of the bank's capacity, zero where unused.
        slots: place in the storage of every frame held, oldest first; of k frames 0 to k - 1 in
            some order.
        frames: numbers of the frames held, oldest first.
        appended: frames so far, since the last reset.
    """

    storage: Entry | None = None
    slots: tuple[int, ...] = ()
    frames: tuple[int, ...] = ()
    appended: int = 0


class MemoryBank(Generic[Entry]):
    """The entries of at most `capacity` past frames.

    The storage is allocated once, by the first entry, and an append writes one slot of it in place:
    copying 127 frames at every step would take longer than attending to them. Frames therefore
    stand in no order; aggregation does not depend on any. Appended tensors are copied, without
    their gradients.

    Args:
        capacity: frames to keep; with 0 it stays empty.
        policy: which frame goes when the bank is full; the oldest by default.

    Raises:
        FaimError: a capacity that is negative or above 4096, or a policy that cannot manage it.
    """

    def __init__(self, capacity: int, policy: BankPolicy | None = None) -> None:
        if not 0 <= capacity <= MOST_FRAMES:
            raise FaimError(
                f"memory bank: capacity is {shown(capacity)}; expected 0 to {MOST_FRAMES}"
            )
        self._policy: BankPolicy = Recent() if policy is None else policy
        self._policy.check(capacity)
        self._capacity = capacity
        self._storage: Entry | None = None
        self._slots: list[int] = []
        self._frames: list[int] = []
        self._appended = 0

    @property
    def capacity(self) -> int:
        """Most entries it keeps."""
        return self._capacity

    @property
    def policy(self) -> BankPolicy:
        """Which frame goes when the bank is full."""
        return self._policy

    @property
    def frames(self) -> list[int]:
        """Numbers of the frames held, oldest first; the first append since a reset is number 0."""
        return list(self._frames)

    @property
    def content(self) -> BankContent[Entry]:
        """All that it holds; the storage is the bank's own, not a copy."""
        return BankContent(self._storage, tuple(self._slots), tuple(self._frames), self._appended)

    def __len__(self) -> int:
        """Entries it holds."""
        return len(self._frames)

    @torch.no_grad()
    def append(self, entry: Entry) -> None:
        """Remember one frame's entry; when full, the policy says which frame goes.

        An entry without any tensor leaves nothing behind.

        Raises:
            FaimError: the entry is of another kind, or its tensors of other shapes or types, than
                those held.
        """
        tensors = entry.tensors()
        if not tensors or not self._capacity:
            return
        storage = self._storage
        if storage is None or (not self._frames and not _fits(storage, entry)):
            storage = self._storage = _allocate(entry, self._capacity)
        elif not _fits(storage, entry):
            raise FaimError(
                f"memory bank: an entry of {_describe(entry)}; expected {_describe(storage[0])} as "
                "in the frames before, or a reset"
            )
        slot = self._free_slot()
        for name, stored in storage.tensors().items():
            stored[slot].copy_(tensors[name])
        self._slots.append(slot)
        self._frames.append(self._appended)
        self._appended += 1

    def _free_slot(self) -> int:
        if len(self._frames) < self._capacity:
            return len(self._frames)
        place = self._policy.evict(self._frames, self._appended)
        self._frames.pop(place)
        return self._slots.pop(place)

    def stacked(self) -> Entry | None:
        """The entries held, with a new leading dimension of `len(self)`, in no order; None if none.

        These are views of the storage, valid until the next append or reset.
        """
        return None if self._storage is None or not self._frames else self._storage[: len(self)]

    def padded(self) -> Entry | None:
        """All slots, with a new leading dimension of `capacity`, for graphs of fixed shapes.

        Unused slots are zero: a field `valid` says False there, and a `weight` nothing. The tensors
        stay the same ones over all appends and resets, as long as the shapes do. None before the
        first entry.
        """
        return self._storage

    @torch.no_grad()
    def reset(self) -> None:
        """Forget everything; the storage stays allocated.

        The next entry may have other shapes, for which it is then allocated anew.
        """
        if self._storage is not None:
            for stored in self._storage.tensors().values():
                stored[: len(self)].zero_()
        self._slots, self._frames, self._appended = [], [], 0

    def copy(self) -> MemoryBank[Entry]:
        """A bank with the same content in a storage of its own."""
        return self.from_content(self._capacity, self._policy, self.content)

    __copy__ = copy

    @classmethod
    def from_content(
        cls, capacity: int, policy: BankPolicy, content: BankContent[Entry]
    ) -> MemoryBank[Entry]:
        """A bank that holds a copy of the content of another of the same capacity."""
        bank = cls(capacity, policy)
        # A bank filled in inference mode must be usable outside of it.
        with torch.inference_mode(False), torch.no_grad():
            if content.storage is not None:
                bank._storage = content.storage.map(Tensor.clone)
        bank._slots, bank._frames = list(content.slots), list(content.frames)
        bank._appended = content.appended
        return bank


def _fits(storage: TensorRecord, entry: TensorRecord) -> bool:
    stored, new = storage.tensors(), entry.tensors()
    return (
        type(storage) is type(entry)
        and stored.keys() == new.keys()
        and all(
            stored[name].shape[1:] == tensor.shape and stored[name].dtype == tensor.dtype
            for name, tensor in new.items()
        )
    )


def _allocate(entry: Entry, capacity: int) -> Entry:
    def zeros(tensor: Tensor) -> Tensor:
        return torch.zeros((capacity, *tensor.shape), dtype=tensor.dtype, device=tensor.device)

    with torch.inference_mode(False):  # the bank lives on after it
        return entry.map(zeros)


def _describe(entry: TensorRecord) -> str:
    """Like "TicamEntry with keys (30, 8, 32) float32, ..."."""
    tensors = [
        f"{name} {tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
        for name, tensor in entry.tensors().items()
    ]
    return f"{type(entry).__name__} with {', '.join(tensors)}"
