"""The loops of barycentric subspace analysis equal their array expressions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skstruct.decomposition._barycentric_kernels import (
    exact_cost,
    half_chords,
    lower_bound,
    ordered_projections,
    scan_candidates,
    scan_points,
)
from skstruct.decomposition._barycentric_space import Span, from_origin, to_origin
from tests.reference import barycentric as ref

_FUNCTIONS = {
    0: np.sqrt,
    1: lambda s: np.arcsin(np.sqrt(np.minimum(s, 1))),
    -1: lambda s: np.arcsinh(np.sqrt(s)),
}


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from([0, 1, -1]),
    p=st.sampled_from([2.0, 1.0, 0.5, 3.0]),
    n=st.integers(1, 150),
    scale=st.sampled_from([1e-12, 1e-3, 1.0, 1e6]),
    seed=st.integers(0, 1000),
)
def test_cost_and_its_bound(kind, p, n, scale, seed):
    rng = np.random.default_rng(seed)
    diagonal = rng.random(n) * (min(scale, 1.0) if kind > 0 else scale)
    row = np.sqrt(diagonal) * rng.uniform(-1, 1, n)
    weights = rng.random(n)
    noise = np.zeros(n)
    squares = np.maximum(diagonal - row**2, 0)
    want = weights @ _FUNCTIONS[kind](squares) ** p
    got = exact_cost(kind, p, diagonal, row, 1.0, noise, weights, np.inf)
    assert_allclose(got, want, rtol=1e-12, atol=1e-300)
    below = lower_bound(kind, p, diagonal, row, 1.0, noise, weights)
    assert below <= want * (1 + 1e-12)
    assert exact_cost(kind, p, diagonal, row, 1.0, noise, weights, want / 2) in (
        np.inf,
        got,
    )
    # Residuals that are rounding errors do not count.
    assert exact_cost(kind, p, diagonal, row, 1.0, diagonal, weights, np.inf) == 0
    assert lower_bound(kind, p, diagonal, row, 1.0, diagonal, weights) == 0


def test_bounds_are_tight_at_moderate_distances():
    s = np.linspace(1e-6, 0.9, 500)
    zero, one = np.zeros(500), np.full(500, 1 / 500)
    for kind in (1, -1):
        exact = exact_cost(kind, 2.0, s, zero, 0.0, zero, one, np.inf)
        below = lower_bound(kind, 2.0, s, zero, 0.0, zero, one)
        assert 0 <= exact - below < 1e-3 * exact


@pytest.mark.parametrize("kind", [0, 1, -1])
def test_scans_equal_products(kind):
    rng = np.random.default_rng(0)
    H = ref.random_points(kind, 30, 4, rng)
    metric = np.ones(H.shape[1])
    metric[0] = kind or 1
    squares = np.sum(metric * H**2, axis=1)
    products = (H[:7] * metric) @ H.T
    chords = np.sum(metric * (H[:7, None] - H[None]) ** 2, axis=2)
    want = chords if kind == 0 else chords / 4
    half = products.copy()
    half_chords(kind, half, squares[:7], squares)
    assert_allclose(half, want, atol=1e-13)
    weights, zeros, bounds = np.full(30, 1 / 30), np.zeros(30), np.empty(7)
    scan_points(kind, 2.0, products, squares[:7], squares, zeros, weights, bounds)
    exact = (_FUNCTIONS[kind](np.maximum(want, 0)) ** 2).mean(axis=1)
    assert (bounds <= exact * (1 + 1e-12)).all()
    assert_allclose(bounds, exact, rtol=0.05)

    V = rng.standard_normal((30, 4)) * 0.3
    diagonal = np.sum(V**2, axis=1)
    columns = np.array([3, 8, 11])
    found = np.empty(3)
    scan_candidates(
        kind, 1.0, V[columns] @ V.T, diagonal, columns, 0.0, zeros, weights, found
    )
    for c, value in zip(columns, found):
        rest = diagonal - (V @ V[c]) ** 2 / diagonal[c]
        cost = _FUNCTIONS[kind](np.maximum(rest, 0)).mean()
        # The candidate's own residual is rounding, of size 1e-8 to the power 1.
        assert 0.9 * cost <= value <= cost + 1e-8
    scan_candidates(
        kind, 1.0, V[columns] @ V.T, diagonal, columns, 1e9, zeros, weights, found
    )
    assert np.isinf(found).all()


def test_ordered_projections_leave_sorted_rows_alone():
    B = np.array([[0.5], [-3.0]])
    drops = np.array([False, True])
    # Points (0, 1) + b (1, 0): sorted while b <= 1; steps are 1 - b.
    moved = B.copy()
    ordered_projections(moved, drops, np.array([1.0]), np.array([[-1.0]]))
    assert_allclose(moved, B)
    far = np.array([[4.0]])
    ordered_projections(far, np.array([True]), np.array([1.0]), np.array([[-1.0]]))
    assert_allclose(far, [[1.0]])


@pytest.mark.parametrize("kind", [0, 1, -1])
def test_transvections_are_isometries_that_undo_each_other(kind):
    rng = np.random.default_rng(1)
    Y = ref.random_points(kind, 20, 5, rng, 2.0)
    H = np.column_stack([np.ones(20), Y]) if kind == 0 else Y
    if kind > 0:
        H = H * rng.choice([-1, 1], 20)[:, None]  # both halves of the sphere
    for x in H:
        moved = to_origin(kind, x, H)
        assert_allclose(to_origin(kind, x, x[None])[0], np.eye(6)[0], atol=1e-10)
        assert_allclose(from_origin(kind, x, moved), H, atol=1e-10)
        square = moved[:, 0] ** 2 + kind * np.sum(moved[:, 1:] ** 2, axis=1)
        assert_allclose(square, 1, rtol=1e-8)


@pytest.mark.parametrize("kind", [0, 1, -1])
def test_all_levels_in_one_pass(kind):
    Y = ref.random_points(kind, 25, 5, np.random.default_rng(2))
    H = np.column_stack([np.ones(25), Y]) if kind == 0 else Y
    span = Span.of_points(kind, H[:4])
    d, P = span.measure(H)
    for level in range(4):
        assert_allclose(d[level], span.distances(H, level), atol=1e-7)
    assert_allclose(P, span.inside(H))
