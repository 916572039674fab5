"""Kernels and engines of the relational models against plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import BaseEstimator

from skstruct.tensor import _rescal_engine as engines
from skstruct.tensor import _rescal_kernels as kernels
from skstruct.tensor import _rescal_solver as solver
from skstruct.tensor._rescal_input import read_slices
from tests.reference import rescal as ref

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 150), st.integers(0, 10**6))


@settings(max_examples=25, deadline=None)
@given(SIZES, st.sampled_from([0.0, 0.3]), st.booleans())
def test_relation_sweeps_equal_the_plain_loop(sizes, ridge, zero_row):
    k, m, seed = sizes
    rng = np.random.default_rng(seed)
    A1, A2 = rng.uniform(size=(k + 2, k)), rng.uniform(size=(k + 3, k))
    if zero_row:
        A1[:, 0] = 0.0
    G1, G2 = A1.T @ A1, A2.T @ A2
    B = rng.standard_normal((k, k, m))
    R = rng.uniform(size=(k, k, m))
    want = R.copy()
    for t in range(m):
        for _ in range(3):
            want[:, :, t] = ref.relation_sweep(
                B[:, :, t], G1, G2, want[:, :, t].copy(), ridge
            )
    kernels.relation_sweeps(B, G1, G2, R, ridge, 3, False, 0.0)
    assert_allclose(R, want, rtol=1e-9, atol=1e-9 * max(1, np.abs(want).max()))


@settings(max_examples=25, deadline=None)
@given(SIZES)
def test_entity_sweeps_equal_the_plain_loop(sizes):
    k, n, seed = sizes
    rng = np.random.default_rng(seed)
    C = rng.uniform(size=(k + 2, k))
    E, F, A = C.T @ C, rng.standard_normal((n, k)), rng.uniform(size=(n, k))
    want = A.copy()
    for _ in range(3):
        want = ref.entity_sweep(F, E, want)
    Z = np.array(A.T, order="C")
    kernels.entity_sweeps(np.ascontiguousarray(F.T), E, Z, 3, 0.0)
    assert_allclose(Z.T, want, rtol=1e-9, atol=1e-9)
    D = np.empty_like(A)
    reach = kernels.entity_direction(F, E, A, 3, D)
    assert_allclose(A + D, want, rtol=1e-9, atol=1e-9)
    falling = D < 0
    limit = (A[falling] / -D[falling]).min() if falling.any() else np.inf
    assert_allclose(reach, limit, rtol=1e-12)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-10, 0),
    st.floats(-10, 10),
    st.floats(-10, 10),
    st.floats(0, 10),
    st.floats(1, 10),
)
def test_quartic_minimum_is_below_a_fine_grid(c1, c2, c3, c4, upper):
    step, value = kernels.minimise_quartic(c1, c2, c3, c4, upper)
    grid = np.linspace(0, upper, 4001)
    values = grid * (c1 + grid * (c2 + grid * (c3 + grid * c4)))
    assert 0 <= step <= upper
    scale = np.abs(values).max() + 1e-300
    assert value <= values.min() + 1e-6 * scale
    assert_allclose(
        value, step * (c1 + step * (c2 + step * (c3 + step * c4))), atol=1e-12 * scale
    )


def test_quartic_without_descent_stays():
    assert kernels.minimise_quartic(1.0, 1.0, 0.0, 1.0, 10.0) == (0.0, 0.0)


@pytest.mark.parametrize("k", [3, 20], ids=["table", "products"])
def test_moments(k):
    rng = np.random.default_rng(0)
    R = rng.standard_normal((k, k, 7))
    U = rng.standard_normal((k, k))
    U = U + U.T
    moments = solver.Moments(R)
    slices = R.transpose(2, 0, 1)
    assert_allclose(moments.inside(U), sum(r.T @ U @ r for r in slices), rtol=1e-10)
    assert_allclose(moments.outside(U), sum(r @ U @ r.T for r in slices), rtol=1e-10)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_line_search_coefficients_are_those_of_the_objective(form):
    """R is not symmetric: q(U, V) and q(V, U) must not be taken for equal."""
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(4, 9, 9))
    A, D = rng.uniform(size=(9, 3)), rng.standard_normal((9, 3))
    R = rng.uniform(size=(4, 3, 3))
    _, c1, c2, c3, c4 = ref.quartic(X, A, D, R)
    F, E = ref.terms(X, A, R)
    stacked = np.ascontiguousarray(R.transpose(1, 2, 0))
    moments, none = solver.Moments(stacked), solver.Penalties()
    engine = engines.make_engine(_slices([form(x) for x in X]), 3)
    engine.start(A)
    assert_allclose(engine.pull(stacked), F, rtol=1e-10)
    got = solver.line_quartic(engine, A, D, F, E, moments, none, 1.0)
    assert_allclose(got, (c1, c2, c3, c4), rtol=1e-9)
    for upper in (0.1, 1.0, 10.0):
        step, value, _ = solver.choose_step(*got, upper, upper)
        want = kernels.minimise_quartic(c1, c2, c3, c4, upper)
        if step != upper:
            assert_allclose((step, value), want, rtol=1e-7, atol=1e-9)
        assert value <= 0.99 * want[1] + 1e-9
        if step:
            change = ref.objective(X, A + step * D, R) - ref.objective(X, A, R)
            assert_allclose(value, change, rtol=1e-7)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(-10, 0),
    st.floats(-10, 10),
    st.floats(-10, 10),
    st.floats(0, 10),
    st.floats(0.1, 10),
)
def test_a_trial_step_is_kept_if_it_is_as_good_as_the_best(c1, c2, c3, c4, trial):
    best, least = kernels.minimise_quartic(c1, c2, c3, c4, 10.0)
    gain = trial * (c1 + trial * (c2 + trial * (c3 + trial * c4)))
    step, change, following = solver.choose_step(c1, c2, c3, c4, trial, 10.0)
    assert (step, change) == ((trial, gain) if gain <= 0.99 * least else (best, least))
    assert following == best
    assert change <= 0.99 * least


def _slices(X, **options):
    return read_slices(BaseEstimator(), X, reset=True, **options)


def _forms(X):
    yield "dense", X
    yield "csr", [sparse.csr_array(x) for x in X]
    yield "coo and dense", [sparse.coo_matrix(X[0]), *X[1:]]


@pytest.mark.parametrize(
    ("m", "n", "zeros"),
    [(3, 12, 0.5), (40, 8, 0.8), (2, 300, 0.6)],
    ids=["small", "slices last", "large"],
)
@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_engines_agree_with_the_formulas(m, n, zeros, missing, dtype):
    rng = np.random.default_rng(0)
    k = 3
    X = rng.uniform(size=(m, n, n)) * (rng.uniform(size=(m, n, n)) > zeros)
    X = X.astype(dtype)
    X[rng.uniform(size=X.shape) < missing] = np.nan
    before = X.copy()
    A, D = rng.uniform(size=(n, k)), rng.uniform(-1, 1, size=(n, k))
    R = rng.uniform(size=(m, k, k))
    stacked = np.ascontiguousarray(R.transpose(1, 2, 0))
    mean = np.nanmean(X.astype(float), axis=(1, 2), keepdims=True)
    tol = {"rtol": 1e-10 if dtype == np.float64 else 2e-5}
    for _, data in _forms(X):
        slices = _slices(data)
        for engine in (
            engines.make_engine(slices, k),
            engines.make_engine(slices, k, memory_limit=0),
        ):
            filled = np.where(np.isnan(X), mean, X).astype(float)
            A_now = A
            engine.start(A)
            for step in (0.0, 0.3, -0.2):
                if step:
                    # The first step is the trial, the second one is not.
                    engine.move(step)
                    A_now = A_now + step * D
                B = np.stack([A_now.T @ x @ A_now for x in filled], axis=-1)
                assert_allclose(engine.inner(), B, **tol)
                F, _ = ref.terms(filled, A_now, R)
                assert_allclose(engine.pull(stacked), F, **tol)
                engine.probe(D, 0.3)
                s2 = sum(np.vdot(D.T @ x @ D, r) for x, r in zip(filled, R))
                scale = np.abs(F).sum()
                for slack in (0.0, np.inf):
                    got = engine.bend(stacked, np.vdot(D, F), slack)
                    assert abs(got - s2) < tol["rtol"] * scale
            engine.move(0.0)
            assert_allclose(engine.norm2, np.sum(filled**2), **tol)
            if missing:
                engine.impute(stacked)
                filled = np.where(np.isnan(X), ref.model(A_now, R), filled)
                B = np.stack([A_now.T @ x @ A_now for x in filled], axis=-1)
                assert_allclose(engine.inner(), B, **tol)
                F, _ = ref.terms(filled, A_now, R)
                assert_allclose(engine.pull(stacked), F, **tol)
                assert_allclose(engine.norm2, np.sum(filled**2), **tol)
    np.testing.assert_array_equal(X, before)


@settings(max_examples=25, deadline=None)
@given(
    SIZES, st.integers(1, 3), st.sampled_from([0.01, 0.1, 0.9]), st.floats(-2.0, 2.0)
)
def test_sparse_kernels_equal_the_products(sizes, m, density, step):
    k, n, seed = sizes
    n += 100  # More rows than a block has, and fewer.
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(m, n, n)) * (rng.uniform(size=(m, n, n)) < density)
    X[:, 0, 0] = 1.0
    A, D = rng.uniform(size=(2, n, k))
    R = rng.uniform(-1, 1, size=(m, k, k))
    out, back = np.ascontiguousarray(R.transpose(0, 2, 1)), R
    engine = engines.SparseEngine(_slices([sparse.csr_array(x) for x in X]), k)
    forward = *engine.forward, engine._forward_data
    backward = *engine.backward, engine._backward_data
    bounds, entity = forward[:2]
    P = np.full(k * entity.size, np.nan)
    B = np.full((k, k, m), np.nan)
    close = {"rtol": 1e-12, "atol": 1e-12 * n}

    def stacked(P, factors):
        """A' P_t, and P_t without its empty rows, in the blocks of the kernels."""
        for t in range(m):
            product = X[t] @ factors
            for lo in range(bounds[t], bounds[t + 1], kernels._ROWS):
                hi = min(lo + kernels._ROWS, bounds[t + 1])
                block = P[lo * k : hi * k].reshape(k, hi - lo)
                assert_allclose(block.T, product[entity[lo:hi]], **close)
        assert np.array_equal(np.diff(bounds), X.any(axis=2).sum(axis=1))
        return np.stack([factors.T @ x @ factors for x in X], axis=-1)

    F, again = np.zeros((2, n, k))
    # Compiled for the rank, and for any.
    for lanes in ((0.0,) * k, ()):
        kernels.sparse_products(*forward, A, lanes, P, B)
        assert_allclose(B, stacked(P, A), **close)
        kernels.sparse_products(*forward, D, lanes, np.empty(0), B)
        assert_allclose(B, np.stack([D.T @ x @ D for x in X], axis=-1), **close)

        F[:] = again[:] = 0.0
        kernels.sparse_pull(bounds, entity, P, out, lanes, F)
        assert_allclose(F, sum(x @ A @ r.T for x, r in zip(X, R)), **close)
        kernels.sparse_pull_products(*forward, A, out, lanes, again)
        assert_allclose(again, F, **close)
        kernels.sparse_pull_products(*backward, A, back, lanes, F)
        assert_allclose(F - again, sum(x.T @ A @ r for x, r in zip(X, R)), **close)


