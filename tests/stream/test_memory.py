from __future__ import annotations

import json
import os
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from faim.errors import FaimError
from faim.families.yolox.aggregation import Aggregator, TicamAggregator
from faim.nn.affinity import Affinity
from faim.nn.ticam import TICAM, TicamEntry
from faim.stream.memory import MemoryBank, Recent, RecentAndSpread, make_policy
from faim.stream.state import StreamState
from faim.structures import Detections, Proposals, TensorRecord


@dataclass(frozen=True)
class Weighted(TensorRecord):
    weight: torch.Tensor
    valid: torch.Tensor


def entry(value: float, n: int = 2) -> Detections:
    nothing = torch.zeros(n).long()
    return Detections(torch.full((n, 4), value), torch.full((n,), value), nothing, nothing)


def held(bank: MemoryBank[Detections]) -> list[float]:
    stacked = bank.stacked()
    return [] if stacked is None else sorted(stacked.scores[:, 0].tolist())


def proposals(n: int = 4, dim: int = 16, classes: int = 3) -> Proposals:
    return Proposals(
        boxes=torch.rand(n, 4),
        objectness=torch.rand(n),
        class_scores=torch.rand(n, classes),
        cls_features=torch.randn(n, dim),
        ins_features=torch.randn(n, dim),
        valid=torch.rand(n) > 0.2,
    )


def aggregators() -> list[Aggregator]:
    return [TicamAggregator(TICAM(16, 3).eval()), Affinity(0.0)]


def test_bank_keeps_the_last_entries() -> None:
    bank: MemoryBank[Detections] = MemoryBank(3)
    assert bank.stacked() is None
    assert bank.padded() is None
    for value in range(5):
        bank.append(entry(float(value)))
        assert bank.frames == list(range(max(0, value - 2), value + 1))
    stacked = bank.stacked()
    assert stacked is not None
    assert stacked.boxes.shape == (3, 2, 4)
    assert held(bank) == [2.0, 3.0, 4.0]
    bank.reset()
    assert (len(bank), bank.capacity, bank.stacked(), bank.frames) == (0, 3, None, [])
    bank.append(entry(7.0))
    assert (bank.frames, held(bank)) == ([0], [7.0])


def test_bank_of_no_capacity_stays_empty() -> None:
    for policy in (None, RecentAndSpread(0)):
        bank: MemoryBank[Detections] = MemoryBank(0, policy)
        bank.append(entry(1.0))
        assert (len(bank), bank.capacity, bank.padded()) == (0, 0, None)
    with pytest.raises(FaimError, match="capacity is -1"):
        MemoryBank(-1)


def test_storage_is_allocated_once_and_written_in_place() -> None:
    bank: MemoryBank[Detections] = MemoryBank(3)
    bank.append(entry(0.0))
    padded = bank.padded()
    assert padded is not None
    pointers = [tensor.data_ptr() for tensor in vars(padded).values()]
    for value in range(1, 6):
        bank.append(entry(float(value)))
        stacked = bank.stacked()
        assert stacked is not None
        assert [tensor.data_ptr() for tensor in vars(stacked).values()] == pointers
    bank.reset()
    bank.append(entry(1.0))
    padded = bank.padded()
    assert padded is not None
    assert [tensor.data_ptr() for tensor in vars(padded).values()] == pointers


def test_unused_slots_are_zero_at_first_and_after_a_reset() -> None:
    bank: MemoryBank[Weighted] = MemoryBank(4)
    for count in (2, 6, 1):  # filling, past full, after a reset
        bank.reset()
        for _ in range(count):
            bank.append(Weighted(torch.full((3,), 0.5), torch.ones(3, dtype=torch.bool)))
        padded = bank.padded()
        assert padded is not None
        used = min(count, 4)
        assert padded.valid.sum(dim=1).tolist() == [3] * used + [0] * (4 - used)
        assert padded.weight.sum(dim=1).tolist() == [1.5] * used + [0.0] * (4 - used)
    bank.reset()
    padded = bank.padded()
    assert padded is not None
    assert not padded.valid.any()
    assert not padded.weight.any()


