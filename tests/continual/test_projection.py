"""Projected gradients against their conditions, and GEM against every choice of active constraints."""

from itertools import chain, combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.continual.projection import agem, gem


def drawn(seed, *, size=6, tasks=3, lean=0.0):
    """A gradient and references; `lean` > 0 makes them disagree more."""
    source = np.random.default_rng(seed)
    gradient = source.standard_normal(size)
    return torch.from_numpy(gradient), torch.from_numpy(source.standard_normal((tasks, size)) - lean * gradient)


def enumerated(gradient, references, margin):
    """Minimise |g + R'v| under v >= margin by trying every set of multipliers that lie on their bound."""
    g, past = gradient.numpy(), references.numpy()
    tasks = range(len(past))
    best = None
    for bound in chain.from_iterable(combinations(tasks, count) for count in range(len(past) + 1)):
        free = [i for i in tasks if i not in bound]
        v = np.full(len(past), margin)
        fixed = g + v[list(bound)] @ past[list(bound)]
        v[free] = np.linalg.lstsq(past[free].T, -fixed, rcond=None)[0] if free else []
        if (v >= margin - 1e-12).all():
            found = g + v @ past
            best = found if best is None or found @ found < best @ best else best
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0.0, 0.1, 0.5]), st.sampled_from([0.0, 1.0]))
def test_gem_is_the_best_of_all_active_sets(seed, tasks, margin, lean):
    gradient, references = drawn(seed, tasks=tasks, lean=lean)
    found = gem(gradient, references, margin=margin)
    if (references @ gradient >= 0).all():
        assert found is gradient
    else:
        np.testing.assert_allclose(found.numpy(), enumerated(gradient, references, margin), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_gem_agrees_with_every_task_and_no_nearer_gradient_does(seed, tasks):
    gradient, references = drawn(seed, size=12, tasks=tasks, lean=0.5)
    found = gem(gradient, references)
    assert (references @ found >= -1e-9).all()
    change = found - gradient
    assert abs(change @ found) < 1e-9, "the nearest point of a cone: the change is at right angles to it"


def test_gem_of_references_that_depend_on_each_other():
    gradient, references = drawn(0, tasks=2, lean=1.0)
    doubled = torch.cat([references, 3 * references[:1], references.sum(0, keepdim=True)])
    np.testing.assert_allclose(gem(gradient, doubled).numpy(), gem(gradient, references).numpy(), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_agem_has_no_negative_product_with_the_mean(seed, tasks):
    gradient, references = drawn(seed, tasks=tasks, lean=0.5)
    found, reference = agem(gradient, references), references.mean(0)
    if gradient @ reference >= 0:
        assert found is gradient
    else:
        assert abs(found @ reference) < 1e-12
        assert abs((found - gradient) @ found) < 1e-12


def test_one_task_without_margin_is_the_same_for_both():
    gradient, references = drawn(3, tasks=1, lean=1.0)
    assert gradient @ references[0] < 0
    np.testing.assert_allclose(gem(gradient, references).numpy(), agem(gradient, references).numpy(), atol=1e-12)


@pytest.mark.parametrize("project", [agem, gem])
def test_by_hand(project):
    gradient, references = torch.tensor([1.0, -1.0]).double(), torch.tensor([[0.0, 2.0]]).double()
    assert project(gradient, references).tolist() == pytest.approx([1.0, 0.0])
    assert project(-gradient, references).tolist() == [-1.0, 1.0]


def test_a_margin_by_hand():
    gradient, references = torch.tensor([1.0, -1.0]).double(), torch.tensor([[0.0, 2.0]]).double()
    assert gem(gradient, references, margin=2.0).tolist() == pytest.approx([1.0, 3.0])


def test_a_diverged_gradient_is_not_corrected():
    for wild in (torch.nan, -torch.inf):
        gradient, references = torch.tensor([-1.0, wild]).double(), torch.eye(2).double()
        assert gem(gradient, references) is gradient