@pytest.mark.parametrize("memory_limit", [0, 2**30], ids=["formed again", "kept"])
@pytest.mark.parametrize("k", [4, 17])
def test_sparse_engine_is_where_it_was_moved(k, memory_limit):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(2, 30, 30)) * (rng.uniform(size=(2, 30, 30)) < 0.2)
    A, D = rng.uniform(size=(2, 30, k))
    R = rng.uniform(size=(k, k, 2))
    slices = _slices([sparse.csr_array(x) for x in X])
    engine, fresh = (
        engines.SparseEngine(slices, k, memory_limit=memory_limit) for _ in range(2)
    )
    for step in (0.0, 0.3, 0.5):
        engine.start(A)
        engine.probe(D, 0.3)
        engine.move(step)
        engine.scale(1.5)
        fresh.start(1.5 * (A + step * D))
        assert_allclose(engine.A, fresh.A, rtol=1e-12)
        assert_allclose(engine.inner(), fresh.inner(), rtol=1e-12)
        assert_allclose(engine.pull(R), fresh.pull(R), rtol=1e-12)


def test_curvature_of_tiny_steps_is_not_lost_to_rounding():
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(2, 30, 30)) * (rng.uniform(size=(2, 30, 30)) < 0.2)
    A, D = rng.uniform(size=(2, 30, 4))
    R = rng.uniform(size=(4, 4, 2))
    engine = engines.make_engine(_slices([sparse.csr_array(x) for x in X]), 4)
    for size in (1.0, 1e-4, 1e-9):
        engine.start(A)
        slope = np.vdot(size * D, engine.pull(R))
        engine.probe(size * D, 1.0)
        want = size**2 * sum(
            np.vdot(D.T @ x @ D, r) for x, r in zip(X, R.transpose(2, 0, 1))
        )
        assert_allclose(engine.bend(R, slope, 1e-4 * want), want, rtol=1e-4)


