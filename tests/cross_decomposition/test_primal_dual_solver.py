"""The convex program: kernels, optimum, certificate, screening, deflation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from skstruct.cross_decomposition import _primal_dual_kernels as kernels
from skstruct.cross_decomposition._primal_dual_solver import (
    Components,
    PrimalView,
    default_penalties,
    solve,
)
from tests.reference import primal_dual as ref

sizes = st.integers(2, 12)
seeds = st.integers(0, 2**32 - 1)


def problem(seed=0, n=25, p=40, q=20, rank=2, block=4):
    X, y = ref.planted(seed, n, p, q, rank, block)
    X, y = X - X.mean(axis=0), y - y.mean(axis=0)
    return X, y @ y.T


def view_of(X):
    return PrimalView(np.ascontiguousarray(X.T), (X**2).sum(axis=0))


def weights(pair, p):
    w = np.zeros(p)
    w[pair.support] = pair.w
    return w


def gap_share(X, K, pair, tau=0.5):
    """Of the whole program, by the formulas of the reference."""
    program = (X, K, pair.seed, weights(pair, X.shape[1]), pair.e, pair.mu, pair.gamma)
    return ref.duality_gap(*program, tau) / ref.objective(*program, tau)


@given(sizes, sizes, st.floats(0.1, 0.9), seeds)
@settings(max_examples=40, deadline=None)
def test_descent_is_its_numpy_twin(n, p, tau, seed):
    rng = np.random.default_rng(seed)
    X, K = rng.standard_normal((n, p)), rng.standard_normal((n, n))
    K = np.ascontiguousarray(K @ K.T)
    w = rng.standard_normal(p) * (rng.random(p) < 0.5)
    e = np.clip(rng.standard_normal(n), 0, 1)
    chosen = np.flatnonzero(rng.random(n) < 0.6)
    r = tau * X @ w - (1 - tau) * K @ e
    mu, gamma = rng.random(2)
    want = ref.one_pass(X, K, w, e, r, chosen, mu, gamma, tau)
    columns = np.ascontiguousarray(X.T)
    n_pass = kernels.descend(
        columns, (X**2).sum(axis=0), w, K, (K**2).sum(axis=0), chosen, e, r, mu,
        gamma, tau, 0.0, 1,
    )  # fmt: skip
    assert n_pass == 1
    for got, expected in zip((w, e, r), want):
        assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@given(sizes, sizes, seeds)
@settings(max_examples=30, deadline=None)
def test_products_of_some_columns(n, p, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((p, n)) * (rng.random((p, n)) < 0.4)
    v, chosen = rng.standard_normal(n), np.flatnonzero(rng.random(p) < 0.5)
    S = sparse.csr_array(X)
    for out, arrays in (
        (np.empty(chosen.size), (X,)),
        (np.empty(chosen.size), (S.indptr, S.indices, S.data)),
    ):
        run = kernels.dense_products if len(arrays) == 1 else kernels.sparse_products
        run(*arrays, chosen, v, out)
        assert_allclose(out, X[chosen] @ v, atol=1e-12)


def plain(kernel):
    return getattr(kernel, "py_func", kernel)


def test_kernels_as_plain_python():
    X, K = problem(n=6, p=5, q=4, block=2)
    w, e = np.zeros(5), np.zeros(6)
    e[0] = 1.0
    r = -0.5 * K[0]
    chosen = np.arange(1, 6)
    want = ref.one_pass(X, K, w, e, r, chosen, 0.1, 0.1, 0.5)
    plain(kernels.descend)(
        X.T, (X**2).sum(axis=0), w, K, (K**2).sum(axis=0), chosen, e, r, 0.1, 0.1,
        0.5, np.inf, 5,
    )  # fmt: skip
    for got, expected in zip((w, e, r), want):
        assert_allclose(got, expected, atol=1e-12)
    out = np.empty(2)
    plain(kernels.dense_products)(X.T, np.array([1, 3]), r, out)
    assert_allclose(out, X[:, [1, 3]].T @ r)
    S = sparse.csr_array(X.T)
    plain(kernels.sparse_products)(
        S.indptr, S.indices, S.data, np.array([1, 3]), r, out
    )
    assert_allclose(out, X[:, [1, 3]].T @ r)


@pytest.mark.parametrize("tau", [0.2, 0.5, 0.8])
@pytest.mark.parametrize(("alpha", "alpha_dual"), [(1, 1), (0.3, 0.6), (1.3, 0.8)])
def test_optimum_is_that_of_plain_coordinate_descent(tau, alpha, alpha_dual):
    X, K = problem()
    mu, gamma = ref.penalties(X, K, 3, tau, alpha, alpha_dual)
    assert_allclose(
        default_penalties(view_of(X), K, 3, tau), ref.penalties(X, K, 3, tau)
    )
    w, e = ref.solve(X, K, 3, mu, gamma, tau)
    pair = solve(view_of(X), K, 3, mu, gamma, tau)
    assert pair.converged and pair.support.size > 0
    assert_allclose(weights(pair, 40), w, atol=1e-6 * np.abs(w).max())
    assert_allclose(pair.e, e, atol=1e-6)
    assert gap_share(X, K, pair, tau) <= 1e-6
    assert_allclose(pair.Xw, X @ w, atol=1e-6 * np.abs(X @ w).max())


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize(("alpha", "alpha_dual"), [(1, 1), (0.5, 0.3)])
def test_optimum_is_that_of_an_interior_point_solver(kernel, alpha, alpha_dual):
    cp = pytest.importorskip("cvxpy")
    X, y = ref.planted(1, n=40, p=60, q=30, rank=2, block=5)
    X = X - X.mean(axis=0)
    if kernel == "rbf":
        squares = (y**2).sum(axis=1)
        y = np.exp(-(squares[:, None] + squares - 2 * y @ y.T) / 60)
    K = ref.center_kernel(y if kernel == "rbf" else y @ y.T)
    K = 0.5 * (K + K.T)
    for k in (0, 7):
        mu, gamma = ref.penalties(X, K, k, 0.5, alpha, alpha_dual)
        w, e = cp.Variable(60), cp.Variable(40)
        cost = cp.sum_squares(0.5 * X @ w - 0.5 * K @ e) + mu * cp.norm1(w)
        cost += gamma * (cp.sum(e) - e[k])
        program = cp.Problem(cp.Minimize(cost), [e >= 0, e <= 1, e[k] == 1])
        program.solve(
            solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12
        )
        pair = solve(view_of(X), K, k, mu, gamma, 0.5)
        assert pair.gap <= 1e-6 * pair.objective
        assert_allclose(pair.objective, program.value, rtol=1e-6)
        # Strongly convex in the fitted views, where the optimum is unique.
        assert_allclose(pair.Xw, X @ w.value, atol=1e-4 * np.abs(pair.Xw).max())
        assert_allclose(pair.Ke, K @ e.value, atol=1e-4 * np.abs(pair.Ke).max())


@pytest.mark.parametrize("alpha", [1e-4, 0.01, 0.1, 1.0, 2.0])
@pytest.mark.parametrize("make", ["planted", "duplicates", "few"])
def test_certificate(make, alpha):
    """The gap reported is that of the whole program; dependent columns included."""
    for seed in range(4):
        X, K = problem(seed, p=120 if make == "planted" else 30)
        if make == "duplicates":
            X = np.hstack([X, X[:, :10], -2 * X[:, 5:15], X[:, :3] + X[:, 3:6]])
        if make == "few":
            X = X[:, :3]
        mu, gamma = ref.penalties(X, K, seed, alpha=alpha, alpha_dual=0.7)
        # Few working sets even where the optimum nearly interpolates.
        pair = solve(view_of(X), K, seed, mu, gamma, 0.5, max_iter=60)
        assert pair.gap <= 1e-6 * pair.objective
        assert gap_share(X, K, pair) <= 1e-6
        assert_allclose(
            gap_share(X, K, pair), pair.gap / pair.objective, atol=1e-11, rtol=1e-3
        )
        assert pair.e[seed] == 1 and pair.e.min() >= 0 and pair.e.max() <= 1


def test_more_working_sets_never_raise_the_objective():
    X, K = problem(2, n=40, p=300, q=60)
    mu, gamma = ref.penalties(X, K, 0, alpha=0.2, alpha_dual=0.5)
    view = view_of(X)
    values = [
        solve(view, K, 0, mu, gamma, 0.5, max_iter=m, tol=0).objective
        for m in range(1, 12)
    ]
    assert values[0] == pytest.approx(0.25 * K[0] @ K[0])
    assert np.all(np.diff(values) <= 1e-12 * values[0])
    assert values[-1] < 0.5 * values[0]


@given(st.integers(0, 10_000), st.floats(0.05, 3), st.floats(0.3, 2))
@settings(max_examples=30, deadline=None)
def test_screening_changes_nothing(seed, alpha, alpha_dual):
    X, K = problem(seed, n=15, p=80, q=10)
    mu, gamma = ref.penalties(X, K, 0, 0.5, alpha, alpha_dual)
    found = [
        solve(view_of(X), K, 0, mu, gamma, 0.5, tol=1e-12, screening=screening)
        for screening in (True, False)
    ]
    assert_allclose(found[0].objective, found[1].objective, rtol=1e-9)
    for name in ("Xw", "Ke"):
        a, b = (getattr(pair, name) for pair in found)
        assert_allclose(a, b, atol=1e-5 * (np.abs(b).max() + 1e-9))


@given(st.integers(0, 10_000), st.integers(0, 60))
@settings(max_examples=30, deadline=None)
def test_the_screening_rule_is_safe_at_any_point(seed, n_pass):
    """Whatever the iterate, the dual optimum is within 2 sqrt(gap), and no coordinate
    that is dropped there is in the solution."""
    tau = 0.4
    X, K = problem(seed, n=12, p=30, q=10)
    mu, gamma = ref.penalties(X, K, 0, tau)
    best_w, best_e = ref.solve(X, K, 0, mu, gamma, tau)
    w, e = np.zeros(30), np.zeros(12)
    e[0], r, others = 1.0, -(1 - tau) * K[0], np.arange(1, 12)
    for _ in range(n_pass):
        w, e, r = ref.one_pass(X, K, w, e, r, others, mu, gamma, tau)
    gap = ref.duality_gap(X, K, 0, w, e, mu, gamma, tau)
    theta = 2 * r * min(1, mu / np.abs(2 * tau * X.T @ r).max())
    radius = 2 * np.sqrt(max(gap, 0))
    optimum = 2 * (tau * X @ best_w - (1 - tau) * K @ best_e)
    noise = 1e-4 * np.linalg.norm(optimum)
    assert np.linalg.norm(theta - optimum) <= radius + noise
    bound = tau * (np.abs(X.T @ theta) + np.linalg.norm(X, axis=0) * radius)
    # At the optimum itself the support is at the bound, up to rounding.
    dropped = bound < mu * (1 - 1e-9)
    assert not np.any(best_w[dropped])
    pull = (1 - tau) * (K @ theta + np.linalg.norm(K, axis=0) * radius)
    dropped = (pull < gamma * (1 - 1e-9)) & (np.arange(12) > 0)
    assert not np.any(best_e[dropped])


def test_screening_drops_columns(monkeypatch):
    """Most columns are out of the products before the end."""
    X, K = problem(0, n=40, p=600, q=60)
    mu, gamma = ref.penalties(X, K, 0, alpha=2)
    sizes, products = [], PrimalView.products

    def spy(self, v, chosen=None):
        sizes.append(self.squares.size if chosen is None else chosen.size)
        return products(self, v, chosen)

    monkeypatch.setattr(PrimalView, "products", spy)
    solve(view_of(X), K, 0, mu, gamma, 0.5)
    assert min(sizes) < 60 and sizes[-1] == 600


def test_zero_kernel_column_has_no_component():
    X, K = problem()
    K[:, 0] = K[0] = 0.0
    pair = solve(view_of(X), K, 0, 1.0, 1.0, 0.5)
    assert pair.support.size == 0 and pair.correlation == 0.0
    assert pair.converged and pair.objective == 0.0


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_view_deflates_without_touching_its_columns(form):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 30)) * (rng.random((20, 30)) < 0.5) + 0
    centred = X - X.mean(axis=0)
    columns = sparse.csr_array(X.T) if form == "sparse" else centred.T.copy()
    before = columns.copy()
    view = PrimalView(columns, (centred**2).sum(axis=0))
    for _ in range(3):
        t = view.combine(rng.standard_normal(30))
        t /= np.linalg.norm(t)
        view.deflate(t)
        centred = centred - np.outer(t, t @ centred)
    v, a, chosen = rng.standard_normal(20), rng.standard_normal(30), np.array([2, 7])
    assert_allclose(view.products(v), centred.T @ v, atol=1e-12)
    assert_allclose(view.products(v, chosen), centred[:, chosen].T @ v, atol=1e-12)
    assert_allclose(view.gather(chosen), centred[:, chosen].T, atol=1e-12)
    assert_allclose(view.combine(a), centred @ a, atol=1e-12)
    assert_allclose(view.squares, (centred**2).sum(axis=0), atol=1e-12)
    assert abs(view.columns - before).max() == 0


def test_exhausted_columns_leave_the_program():
    X, K = problem(p=1, rank=1, block=1)
    view = view_of(X)
    view.deflate(X[:, 0] / np.linalg.norm(X))
    assert view.squares[0] == 0.0
    assert solve(view, K, 0, 1e-6, 1.0, 0.5).support.size == 0


def test_components_map_back_to_the_first_views():
    X, K = problem(3, n=30)
    components = Components(view_of(X), K)
    for k in (0, 5, 9):
        view = components.view
        pair = solve(
            view, components.K, k, *default_penalties(view, components.K, k, 0.5), 0.5
        )
        assert components.add(pair)
    W, Z, T, S = components.projections()
    assert_allclose(X @ W, T, atol=1e-10)
    assert_allclose(K @ Z, S, atol=1e-10)
    for scores in (T, S):
        assert_allclose(scores.T @ scores, np.eye(3), atol=1e-10)
    assert_allclose(components.K @ S, 0, atol=1e-9 * np.abs(K).max())
    assert_allclose(components.x_loadings(), X.T @ T, atol=1e-10)
