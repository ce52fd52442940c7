from __future__ import annotations

import pytest
import torch

from faim.errors import FaimError
from faim.runtime.memory import MemoryBank, StreamState
from faim.structures import Detections


def entry(value: float) -> Detections:
    return Detections(torch.full((2, 4), value), torch.full((2,), value), torch.zeros(2).long())


def test_bank_keeps_the_last_entries_oldest_first() -> None:
    bank: MemoryBank[Detections] = MemoryBank(3)
    assert bank.stacked() is None
    for value in range(5):
        bank.append(entry(float(value)))
    stacked = bank.stacked()
    assert stacked is not None
    assert stacked.boxes.shape == (3, 2, 4)
    assert stacked.scores[:, 0].tolist() == [2.0, 3.0, 4.0]
    bank.reset()
    assert (len(bank), bank.capacity, bank.stacked()) == (0, 3, None)


def test_bank_of_no_capacity_stays_empty() -> None:
    bank: MemoryBank[Detections] = MemoryBank(0)
    bank.append(entry(1.0))
    assert (len(bank), bank.capacity) == (0, 0)
    with pytest.raises(FaimError, match="capacity is -1"):
        MemoryBank(-1)


def test_copied_state_lives_on_its_own() -> None:
    state = StreamState.empty(4)
    state.bank.append(entry(1.0))
    state.frames_seen = 1
    twin = state.copy()
    twin.bank.append(entry(2.0))
    twin.frames_seen = 2
    assert (len(state.bank), state.frames_seen) == (1, 1)
    assert (len(twin.bank), twin.frames_seen) == (2, 2)
    twin.reset()
    assert (len(twin.bank), twin.resets, twin.frames_seen) == (0, 1, 2)
    assert (len(state.bank), state.resets) == (1, 0)