def test_multiplicative_steps_equal_the_formulas():
    """In extended precision: the formulas then have no rounding of their own."""
    rng = np.random.default_rng(1)
    X = rng.uniform(size=(5, 20, 20))
    A, R = rng.uniform(size=(20, 4)), rng.uniform(size=(5, 4, 4))
    stacked = np.ascontiguousarray(R.transpose(1, 2, 0))
    engine = engines.make_engine(_slices(X), 4)
    engine.start(A)
    exact = [x.astype(np.longdouble) for x in (X, A, R)]
    got = solver.multiplicative_relations(engine.inner(), A.T @ A, stacked)
    want = ref.mu_relations(*exact)
    assert_allclose(got.transpose(2, 0, 1), want, rtol=0, atol=1e-14 * want.max())
    _, E, _ = solver.fit_terms(A.T @ A, stacked)
    got = solver.multiplicative_entities(A, engine.pull(stacked), E)
    want = ref.mu_entities(*exact)
    assert_allclose(got, want, rtol=0, atol=1e-14 * want.max())


@pytest.mark.parametrize("k", [4, 16])
def test_gram_form_of_the_objective_equals_the_residual(k):
    rng = np.random.default_rng(2)
    X = rng.uniform(size=(6, 25, 25))
    A, R = rng.uniform(size=(25, k)), rng.uniform(size=(k, k, 6))
    slices = _slices(X)
    engine = engines.make_engine(slices, k)
    engine.start(A)
    penalties = solver.Penalties(0.1, 0.2, 0.3)
    _, _, quadratic = solver.fit_terms(A.T @ A, R)
    got = solver.objective(slices.norm2, engine.inner(), R, quadratic, penalties, A)
    plain = R.transpose(2, 0, 1)
    assert_allclose(got, ref.objective(X, A, plain, 0.1, 0.2, 0.3), rtol=1e-12)
    direct = solver.residual_norm2(slices, A, R, block=7)
    assert_allclose(direct, ref.objective(X, A, plain), rtol=1e-12)


