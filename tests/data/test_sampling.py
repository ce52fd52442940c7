from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faim.data.sampling import derive_seed, global_test, global_train, local_test, local_train
from faim.errors import FaimError

lengths = st.integers(1, 200)
sizes = st.integers(1, 40)
seeds = st.integers(0, 1000)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(lengths, sizes, seeds)
def test_global_train_uses_frames_as_evenly_as_it_can(length: int, m: int, seed: int) -> None:
    chosen = global_train(length, m, _generator(seed))
    assert len(chosen) == m
    assert chosen == sorted(chosen)
    counts = np.bincount(chosen, minlength=length)
    assert len(counts) == length
    assert counts.max() - counts.min() <= 1
    assert chosen == global_train(length, m, _generator(seed))


def test_global_train_reaches_the_whole_video_evenly() -> None:
    generator = _generator(0)
    drawn = np.concatenate([global_train(50, 16, generator) for _ in range(2000)])
    # 640 expected each; standard deviation sqrt(2000 * 0.32 * 0.68) = 21.
    assert np.abs(np.bincount(drawn, minlength=50) - 640).max() < 5 * 21


@given(lengths, sizes, seeds, st.integers(1, 8))
def test_local_train_is_one_even_stretch(length: int, m: int, seed: int, stride: int) -> None:
    chosen = local_train(length, m, _generator(seed), stride=stride)
    assert len(chosen) == m
    assert chosen[0] >= 0
    assert chosen[-1] < length
    steps = set(np.diff(chosen))
    if length >= m:
        assert len(steps) <= 1
        assert steps <= set(range(1, stride + 1))
        if (m - 1) * stride < length:
            assert steps <= {stride}
    else:
        counts = np.bincount(chosen, minlength=length)
        assert counts.max() - counts.min() <= 1


@given(st.integers(0, 300), sizes, seeds)
def test_test_groups_are_partitions(length: int, m: int, seed: int) -> None:
    for groups in (
        global_test(length, m, "uniform"),
        global_test(length, m, "shuffled", seed),
        local_test(length, m),
    ):
        assert len(groups) == -(-length // m)
        assert sorted(frame for group in groups for frame in group) == list(range(length))
        assert all(len(group) <= m for group in groups)
        assert all(group == sorted(group) for group in groups)
        if groups:
            assert max(map(len, groups)) - min(map(len, groups)) <= 1


def test_test_groups_by_hand() -> None:
    assert global_test(7, 3) == [[0, 3, 6], [1, 4], [2, 5]]
    assert local_test(7, 3) == [[0, 1, 2], [3, 4], [5, 6]]
    assert global_test(3, 32) == [[0, 1, 2]]
    assert global_test(0, 32) == local_test(0, 32) == []


def test_shuffled_groups_depend_on_the_seed_alone() -> None:
    assert global_test(90, 32, "shuffled", 4) == global_test(90, 32, "shuffled", _generator(4))
    assert global_test(90, 32, "shuffled", 4) != global_test(90, 32, "shuffled", 5)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(FaimError, match="num_frames is 0"):
        global_train(0, 16, _generator(0))
    with pytest.raises(FaimError, match="m is 0"):
        global_test(5, 0)
    with pytest.raises(FaimError, match="stride is 0"):
        local_train(5, 2, _generator(0), stride=0)
    with pytest.raises(FaimError, match="'random'; expected uniform or shuffled"):
        global_test(5, 2, "random")  # type: ignore[arg-type]


def test_derived_seeds_differ_in_every_place() -> None:
    grid = [derive_seed(a, b, c) for a in range(8) for b in range(8) for c in range(8)]
    assert len(set(grid)) == 512
    assert all(0 <= seed < 2**32 for seed in grid)
