"""Loops of the sparse classes against plain numpy and optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import ElasticNet

from skstruct.cross_decomposition._sparse_kernels import (
    elastic_net_gram,
    elastic_net_residual,
)
from skstruct.cross_decomposition._sparse_solver import (
    ElasticNet as WorkingSetNet,
)
from skstruct.cross_decomposition._sparse_solver import L1Step, l1_unit_vector
from skstruct.cross_decomposition._sparse_views import standard_view
from tests.reference.sparse_cca import l1_projection


@settings(max_examples=150, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 12), elements=st.floats(-1e3, 1e3)),
    st.floats(1.0, 4.0),
)
def test_unit_vector_is_finite_and_keeps_its_bounds(a, bound):
    bound = min(bound, np.sqrt(a.size))
    u, delta, order = l1_unit_vector(a, bound)
    assert np.isfinite(u).all() and np.isfinite(delta)
    np.testing.assert_array_equal(order, np.sort(np.abs(a))[::-1])
    if not a.any():
        assert not u.any()
        return
    np.testing.assert_allclose(u @ u, 1.0, rtol=1e-12)
    assert np.all(u * a >= 0) and not u[a == 0].any()
    top = np.abs(a).max()
    n_tied = np.sum(np.abs(a) >= top * (1 - 2e-12))
    assert np.abs(u).sum() <= max(bound, np.sqrt(n_tied)) * (1 + 1e-6)
    # No feasible vector does better: the value of the dual at delta bounds it.
    share, depth = a / top, delta / top  # products of the smallest floats round to 0
    dual = np.linalg.norm(np.maximum(np.abs(share) - depth, 0)) + bound * depth
    assert u @ share >= dual - 1e-9 * bound


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200), st.floats(0.0, 1.0))
def test_unit_vector_equals_bisection(seed, p, share):
    a = np.random.default_rng(seed).standard_normal(p)
    bound = 1.0 + share * (np.sqrt(p) - 1.0)
    if bound < 1.0 + 1e-6:
        # Bisection cannot divide the rounding of a single value.
        bound = 1.0
        expected = np.where(np.abs(a) == np.abs(a).max(), np.sign(a), 0.0)
    else:
        expected = l1_projection(a, bound)
    np.testing.assert_allclose(l1_unit_vector(a, bound)[0], expected, atol=1e-8)


@pytest.mark.parametrize("bound", [1.0, 1 + 1e-15, 1 + 1e-9, 1.3, 2.0, 2 + 1e-12])
@pytest.mark.parametrize("gap", [0.0, 1e-300, 1e-16, 1e-13, 1e-9])
def test_ties_and_bounds_near_one(bound, gap):
    a = np.array([1.0, -1.0 + gap, 1.0 - gap / 2, 1.0, 0.3])
    u, _, _ = l1_unit_vector(a, bound)
    assert np.isfinite(u).all()
    np.testing.assert_allclose(np.linalg.norm(u), 1.0, rtol=1e-12)
    if gap <= 1e-13 and bound <= 2.0:
        np.testing.assert_allclose(u, [0.5, -0.5, 0.5, 0.5, 0.0], atol=1e-12)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e150])
def test_size_of_the_values_does_not_matter(size):
    a = np.array([3.0, -2.0, 1.0, 0.5])
    u = l1_unit_vector(a * size, 1.4)[0]
    np.testing.assert_allclose(u, l1_projection(a, 1.4), atol=1e-12)


def test_unique_maximum_with_bound_one_is_one_column():
    u, delta, _ = l1_unit_vector(np.array([0.5, -3.0, 2.0]), 1.0)
    np.testing.assert_array_equal(u, [0.0, -1.0, 0.0])
    assert 2.0 <= delta <= 3.0


def test_positive_weights():
    a = np.array([1.0, -3.0, 2.0, 0.5])
    u = l1_unit_vector(a, 1.3, True)[0]
    expected = l1_projection(np.maximum(a, 0), 1.3)
    np.testing.assert_allclose(u, expected, atol=1e-12)
    assert not l1_unit_vector(-np.abs(a), 1.3, True)[0].any()


@pytest.mark.parametrize("ratio", [1.0, 0.6])
@pytest.mark.parametrize("positive", [False, True])
def test_coordinate_descent_equals_scikit_learn(ratio, positive):
    rng = np.random.default_rng(0)
    n, p, alpha = 40, 15, 0.15
    X = rng.standard_normal((n, p)) @ (np.eye(p) + 0.2)
    X[:, 3] = 0.0
    s = X[:, 0] - X[:, 1] + rng.standard_normal(n)
    net = ElasticNet(
        alpha=alpha, l1_ratio=ratio, fit_intercept=False, tol=1e-13,
        max_iter=10**6, positive=positive,
    )  # fmt: skip
    expected = net.fit(X, s).coef_
    options = (alpha * ratio, alpha * (1 - ratio), positive, 1e-13, 10**5)
    for start in (np.zeros(p), rng.standard_normal(p)):
        w = start.copy()
        elastic_net_gram(X.T @ X / n, X.T @ s / n, w, *options)
        np.testing.assert_allclose(w, expected, atol=1e-9)
        w = start.copy()
        residual = s - X @ w
        columns = np.ascontiguousarray(X.T)
        elastic_net_residual(columns, np.mean(X**2, axis=0), residual, w, *options)
        np.testing.assert_allclose(w, expected, atol=1e-9)
        np.testing.assert_allclose(residual, s - X @ w, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 40),
    st.sampled_from([0.01, 0.1, 0.5]), st.sampled_from([0.0, 0.2]), st.booleans(),
)  # fmt: skip
def test_coordinate_descent_is_optimal_for_correlated_and_equal_columns(
    seed, n, p, l1, l2, positive
):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) + 2.0 * rng.standard_normal((n, 1))
    X[:, p // 2] = X[:, 0]
    X /= np.sqrt(np.mean(X**2, axis=0))
    s = X @ rng.standard_normal(p) + rng.standard_normal(n)
    G, q = X.T @ X / n, X.T @ s / n
    w = rng.standard_normal(p) * rng.integers(0, 2, p)
    elastic_net_gram(G, q, w, l1, l2, positive, 1e-9, 10**6)
    slope = q - G @ w - l2 * w
    if positive:
        assert np.all(w >= 0)
    np.testing.assert_allclose(slope[w != 0], l1 * np.sign(w[w != 0]), atol=1e-6)
    assert np.all((slope if positive else np.abs(slope)) <= l1 + 1e-6)


def test_coordinate_descent_needs_few_passes_where_columns_are_correlated():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 100)) + 3.0 * rng.standard_normal((200, 1))
    s = X[:, :5].sum(axis=1) + rng.standard_normal(200)
    w = np.zeros(100)
    n_passes = elastic_net_gram(
        X.T @ X / 200, X.T @ s / 200, w, 0.1, 0.0, False, 1e-12, 10**5
    )
    # Coordinate descent alone takes 3,400.
    assert n_passes < 500


@pytest.mark.parametrize("limit", [2000, 0])
def test_working_set_net_equals_full_net(limit, monkeypatch):
    """Moving targets, more columns than the working set, both inner solvers."""
    monkeypatch.setattr(
        "skstruct.cross_decomposition._sparse_solver.LARGEST_WORKING_GRAM", limit
    )
    rng = np.random.default_rng(1)
    view = standard_view(rng.standard_normal((50, 300)), scale=True, ddof=0)
    X = view.dense()
    net = WorkingSetNet(view, 0.2, 0.9, False, 1e-12)
    s = X[:, 0] + X[:, 1] + rng.standard_normal(50)
    for step in (1.0, 0.3, 0.01, 1e-3, 1e-4):
        s = s + step * rng.standard_normal(50)
        s /= np.sqrt(np.mean(s**2))
        full = ElasticNet(
            alpha=0.2, l1_ratio=0.9, fit_intercept=False, tol=1e-13, max_iter=10**5
        )
        u, fitted = net(s)
        np.testing.assert_allclose(u, full.fit(X, s).coef_, atol=1e-7)
        np.testing.assert_allclose(fitted, X @ u, atol=1e-10)
    assert net.working.size < 300
    assert net.n_full < 5 * 5


@pytest.mark.parametrize("positive", [False, True])
def test_working_set_of_the_threshold_changes_nothing(positive):
    rng = np.random.default_rng(2)
    view = standard_view(rng.standard_normal((40, 500)), scale=True, ddof=1)
    earlier = np.zeros((500, 2))
    earlier[:5, 0], earlier[3:9, 1] = 0.4, -0.3
    step = L1Step(view, 3.0, positive, earlier)
    t = view.scores(np.where(np.arange(500) < 10, 1.0, 0.0))
    for size in (1.0, 0.5, 0.1, 0.01, 1e-3, 0.0):
        t = t + size * rng.standard_normal(40)
        w = rng.standard_normal(2)
        u, value = step(t, w)
        a = view.rows @ t - earlier @ w
        expected = l1_unit_vector(a, 3.0, positive)[0]
        np.testing.assert_allclose(u, expected, atol=1e-10)
        np.testing.assert_allclose(value, u @ a, rtol=1e-10)
    # The small moves did not need all columns.
    n_full, working = step.n_full, step.working
    assert n_full < 6
    # Neither does a return from a vector that only passes.
    for s, passing in ((rng.standard_normal(40), True), (t, False)):
        expected = l1_unit_vector(view.rows @ s - earlier @ w, 3.0, positive)[0]
        u, _ = step(s, w, passing=passing)
        np.testing.assert_allclose(u, expected, atol=1e-10)
    assert step.n_full == n_full + 1 and step.working is working