def test_closed_form_relations_are_ridge_regressions():
    rng = np.random.default_rng(3)
    A, X = rng.standard_normal((10, 3)), rng.standard_normal((2, 10, 10))
    B = np.stack([A.T @ x @ A for x in X], axis=-1)
    R = solver.solve_relations(B, A.T @ A, 0.7)
    design = np.kron(A, A)
    for t, x in enumerate(X):
        want = np.linalg.solve(
            design.T @ design + 0.7 * np.eye(9), design.T @ x.reshape(-1)
        )
        assert_allclose(R[:, :, t].reshape(-1), want, rtol=1e-9)


def test_nonnegative_relations_satisfy_the_optimality_conditions():
    rng = np.random.default_rng(4)
    A, X = rng.uniform(size=(15, 4)), rng.standard_normal((3, 15, 15))
    G = A.T @ A
    B = np.stack([A.T @ x @ A for x in X], axis=-1)
    R = solver.nonnegative_relations(B, G)
    slope = np.einsum("ac,cdt,db->abt", G, R, G) - B
    assert (R >= 0).all() and (R == 0).any()
    assert slope.min() > -1e-6
    assert np.abs(slope * R).max() < 1e-6


def test_compressed_engine_is_exact_on_low_rank_data():
    rng = np.random.default_rng(5)
    X = ref.model(rng.uniform(size=(60, 3)), rng.uniform(size=(4, 3, 3)))
    slices = _slices(X)
    A, D = rng.uniform(size=(60, 3)), rng.standard_normal((60, 3))
    R = rng.uniform(size=(3, 3, 4))
    full = engines.make_engine(slices, 3)
    small = solver.compressed_engine(slices, 3, rng)
    for engine in (full, small):
        engine.start(A)
        engine.probe(D, 1.0)
    assert_allclose(small.inner(), full.inner(), rtol=1e-9)
    assert_allclose(small.pull(R), full.pull(R), rtol=1e-9)
    assert_allclose(small.bend(R, 0.0, 0.0), full.bend(R, 0.0, 0.0), rtol=1e-9)
    for engine in (full, small):
        engine.move(0.2)
    assert_allclose(small.inner(), full.inner(), rtol=1e-9)