def test_the_bank_copies_what_it_is_given() -> None:
    bank: MemoryBank[Weighted] = MemoryBank(2)
    weight = torch.ones(3, requires_grad=True)
    bank.append(Weighted(weight, torch.ones(3, dtype=torch.bool)))
    with torch.no_grad():
        weight.zero_()
    stacked = bank.stacked()
    assert stacked is not None
    assert stacked.weight.tolist() == [[1.0, 1.0, 1.0]]
    assert not stacked.weight.requires_grad


def test_bank_filled_in_inference_mode_goes_on_outside_of_it() -> None:
    bank: MemoryBank[Detections] = MemoryBank(2)
    with torch.inference_mode():
        bank.append(entry(1.0))
        twin = copy(bank)
    for each in (bank, twin):
        each.append(entry(2.0))
        with torch.inference_mode():
            each.append(entry(3.0))
        assert held(each) == [2.0, 3.0]


def test_entry_without_tensors_leaves_nothing() -> None:
    bank: MemoryBank[TensorRecord] = MemoryBank(3)
    for _ in range(4):
        bank.append(TensorRecord())
    assert (len(bank), bank.stacked(), bank.padded(), bank.frames) == (0, None, None, [])


def test_entry_of_another_kind_is_refused_until_a_reset() -> None:
    bank: MemoryBank[TensorRecord] = MemoryBank(2)
    bank.append(entry(1.0, n=2))
    with pytest.raises(FaimError, match=r"boxes \(3, 4\) float32.*expected .*boxes \(2, 4\)"):
        bank.append(entry(1.0, n=3))
    with pytest.raises(FaimError, match="float64"):
        bank.append(entry(1.0).map(doubled))
    with pytest.raises(FaimError, match=r"an entry of Weighted.*expected Detections"):
        bank.append(Weighted(torch.ones(2), torch.ones(2)))
    assert bank.frames == [0]
    bank.reset()
    bank.append(entry(1.0, n=3))
    stacked = bank.stacked()
    assert isinstance(stacked, Detections)
    assert stacked.boxes.shape == (1, 3, 4)


