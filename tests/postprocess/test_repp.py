from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from postprocess_helpers import SIZE, moving, scored
from scipy.ndimage import convolve1d
from scipy.signal.windows import gaussian

from faim.errors import FaimError
from faim.postprocess.linking import greedy_pairs
from faim.postprocess.repp import Repp, ReppConfig, smooth

LEFT, RIGHT = [10.0, 10, 60, 60], [300.0, 10, 360, 60]
STILL = ReppConfig(recoordinate=False)


def test_a_tubelet_has_the_mean_scores_and_what_stands_alone_goes() -> None:
    frames = [
        scored((LEFT, [0.9, 0.0])),
        scored((LEFT, [0.1, 0.2]), (RIGHT, [0.8, 0.0])),
        scored((LEFT, [0.2, 0.1])),
    ]
    found = Repp(STILL).apply(frames, SIZE)
    for frame in found:
        assert frame.boxes.tolist() == [LEFT]
        assert frame.scores[0].tolist() == pytest.approx([0.4, 0.1])
        assert frame.scores.dtype == torch.float32
    kept = Repp(ReppConfig(recoordinate=False, add_unmatched=True)).apply(frames, SIZE)
    assert kept[1].boxes.tolist() == [LEFT, RIGHT]
    assert kept[1].scores[1].tolist() == pytest.approx([0.8, 0.0])
    assert frames[0].scores[0].tolist() == pytest.approx([0.9, 0.0])


def test_links_number_tubelets_by_first_frame_then_similarity() -> None:
    frames = [
        scored((RIGHT, [0.1, 0.0]), (LEFT, [0.9, 0.0])),
        scored((LEFT, [0.9, 0.0]), (RIGHT, [0.1, 0.0])),
        scored((RIGHT, [0.5, 0.0])),
        scored(),
        scored((RIGHT, [0.5, 0.0])),
        scored((RIGHT, [0.5, 0.0])),
    ]
    tracks = [ids.tolist() for ids in Repp().link(frames, SIZE)]
    assert tracks == [[1, 0], [0, 1], [1], [], [2], [2]]


def test_boxes_of_other_classes_are_no_better_a_pair_than_scores_agree() -> None:
    # Two boxes on one place: with "dot" the classes decide, with "raw" the place.
    near = [12.0, 10, 62, 60]
    frames = [scored((LEFT, [0.9, 0.1])), scored((LEFT, [0.05, 0.1]), (near, [0.8, 0.1]))]
    assert Repp().link(frames, SIZE)[1].tolist() == [-1, 0]
    assert Repp(ReppConfig(clf_mode="raw")).link(frames, SIZE)[1].tolist() == [0, -1]
    assert Repp(ReppConfig(clf_mode="max")).link(frames, SIZE)[1].tolist() == [-1, 0]
    assert Repp(ReppConfig(clf_mode="dot_plus")).link(frames, SIZE)[1].tolist() == [-1, 0]


def test_thresholds() -> None:
    frames = [scored((LEFT, [0.9, 0.004])), scored((LEFT, [0.3, 0.004]))]
    config = ReppConfig(min_pred_score=0.005)
    assert Repp(config).apply(frames, SIZE)[0].scores[0].tolist() == [pytest.approx(0.6), 0]
    config = ReppConfig(min_tubelet_score=0.5, add_unmatched=True)
    found = Repp(config).apply(frames, SIZE)
    assert found[0].scores[0].tolist() == pytest.approx([0.9, 0.004])
    assert len(found[1].boxes) == 0
    assert Repp(ReppConfig(clf_thr=1.0)).link(frames, SIZE)[0].tolist() == [-1]


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    std=st.floats(0.1, 6),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_smoothing_is_scipys(lengths: list[int], std: float, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 1000, (sum(lengths), 2))
    groups = np.repeat(np.arange(len(lengths)) * 3, lengths)
    parts = []
    for part in np.split(values, np.cumsum(lengths)[:-1]):
        window = gaussian(2 * len(part) - 1, std)
        parts.append(convolve1d(part, window / window.sum(), axis=0, mode="reflect"))
    np.testing.assert_allclose(smooth(values, groups, std), np.concatenate(parts), atol=1e-9)


def test_standard_deviation_of_the_published_setting_is_one_frame() -> None:
    boxes = [[10.0, 10, 60, 60], [16.0, 10, 60, 60]]
    found = Repp().apply([scored((box, [0.9, 0.1])) for box in boxes], SIZE)
    # Window e^-1/2, 1, e^-1/2; the first neighbour of an end is itself.
    weight = np.exp(-0.5) / (1 + 2 * np.exp(-0.5))
    assert found[0].boxes[0, 0].item() == pytest.approx(10 + 6 * weight, abs=1e-5)
    assert found[1].boxes[0, 0].item() == pytest.approx(16 - 6 * weight, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_boxes_does_not_matter(seed: int) -> None:
    frames = moving(12, 6, 4, seed)
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(frame.boxes), generator=generator) for frame in frames]
    shuffled = [frame[order] for frame, order in zip(frames, orders, strict=True)]
    config = ReppConfig(add_unmatched=True)
    plain, mixed = (Repp(config).apply(video, SIZE) for video in (frames, shuffled))
    for one, other, order in zip(plain, mixed, orders, strict=True):
        torch.testing.assert_close(one.boxes[order], other.boxes)
        torch.testing.assert_close(one.scores[order], other.scores)


@given(st.integers(0, 2**16), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_greedy_pairs_take_the_nearest_of_what_is_left(seed: int, rows: int, columns: int) -> None:
    distance = np.random.default_rng(seed).choice([0.1, 0.2, 0.3, 0.7, np.inf], (rows, columns))
    left, expected = distance.copy(), []
    while left.min() < np.inf:
        row, column = np.unravel_index(left.argmin(), left.shape)
        expected.append((row, column))
        left[row], left[:, column] = np.inf, np.inf
    assert greedy_pairs(distance) == expected


def test_videos_without_anything() -> None:
    assert Repp().apply([], SIZE) == []
    [alone] = Repp().apply([scored((LEFT, [0.9, 0.1]))], SIZE)
    assert alone.boxes.shape == (0, 4)
    assert alone.scores.shape == (0, 2)
    assert [len(frame.boxes) for frame in Repp().apply([scored(), scored()], SIZE)] == [0, 0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"clf_thr": 1.5}, "clf_thr is 1.5; expected a number from 0 to 1"),
        ({"min_tubelet_score": -0.1}, "min_tubelet_score is -0.1"),
        ({"min_pred_score": True}, "min_pred_score is True"),
        ({"clf_mode": "best"}, "clf_mode is 'best'; expected one of dot, max, dot_plus, raw"),
        ({"recoordinate_std": 0.0}, "recoordinate_std is 0.0; expected a number above 0"),
        ({"recoordinate_std": float("nan")}, "recoordinate_std is nan"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(FaimError, match=words):
        ReppConfig(**wrong)


def test_wrong_input() -> None:
    frame = scored((LEFT, [0.9, 0.1]))
    with pytest.raises(FaimError, match="2 and 3 classes given; expected the same number"):
        Repp().apply([frame, scored((LEFT, [0.9, 0.1, 0.2]), classes=3)], SIZE)
    with pytest.raises(FaimError, match=r"frame size \(0, 640\) given; expected height and width"):
        Repp().apply([frame], (0, 640))
