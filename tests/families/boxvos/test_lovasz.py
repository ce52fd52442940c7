"""The Lovász hinge against its definition."""

import math
from itertools import product

import pytest
import torch

from faim.families.boxvos.lovasz import lovasz_hinge, lovasz_sigmoid


def hinge(logit, truth):
    return max(0.0, 1 - logit * (1 if truth else -1))


def distance(logit, truth):
    return abs(truth - 1 / (1 + math.exp(-logit)))


def by_definition(error, logits, truth):
    """The Lovász extension of the Jaccard loss, at these errors."""
    errors = [error(z, t) for z, t in zip(logits, truth, strict=True)]
    order = sorted(range(len(errors)), key=lambda i: -errors[i])

    def loss(wrong):
        positives = {i for i, t in enumerate(truth) if t}
        predicted = positives ^ wrong
        union = positives | predicted
        return 1 - len(positives & predicted) / len(union) if union else 0.0

    total, wrong = 0.0, set()
    for index in order:
        before = loss(wrong)
        wrong = wrong | {index}
        total += errors[index] * (loss(wrong) - before)
    return total


@pytest.mark.parametrize(("loss", "error"), [(lovasz_hinge, hinge), (lovasz_sigmoid, distance)])
def test_it_is_the_lovasz_extension(loss, error):
    generator = torch.Generator().manual_seed(0)
    for truth in product([False, True], repeat=4):
        logits = torch.randn(1, 4, generator=generator, dtype=torch.float64) * 2
        found = loss(logits, torch.tensor([truth]))
        expected = by_definition(error, logits[0].tolist(), truth)
        assert found.item() == pytest.approx(expected, abs=1e-12)


def test_at_confident_masks_it_is_the_jaccard_loss_times_the_margin():
    truth = torch.tensor([[True, True, True, False, False, False]])
    logits = torch.tensor([[1.0, 1.0, -1.0, 1.0, -1.0, -1.0]])  # two right, one missed, one extra
    # Errors are 2 on the wrong pixels and 0 on the others: 2 x (1 - 2 / 4).
    assert lovasz_hinge(logits, truth).item() == pytest.approx(1.0)
    right = torch.where(truth, 5.0, -5.0)
    assert lovasz_hinge(right, truth).item() == 0.0
    assert lovasz_sigmoid(50 * logits, truth).item() == pytest.approx(0.5)


def test_images_do_not_mix():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 20, generator=generator)
    truth = torch.rand(3, 20, generator=generator) > 0.5
    together = lovasz_hinge(logits, truth)
    apart = [lovasz_hinge(logits[i : i + 1], truth[i : i + 1]).item() for i in range(3)]
    assert together.tolist() == pytest.approx(apart)
