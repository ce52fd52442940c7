import math

import pytest
import torch

from faim.nn.affinity import Affinity
from faim.structures import Proposals


def proposals(features, scores, objectness=None, valid=None):
    n = len(features)
    return Proposals(
        boxes=torch.zeros(n, 4),
        objectness=torch.tensor(objectness or [1.0] * n),
        class_scores=torch.tensor(scores),
        cls_features=torch.tensor(features),
        ins_features=torch.zeros(n, 2),
        valid=torch.tensor(valid or [True] * n),
    )


def random_frames():
    """Four frames of five proposals, some of them padding."""
    g = torch.Generator().manual_seed(0)
    return Proposals(
        boxes=torch.zeros(4, 5, 4),
        objectness=torch.rand(4, 5, generator=g),
        class_scores=torch.rand(4, 5, 3, generator=g),
        cls_features=torch.rand(4, 5, 8, generator=g),
        ins_features=torch.zeros(4, 5, 8),
        valid=torch.rand(4, 5, generator=g) > 0.3,
    )


def test_by_hand():
    """Frame 0 is sure of class 0; frame 1 shows the same thing badly, beside something else."""
    sure = proposals([[1.0, 0.0]], [[0.8, 0.1]])
    unsure = proposals([[0.8, 0.6], [0.0, 1.0]], [[0.2, 0.4], [0.1, 0.3]], objectness=[0.5, 1.0])
    affinity = Affinity(threshold=0.7)
    _, entry = affinity.step(sure, None)
    scores, _ = affinity.step(unsure, type(entry).stack([entry]))
    # Cosine 0.8 with the sure one and 1 with itself; 0.6 with its neighbour is too little.
    w_sure, w_own = 0.8**2, (0.5 * 0.4) ** 2
    for c, (a, b) in enumerate([(0.8, 0.2), (0.1, 0.4)]):
        expected = math.sqrt((w_sure * a**2 + w_own * b**2) / (w_sure + w_own))
        # At most 2.9 times its own.
        assert scores[0, c].item() == pytest.approx(min(expected, 2.9 * b), rel=1e-5)
    torch.testing.assert_close(scores[1], torch.tensor([0.1, 0.3]))


def test_order_and_padding_do_not_matter():
    frames = random_frames()
    assert not frames.valid.all()
    affinity = Affinity()
    result = affinity.refine(frames)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(affinity.refine(frames[order]), result[order])
    junk = Proposals(**{**vars(frames), "class_scores": torch.where(
        frames.valid[..., None], frames.class_scores, torch.ones(())
    )})  # fmt: skip
    torch.testing.assert_close(affinity.refine(junk)[frames.valid], result[frames.valid])


def test_step_is_refine_of_the_last_frame():
    frames = random_frames()
    affinity = Affinity()
    bank = [affinity.step(frames[i], None)[1] for i in range(3)]
    scores, _ = affinity.step(frames[3], type(bank[0]).stack(bank))
    torch.testing.assert_close(scores, affinity.refine(frames)[3])


@pytest.mark.parametrize("own", [0.0, 0.01, 0.1])
def test_a_frame_without_an_object_does_not_get_it_from_others(own):
    """Ten frames show it, forty have a box of the same features that says next to nothing."""
    features = torch.tensor([[[1.0, 0.2]]]).expand(50, 1, 2)
    scores = torch.tensor([[[0.9, 0.0]]] * 10 + [[[own, 0.05]]] * 40)
    video = Proposals(
        boxes=torch.zeros(50, 1, 4),
        objectness=torch.ones(50, 1),
        class_scores=scores,
        cls_features=features,
        ins_features=torch.zeros(50, 1, 0),
        valid=torch.ones(50, 1, dtype=torch.bool),
    )
    affinity = Affinity()
    refined = affinity.refine(video)
    # The many weak ones count by the square of their scores.
    assert refined[:10, 0, 0].tolist() == pytest.approx([0.9] * 10, abs=0.03)
    assert refined[10:, 0, 0].tolist() == pytest.approx([2.9 * own] * 40)
    bank = [affinity.step(video[i], None)[1] for i in range(31)]
    alone, _ = affinity.step(video[31], type(bank[0]).stack(bank))
    assert alone[0, 0].item() == pytest.approx(2.9 * own)