def doubled(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


@settings(max_examples=60, deadline=None)
@given(
    capacity=st.integers(1, 40),
    share=st.floats(0, 1),
    appends=st.integers(1, 400),
)
def test_spread_holds_the_recent_and_leaves_no_large_gap(
    capacity: int, share: float, appends: int
) -> None:
    recent = round(share * capacity)
    bank: MemoryBank[Weighted] = MemoryBank(capacity, RecentAndSpread(recent))
    for frame in range(appends):
        bank.append(Weighted(torch.tensor([float(frame)]), torch.ones(1, dtype=torch.bool)))
        frames = bank.frames
        assert len(frames) == min(frame + 1, capacity)
        window = max(1, recent)
        assert frames[-window:] == list(range(max(0, frame - window + 1), frame + 1))
        # The gaps before, between and after the k frames of the reservoir.
        reservoir = [held for held in frames if held <= frame - window]
        points = [-1, *reservoir, frame - window + 1]
        if frame >= window:
            largest = max(second - first for first, second in pairwise(points))
            assert largest <= max(1, 2 * points[-1] / (len(reservoir) + 1) + 1)
    stacked = bank.stacked()
    assert stacked is not None
    assert sorted(stacked.weight[:, 0].tolist()) == bank.frames  # the slots hold what they say


def test_spread_covers_a_long_video_and_recent_does_not() -> None:
    appends = 5000
    frames = {}
    for policy in (make_policy("recent", 30), make_policy("spread", 30)):
        bank: MemoryBank[Detections] = MemoryBank(30, policy)
        for _ in range(appends):
            bank.append(entry(0.0))
        frames[type(policy)] = bank.frames
    assert frames[Recent] == list(range(4970, 5000))
    reservoir = frames[RecentAndSpread][:15]
    assert frames[RecentAndSpread][15:] == list(range(4985, 5000))
    gaps = [second - first for first, second in pairwise([-1, *reservoir, 4985])]
    assert max(gaps) <= 2 * appends / 15


def test_first_frame_stays_while_the_gaps_are_even() -> None:
    bank: MemoryBank[Detections] = MemoryBank(5, RecentAndSpread(2))
    for _ in range(6):
        bank.append(entry(0.0))
    assert bank.frames == [0, 1, 2, 4, 5]


def test_policies_are_checked_and_named() -> None:
    assert make_policy("recent", 7) == Recent()
    assert make_policy("spread", 7) == RecentAndSpread(4)
    assert make_policy("spread", 0) == RecentAndSpread(0)
    with pytest.raises(FaimError, match="'oldest' given; expected one of recent, spread"):
        make_policy("oldest", 7)  # type: ignore[arg-type]
    for recent in (8, -1):
        with pytest.raises(FaimError, match=f"{recent} recent frames in a bank of 7"):
            MemoryBank(7, RecentAndSpread(recent))


def test_copied_state_lives_on_its_own() -> None:
    state = StreamState.empty(4, RecentAndSpread(2))
    state.bank.append(entry(1.0))
    state.frames_seen = 1
    state.thumbnail = np.zeros((36, 64, 3), np.uint8)
    twin = state.copy()
    twin.bank.append(entry(2.0))
    twin.frames_seen = 2
    assert twin.thumbnail is not None
    twin.thumbnail += 1
    assert (len(state.bank), state.frames_seen, state.thumbnail.max()) == (1, 1, 0)
    assert (len(twin.bank), twin.frames_seen, twin.bank.policy) == (2, 2, RecentAndSpread(2))
    twin.reset()
    assert (len(twin.bank), twin.resets, twin.frames_seen, twin.thumbnail) == (0, 1, 2, None)
    assert (held(state.bank), state.resets) == ([1.0], 0)


@pytest.mark.parametrize("aggregator", aggregators(), ids=["ticam", "affinity"])
@pytest.mark.parametrize("seen", [0, 2, 9], ids=["nothing", "filling", "full"])
@torch.inference_mode()
def test_saved_state_goes_on_bit_for_bit(aggregator: Aggregator, seen: int, tmp_path: Path) -> None:
    state = StreamState.empty(4, RecentAndSpread(2))
    step(state, aggregator, seen)
    state.thumbnail = np.random.default_rng(0).integers(0, 256, (36, 64, 3), dtype=np.uint8)
    state.resets = 3
    path = tmp_path / "state.safetensors"
    state.save(path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    loaded = StreamState.load(path)
    path.unlink()
    assert (loaded.frames_seen, loaded.resets) == (seen, 3)
    assert (loaded.bank.capacity, loaded.bank.policy) == (4, RecentAndSpread(2))
    assert np.array_equal(loaded.thumbnail, state.thumbnail)
    rng = torch.get_rng_state()
    expected = step(state, aggregator, 5)
    torch.set_rng_state(rng)
    found = step(loaded, aggregator, 5)
    assert torch.equal(found, expected)
    assert loaded.bank.frames == state.bank.frames
    assert loaded.bank.content.slots == state.bank.content.slots


def step(state: StreamState, aggregator: Aggregator, count: int) -> torch.Tensor:
    results = [torch.zeros(0, 3)]
    for _ in range(count):
        probabilities, new = aggregator.step(proposals(), state.bank.stacked())
        state.bank.append(new)
        state.frames_seen += 1
        results.append(probabilities)
    return torch.cat(results)


def test_loaded_state_can_be_written_to_outside_of_inference_mode(tmp_path: Path) -> None:
    state = StreamState.empty(3)
    step(state, Affinity(), 2)
    state.save(tmp_path / "state")
    with torch.inference_mode():
        loaded = StreamState.load(tmp_path / "state")
    step(loaded, Affinity(), 2)
    assert loaded.bank.frames == [1, 2, 3]


def test_what_cannot_be_saved_is_one_sentence(tmp_path: Path) -> None:
    class Oldest(Recent):
        pass

    @dataclass(frozen=True)
    class Newest:
        def check(self, capacity: int) -> None: ...

        def evict(self, frames: object, newest: int) -> int:
            return 1

    state = StreamState.empty(2)
    state.bank.append(entry(1.0))
    with pytest.raises(FaimError, match="cannot save a bank of Detections; expected entries of"):
        state.save(tmp_path / "state")
    with pytest.raises(FaimError, match="policy Newest; expected Recent or RecentAndSpread"):
        StreamState.empty(2, Newest()).save(tmp_path / "state")
    with pytest.raises(FaimError, match="policy Oldest"):
        StreamState.empty(2, Oldest()).save(tmp_path / "state")
    with pytest.raises(FaimError, match="none/state: cannot be written"):
        StreamState.empty(2).save(tmp_path / "none/state")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FaimError, match="folder: cannot be written"):
        StreamState.empty(2).save(tmp_path / "folder")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def saved(path: Path) -> dict[str, object]:
    state = StreamState.empty(3, RecentAndSpread(1))
    step(state, TicamAggregator(TICAM(16, 3).eval()), 5)
    state.save(path)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["state"])
    assert header["entry"] == "ticam"
    return header


