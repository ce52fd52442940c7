import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from faim.nn.ticam import TICAM, TicamEntry
from faim.structures import Proposals

M, N, D, C = 5, 6, 16, 3


def make_proposals(frames=M, proposals=N, seed=0, like=0.0):
    """Random proposals; `like` in [0, 1] draws their features towards one vector."""
    g = torch.Generator().manual_seed(seed)
    shape = (frames, proposals)
    features = torch.randn(2, *shape, D, generator=g)
    features = (1 - like) * features + like * features[:, :1, :1]
    return Proposals(
        boxes=torch.rand(*shape, 4, generator=g),
        objectness=torch.rand(shape, generator=g),
        class_scores=torch.rand(*shape, C, generator=g),
        cls_features=features[0],
        ins_features=features[1],
        valid=torch.ones(shape, dtype=torch.bool),
    )


@pytest.fixture
def ticam():
    return TICAM(D, C, num_heads=4).eval()


def by_hand(ticam, proposals, guided):
    """Logits and `Attention` by definition, one query and one head at a time."""
    flat = proposals.map(lambda t: t.flatten(0, 1))
    head = D // ticam.num_heads
    q_c, k_c, v = ticam.qkv_cls(flat.cls_features).chunk(3, -1)
    q_i, k_i = ticam.qk_ins(flat.ins_features).chunk(2, -1)
    guide = flat.class_scores.amax(-1)
    guide_ins = flat.objectness if guided else torch.ones_like(guide)
    total = len(v)
    maps = torch.zeros(2, ticam.num_heads, total, total)
    similarity = torch.zeros(total, total)
    attended = torch.zeros(total, D)
    for h in range(ticam.num_heads):
        part = slice(h * head, (h + 1) * head)
        for i in range(total):
            cls = torch.stack(
                [F.cosine_similarity(q_c[i, part], k_c[j, part], 0) for j in range(total)]
            )
            ins = torch.stack(
                [F.cosine_similarity(q_i[i, part], k_i[j, part], 0) for j in range(total)]
            )
            maps[0, h, i] = (25 * cls * guide).softmax(0)
            maps[1, h, i] = (25 * ins * guide_ins).softmax(0)
            attended[i, part] = maps[:, h, i].mean(0) @ v[:, part]
            for j in range(total):
                similarity[i, j] += F.cosine_similarity(v[i, part], v[j, part], 0) / ticam.num_heads
    first = ticam.linear1(torch.cat([attended, v], -1))
    weights = maps.mean((0, 1)).softmax(-1) * (similarity > 0.75)
    weights = weights / weights.sum(-1, keepdim=True)
    logits = ticam.classifier(ticam.linear2(torch.cat([weights @ first, first], -1)))
    return logits.unflatten(0, proposals.valid.shape), *maps.mean(1), weights


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("like", [0.0, 0.7])
def test_equals_the_definition(like, guided):
    ticam = TICAM(D, C, num_heads=4, guide_ins=guided).eval()
    proposals = make_proposals(3, 4, like=like)
    expected, *weights = by_hand(ticam, proposals, guided)
    torch.testing.assert_close(ticam(proposals), expected, atol=1e-5, rtol=1e-5)
    found = ticam.attention(proposals)
    for part, wanted in zip((found.cls, found.ins, found.second), weights, strict=True):
        torch.testing.assert_close(part, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.first, (weights[0] + weights[1]) / 2, atol=1e-5, rtol=1e-5)


def test_attention_to_padding_is_none(ticam):
    proposals = make_proposals(3, 4, like=0.7)
    proposals.valid[1, 2:] = False
    rows = proposals.valid.flatten()
    found = ticam.attention(proposals)
    for weights in (found.cls, found.ins, found.first, found.second):
        assert weights[rows][:, ~rows].eq(0).all()
        torch.testing.assert_close(weights[rows].sum(-1), torch.ones(10))
    one_round = TICAM(D, C, num_heads=4, affinity_average=False).eval()
    one_round.load_state_dict(ticam.state_dict())
    assert torch.equal(one_round.attention(proposals).first, found.first)
    assert torch.equal(one_round.attention(proposals).second, torch.eye(12))


def test_order_of_the_frames_does_not_matter(ticam):
    proposals = make_proposals(like=0.5)
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(ticam(proposals[order]), ticam(proposals)[order])


def test_padding_never_changes_a_result(ticam):
    proposals = make_proposals(like=0.5)
    noise = make_proposals(proposals=4, seed=9, like=0.5)
    padded = Proposals(
        *(
            torch.cat([getattr(proposals, name), getattr(noise, name)], dim=1)
            for name in ("boxes", "objectness", "class_scores", "cls_features", "ins_features")
        ),
        valid=torch.cat([proposals.valid, torch.zeros_like(noise.valid)], dim=1),
    )
    torch.testing.assert_close(ticam(padded)[:, :N], ticam(proposals))


def test_a_frame_without_proposals_gives_no_nan(ticam):
    proposals = make_proposals(1)
    empty = Proposals(**{**vars(proposals), "valid": torch.zeros_like(proposals.valid)})
    assert ticam(empty).isfinite().all()
    logits, entry = ticam.step(empty[0], None)
    assert logits.isfinite().all()
    assert entry.first_round.isfinite().all()


