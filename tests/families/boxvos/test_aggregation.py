"""The solver of Eq. 2b against its closed form, and its gradient against finite differences."""

import pytest
import torch
from torch.nn import functional as F

from faim.families.boxvos.aggregation import (
    SpatioTemporalAggregation,
    apply_filter,
    apply_transposed,
    objective,
    solve,
)


def problem(seed=0, batch=2, frames=3, dim=2, channels=2, side=4):
    generator = torch.Generator().manual_seed(seed)

    def draw(depth):
        shape = (batch, frames, depth, side, side)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return draw(dim), draw(channels), draw(channels).abs() + 0.1


def closed_form(features, embedding, weight, regularization, kernel):
    """Each sequence and channel apart: the normal equations of a weighted ridge regression."""
    batch, frames, dim, _, _ = features.shape
    channels = embedding.shape[2]
    filters = features.new_zeros(batch, channels, dim, kernel, kernel)
    for b in range(batch):
        patches = F.unfold(features[b], kernel, padding=kernel // 2)
        rows = patches.transpose(1, 2).flatten(0, 1)
        for c in range(channels):
            squared = weight[b, :, c].flatten().square() / frames
            gram = rows.T @ (squared[:, None] * rows)
            gram += regularization * torch.eye(len(gram), dtype=gram.dtype)
            right = rows.T @ (squared * embedding[b, :, c].flatten())
            filters[b, c] = torch.linalg.solve(gram, right).view(dim, kernel, kernel)
    return filters


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_descent_ends_in_the_closed_form(kernel):
    features, embedding, weight = problem()
    regularization = torch.tensor(0.5, dtype=torch.float64)
    found = solve(features, embedding, weight, regularization, 500, kernel)
    expected = closed_form(features, embedding, weight, 0.5, kernel)
    assert torch.allclose(found, expected, atol=1e-7)


def test_one_step_of_a_problem_with_one_unknown_is_exact():
    # One 1x1 filter on one channel: steepest descent with the exact step needs a single one.
    features, embedding, weight = problem(batch=3, dim=1, channels=1)
    regularization = torch.tensor(0.3, dtype=torch.float64)
    found = solve(features, embedding, weight, regularization, 1, 1)
    frames = features.shape[1]
    squared = weight.square()
    above = (squared * features * embedding).flatten(1).sum(1) / frames
    below = (squared * features.square()).flatten(1).sum(1) / frames + 0.3
    assert torch.allclose(found.flatten(), above / below, atol=1e-12)


def test_every_step_lowers_the_objective_as_much_as_its_direction_can():
    features, embedding, weight = problem(seed=1)
    regularization = torch.tensor(0.1, dtype=torch.float64)

    def value(filters):
        return objective(filters, features, embedding, weight, regularization)

    steps = [solve(features, embedding, weight, regularization, n) for n in range(6)]
    values = [value(filters) for filters in steps]
    for earlier, later, low, high in zip(steps, steps[1:], values, values[1:], strict=False):
        assert (high < low).all()
        direction = later - earlier
        assert (value(earlier + 0.99 * direction) > high).all()
        assert (value(earlier + 1.01 * direction) > high).all()


def test_gradients_are_those_of_finite_differences():
    features, embedding, weight = problem(batch=1, frames=2, dim=2, channels=1, side=3)
    regularization = torch.tensor(0.2, dtype=torch.float64)
    inputs = [value.requires_grad_() for value in (features, embedding, weight, regularization)]
    assert torch.autograd.gradcheck(lambda x, e, w, r: solve(x, e, w, r, 3), inputs)


def test_the_transposed_filter_is_the_adjoint():
    features, embedding, _ = problem(seed=2)
    filters = torch.randn(2, 2, 2, 3, 3, generator=torch.Generator().manual_seed(3)).double()
    left = (apply_filter(features, filters) * embedding).sum()
    right = (filters * apply_transposed(features, embedding, 3)).sum()
    assert left.item() == pytest.approx(right.item(), rel=1e-12)


def test_frames_in_another_order_are_encoded_the_same():
    features, embedding, weight = (value.float() for value in problem(seed=5))
    module, order = SpatioTemporalAggregation(), [2, 0, 1]
    straight = module(features, embedding, weight, 5)
    shuffled = module(features[:, order], embedding[:, order], weight[:, order], 5)
    assert torch.allclose(shuffled, straight[:, order], atol=1e-5)


def test_what_is_consistent_over_frames_wins():
    """A background patch inside the box in one frame, and outside it in others, is not kept."""
    features = torch.zeros(1, 4, 2, 1, 6)
    features[:, :, 0, :, 2] = 1.0  # the object, in every frame at the same place of the box
    places = (3, 0, 5, 0)
    for frame, place in enumerate(places):
        features[0, frame, 1, 0, place] = 1.0
    embedding = torch.zeros(1, 4, 1, 1, 6)
    embedding[..., 2:4] = 1.0  # what lies in the box may be the object
    found = SpatioTemporalAggregation(kernel=1)(features, embedding, torch.ones(1, 4, 1, 1, 6), 30)
    assert found[0, 0, 0, 0, 2] > 0.9
    assert found[0, 0, 0, 0, 3] < 0.4
    alone = SpatioTemporalAggregation(kernel=1)(
        features[:, :1], embedding[:, :1], torch.ones(1, 1, 1, 1, 6), 30
    )
    assert alone[0, 0, 0, 0, 3] > 0.9


def test_a_zero_gradient_leaves_the_filter_at_zero():
    features = torch.zeros(1, 1, 2, 3, 3)
    found = SpatioTemporalAggregation()(features, torch.ones(1, 1, 1, 3, 3), features[:, :, :1], 5)
    assert found.abs().max() == 0