@pytest.mark.parametrize(
    "change",
    [
        {"entry": "unknown"},
        {"entry": "affinity"},
        {"entry": None},
        {"capacity": 2},
        {"capacity": -1},
        {"recent": 4},
        {"recent": "all"},
        {"slots": [0, 1, 1]},
        {"slots": [0, 1, 3]},
        {"frames": [4, 3, 2]},
        {"frames": [0, 3]},
        {"frames": [0.5, 3, 4]},
        {"frames": None},
        {"appended": 4},
        {"resets": True},
        {"more": 1},
    ],
    ids=str,
)
def test_contradictory_header_is_one_sentence(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "state"
    header = saved(path) | change
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() | {"state": json.dumps(header)}
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(FaimError, match=r"state: damaged or not a stream's saved state \("):
        StreamState.load(path)


def other_tensors(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name)[:, :2].clone() for name in file.keys()}  # noqa: SIM118
        tensors["bank.valid"] = file.get_tensor("bank.valid").clone()
        metadata = file.metadata()
    save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 100), "damaged"),
        (lambda path: os.truncate(path, 5), "damaged"),
        (lambda path: os.truncate(path, 0), "damaged"),
        (lambda path: path.write_text("a note"), "damaged"),
        (lambda path: save_file({"a": torch.ones(1)}, path), "not a stream's saved state"),
        (other_tensors, "do not match"),
        (Path.unlink, "no such file"),
    ],
    ids=["short", "shorter", "empty", "foreign", "weights", "tensors", "missing"],
)
def test_damaged_or_foreign_file_is_one_sentence(
    damage: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    saved(path)
    damage(path)
    with pytest.raises(FaimError, match=message) as caught:
        StreamState.load(path)
    assert str(path) in str(caught.value)


def test_ticam_gives_the_same_in_any_order_of_the_bank() -> None:
    """What lets slots be reused in no order."""
    aggregator = TicamAggregator(TICAM(16, 3).eval())
    state = StreamState.empty(6)
    with torch.inference_mode():
        step(state, aggregator, 6)
        stacked = state.bank.stacked()
        assert isinstance(stacked, TicamEntry)
        key = proposals()
        expected, _ = aggregator.step(key, stacked)
        found, _ = aggregator.step(key, stacked[torch.tensor([3, 1, 5, 0, 4, 2])])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