def stack_of_key_frames(ticam, proposals):
    """A bank whose entries saw all frames when they were key frames: the exact second round."""
    flat = proposals.map(lambda t: t.flatten(0, 1))
    queries, own = ticam._project(flat)
    _, entry = ticam._first_round(queries, own, [own])
    return entry.map(lambda t: t.unflatten(0, proposals.valid.shape)), entry.first_round


def test_first_round_of_step_is_that_of_all_frames(ticam):
    proposals = make_proposals(like=0.5)
    bank, first = stack_of_key_frames(ticam, proposals)
    _, entry = ticam.step(proposals[M - 1], bank[: M - 1])
    torch.testing.assert_close(entry.first_round, first.unflatten(0, (M, N))[M - 1])


def test_step_with_exact_references_is_that_of_all_frames(ticam):
    proposals = make_proposals(like=0.5)
    bank, _ = stack_of_key_frames(ticam, proposals)
    logits, _ = ticam.step(proposals[2], bank[torch.tensor([0, 1, 3, 4])])
    torch.testing.assert_close(logits, ticam(proposals)[2])


def test_order_of_the_bank_does_not_matter(ticam):
    proposals = make_proposals(like=0.5)
    bank, _ = stack_of_key_frames(ticam, proposals)
    past, shuffled = bank[: M - 1], bank[torch.tensor([2, 0, 3, 1])]
    torch.testing.assert_close(
        ticam.step(proposals[M - 1], past)[0], ticam.step(proposals[M - 1], shuffled)[0]
    )


def test_step_without_a_bank_is_a_video_of_one_frame(ticam):
    proposals = make_proposals(1)
    torch.testing.assert_close(ticam.step(proposals[0], None)[0], ticam(proposals)[0])


def test_score_guidance():
    """A reference of class score 0 has the logit 0, whatever it looks like."""
    ticam = TICAM(4, 2, num_heads=1, guide_ins=False).eval()
    eye = torch.eye(4)
    ticam.qkv_cls.weight.data = torch.cat([eye, eye, eye])
    ticam.qk_ins.weight.data = torch.cat([eye, eye])
    features = torch.tensor([[[1.0, 0, 0, 0], [0, 1.0, 0, 0]]])
    proposals = Proposals(
        boxes=torch.zeros(1, 2, 4),
        objectness=torch.tensor([[0.5, 0.5]]),
        class_scores=torch.tensor([[[0.2, 0.1], [0.0, 0.0]]]),
        cls_features=features,
        ins_features=features,
        valid=torch.ones(1, 2, dtype=torch.bool),
    )
    queries, own = ticam._project(proposals.map(lambda t: t.flatten(0, 1)))
    [attention], _ = ticam._first_round(queries, own, [own])

    def softmax(a, b):
        return math.exp(a) / (math.exp(a) + math.exp(b))

    # Query 0 sees itself with 25 * 1 * 0.2 = 5 by class, 25 by instance; the other with 0 and 0.
    assert attention[0, 0, 0].item() == pytest.approx((softmax(5, 0) + softmax(25, 0)) / 2)
    # Query 1 sees itself with 25 * 1 * 0 = 0 by class.
    assert attention[0, 1, 1].item() == pytest.approx((0.5 + softmax(25, 0)) / 2)
    guided = TICAM(4, 2, num_heads=1, guide_ins=True).eval()
    guided.load_state_dict(ticam.state_dict())
    queries, own = guided._project(proposals.map(lambda t: t.flatten(0, 1)))
    [attention], _ = guided._first_round(queries, own, [own])
    assert attention[0, 0, 0].item() == pytest.approx((softmax(5, 0) + softmax(12.5, 0)) / 2)


def test_guidance_and_second_round_can_be_switched_off(ticam):
    proposals = make_proposals(like=0.9)
    switches = ({}, {"guide_cls": False}, {"affinity_average": False})
    kinds = [TICAM(D, C, num_heads=4, **switch).eval() for switch in switches]
    for kind in kinds:
        kind.load_state_dict(ticam.state_dict())
    whole, unguided, one_round = (kind(proposals) for kind in kinds)
    assert not torch.allclose(whole, unguided)
    assert not torch.allclose(whole, one_round)
    # Unguided, a reference counts by its looks alone.
    louder = replace(proposals, class_scores=proposals.class_scores / 2)
    assert torch.equal(kinds[1](louder), unguided)
    assert not torch.allclose(kinds[0](louder), whole)
    # In one round a proposal stays itself, however alike the others are.
    queries, own = kinds[2]._project(proposals.map(lambda t: t.flatten(0, 1)))
    _, own = kinds[2]._first_round(queries, own, [own])
    joined = own.first_round.repeat(1, 2)
    expected = kinds[2].classifier(kinds[2].linear2(joined)).unflatten(0, (M, N))
    assert torch.equal(one_round, expected)
    last, bank = None, None
    for frame in range(M):
        last, entry = kinds[2].step(proposals[frame], bank)
        grown = [entry] if bank is None else [*(bank[i] for i in range(len(bank.valid))), entry]
        bank = TicamEntry.stack(grown)
    torch.testing.assert_close(last, one_round[-1])
