"""Kernels and small solvers against their numpy twins and independent programs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skstruct.decomposition import fcls, nnls_abundances, spa, spatial_affinity, vca
from skstruct.decomposition._ss_nmf_kernels import (
    HALF,
    LASSO,
    WIDTH,
    half_threshold,
    solve_rows,
    sweep,
    sweep_bands,
)
from skstruct.decomposition._ss_nmf_solver import (
    Graph,
    Problem,
    objective,
    penalty_sums,
    solve_abundances,
    sweep_pass,
    update_endmembers,
)
from skstruct.metrics import match_endmembers, spectral_angle, unmixing_scores
from tests.reference import ss_nmf as ref

SEEDS = st.integers(0, 2**31 - 1)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1, 50), st.floats(0, 100))
def test_half_threshold_is_the_global_minimiser(z, mu):
    def value(a):
        return (a - z) ** 2 + mu * np.sqrt(a)

    found = half_threshold(z, mu)
    grid = np.linspace(0, max(z, 1), 20_001)
    scale = max(1.0, z * z, mu)
    assert value(found) <= value(grid).min() + 1e-12 * scale
    assert value(found) <= value(ref.half_threshold(z, mu)) + 1e-9 * scale


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([1.0, 0.5]), st.sampled_from([0.0, 0.3]), st.booleans())
def test_sweep_equals_its_numpy_twin(seed, q, alpha, single):
    rng = np.random.default_rng(seed)
    shape = [(3, 4), (11, 13)][rng.integers(2)]
    X, _, M = ref.small_image(seed, shape, K=int(rng.integers(1, 7)))
    W = ref.window_affinity(X, shape, 3)
    lam = rng.choice([0.0, 0.7])
    A = rng.random((len(X), len(M))) * (rng.random((len(X), len(M))) < 0.7)
    dtype = np.float32 if single else np.float64
    g = Graph.of(sparse.csr_array(W, dtype=dtype), dtype)
    mode = HALF if q == 0.5 and alpha > 0 else LASSO
    got = A.astype(dtype)
    B = (X @ M.T).astype(dtype)
    sums = np.zeros(5)
    sweep(
        got, B, M @ M.T, 0, g.indptr.astype(np.int32), g.indices.astype(np.int32),
        g.weights, lam, alpha, 0.0, mode, q == 0.5, 2, sums,
    )  # fmt: skip
    banded = g.banded()
    if q == 1 and (lam == 0 or banded.bands is not None):
        offsets, bands = banded.offsets, banded.bands
        if lam == 0:
            offsets, bands = np.zeros(0, np.int64), np.zeros((0, 0), dtype)
        same, terms = np.array(A.T, dtype), np.zeros(5)
        sweep_bands(
            same, np.array(B.T, order="C"), (M @ M.T).astype(dtype), 0, offsets, bands,
            dtype(lam), dtype(alpha), 2, terms,
        )  # fmt: skip
        assert_allclose(same.T, got, atol=1e-4 if single else 1e-12)
        assert_allclose(terms[:3], sums[:3], rtol=1e-4 if single else 1e-10)
    want = ref.sweep(A, X @ M.T, M @ M.T, W, lam, alpha, q, 2, WIDTH)
    if not single:
        assert_allclose(got, want, atol=1e-10)
        problem = Problem(X, g, lam, alpha, q == 0.5)
        penalties = problem.penalties(sums)
        assert_allclose(penalties, problem.penalties(penalty_sums(problem, got)))
        value = ref.objective(X, got, M, W, lam, alpha, q)
        assert_allclose(objective(problem, got, M, sums=sums), value)
    elif q == 1:
        # The threshold of the square root jumps: rounding may decide it.
        assert_allclose(got, want, atol=2e-4 * max(1.0, want.max()))


@pytest.mark.parametrize("shape", [(5, 7), (1, 9), (9, 1)])
@pytest.mark.parametrize("window", [3, 5])
def test_weights_by_offset_are_the_graph(shape, window):
    X, _, M = ref.small_image(0, shape)
    W = spatial_affinity(X, shape, window=window)
    g = Graph.of(W, X.dtype).banded()
    assert np.all(g.offsets > 0) and 2 * np.count_nonzero(g.bands) == W.nnz
    assert_array_equal(g.without_weights().all_weights(), W.data)
    A = np.random.default_rng(0).random((len(X), len(M)))
    want = ref.objective(X, A, M, W.toarray(), 0.7)
    for graph in (Graph.of(W, X.dtype), g.without_weights()):
        problem = Problem(X, graph, 0.7, 0.0, False)
        assert_allclose(objective(problem, A, M), want)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 6), st.booleans(), st.booleans())
def test_pixel_programs_equal_the_enumeration_of_supports(seed, K, simplex, warm):
    rng = np.random.default_rng(seed)
    M = rng.random((K, K + 3))
    H = M @ M.T + 0.1 * rng.random() * np.eye(K)
    C = 2 * rng.standard_normal((7, K))
    A = rng.random((7, K)) * (rng.random((7, K)) < 0.5) if warm else np.zeros((7, K))
    solve_rows(H, C, simplex, A)
    assert A.min() >= 0
    for a, c in zip(A, C):
        b = ref.quadratic_program(H, c, simplex)
        got, want = (0.5 * x @ H @ x - c @ x for x in (a, b))
        assert got <= want + 1e-9 * (1 + abs(want))
        if simplex:
            assert_allclose(a.sum(), 1.0)


def test_pixel_programs_with_parallel_endmembers():
    """A singular Gram matrix: finite, optimal, one of the solutions."""
    rng = np.random.default_rng(0)
    M = rng.random((3, 6))
    M = np.vstack([M, M[0], 2 * M[1]])
    X = rng.random((50, 6))
    for solve, gap in ((nnls_abundances, ref.nnls_gap), (fcls, ref.simplex_gap)):
        A = solve(X, M)
        assert np.isfinite(A).all()
        gaps = [gap(x, a, M) for x, a in zip(X, A)]
        assert np.max(gaps / np.sum(X**2, axis=1)) < 1e-6


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_endmember_of_zeros_is_shade(place):
    """With it the sum of the others is at most one instead of one."""
    rng = np.random.default_rng(0)
    M = np.insert(rng.random((2, 8)), place, 0.0, axis=0)
    X = rng.random((40, 1)) * (rng.dirichlet(np.ones(2), 40) @ M[M.any(axis=1)])
    A = fcls(X, M)
    assert_allclose(A @ M, X, atol=1e-10)
    assert_allclose(A.sum(axis=1), 1.0)
    assert_array_equal(nnls_abundances(X, M)[:, place], 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("K", [1, 3, 8])
def test_abundances_are_certified(K, dtype):
    rng = np.random.default_rng(K)
    M = rng.random((K, 30))
    X = (rng.dirichlet(np.ones(K), 200) @ M + 0.1 * rng.random((200, 30))).astype(dtype)
    X[0] = 0
    for solve, gap in ((nnls_abundances, ref.nnls_gap), (fcls, ref.simplex_gap)):
        A = solve(X, M)
        assert A.dtype == dtype and A.min() >= 0
        gaps = np.array(
            [gap(x, a, M) for x, a in zip(X.astype(float), A.astype(float))]
        )
        size = np.maximum(np.sum(X.astype(float) ** 2, axis=1), np.sum(M[0] ** 2))
        assert np.max(gaps / size) < 1e-6
    assert_allclose(fcls(X, M).sum(axis=1), 1.0, rtol=1e-6)
    assert_allclose(
        nnls_abundances(sparse.csr_array(X), M), nnls_abundances(X, M), atol=1e-6
    )


def test_fcls_equals_a_general_solver():
    optimize = pytest.importorskip("scipy.optimize")
    X, _, M = ref.small_image(3, noise=0.2)
    A = fcls(X, M)
    for x, a in zip(X[:10], A):
        found = optimize.minimize(
            lambda b, x=x: 0.5 * np.sum((x - b @ M) ** 2),
            np.full(3, 1 / 3),
            jac=lambda b, x=x: (b @ M - x) @ M.T,
            bounds=[(0, None)] * 3,
            constraints={"type": "eq", "fun": lambda b: b.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert_allclose(a, found.x, atol=1e-5)


def _problem(X, W, lam, alpha, **kwargs):
    kwargs = {"root": False, **kwargs}
    return Problem(X, Graph.of(W, X.dtype), lam, alpha, **kwargs)


@pytest.mark.parametrize(
    ("lam", "alpha", "delta"),
    [(0.0, 0.0, 0.0), (0.3, 0.0, 0.0), (0.3, 0.2, 0.0), (2.0, 0.05, 0.0), (0.3, 0, 3)],
)
def test_abundances_for_fixed_endmembers_are_the_convex_optimum(lam, alpha, delta):
    X, _, M = ref.small_image(0)
    W = spatial_affinity(X, (5, 6))
    problem = _problem(X, W, lam, alpha, delta2=delta**2)
    A, converged = solve_abundances(problem, M, tol=1e-10, max_iter=5000)
    assert converged
    want = ref.convex_abundances(X, M, W.toarray(), lam, alpha, delta)
    assert_allclose(A, want, atol=1e-6)
    # The sweeps of the fit have the same fixed point.
    B = A.copy()
    sweep_pass(problem, B, M)
    assert_allclose(B, A, atol=1e-6)


def test_exact_sum_with_a_graph_is_the_convex_optimum():
    """Frank-Wolfe gap of the whole image, a bound of the distance to the optimum."""
    X, _, M = ref.small_image(1)
    W = spatial_affinity(X, (5, 6)).toarray()
    problem = _problem(X, spatial_affinity(X, (5, 6)), 0.5, 0.0, simplex=True)
    A, _ = solve_abundances(problem, M, tol=1e-10, max_iter=5000)
    assert_allclose(A.sum(axis=1), 1.0)
    gradient = (A @ M - X) @ M.T + 0.5 * (W.sum(axis=1)[:, None] * A - W @ A)
    gap = np.sum(gradient * A) - np.sum(gradient.min(axis=1))
    assert gap < 1e-6 * np.sum(X**2)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.booleans())
def test_endmember_update_is_an_exact_block_minimiser(seed, unit):
    """No feasible small change of one endmember lowers the objective."""
    rng = np.random.default_rng(seed)
    X, A, M = ref.small_image(seed)
    if unit:
        M /= np.linalg.norm(M, axis=1, keepdims=True)
    P, Q = A.T @ X, A.T @ A
    one = M[:1].copy()
    P1, Q1 = P[:1] - Q[:1, 1:] @ M[1:], Q[:1, :1]
    update_endmembers(P1, Q1, one, unit=unit)

    def value(m):
        return np.sum((X - A[:, 1:] @ M[1:] - np.outer(A[:, 0], m)) ** 2)

    best = value(one[0])
    for _ in range(20):
        m = np.maximum(one[0] + 0.05 * rng.standard_normal(X.shape[1]), 0)
        m = m / np.linalg.norm(m) if unit else m
        assert value(m) >= best - 1e-12


@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("kind", ["heat", "binary", "cosine"])
@pytest.mark.parametrize("masked", [False, True])
def test_affinity_equals_the_loop_over_pairs(window, kind, masked):
    rng = np.random.default_rng(0)
    shape = (5, 7)
    mask = rng.random(shape) < 0.6 if masked else None
    N = int(mask.sum()) if masked else 35
    X = rng.random((N, 4)) + 0.1
    W = spatial_affinity(X, shape, mask=mask, window=window, edge_weights=kind)
    want = ref.window_affinity(X, shape, window, kind=kind, mask=mask)
    assert_allclose(W.toarray(), want, atol=1e-12)
    assert W.has_sorted_indices and W.indices.dtype == np.int32
    single = spatial_affinity(
        X.astype(np.float32), shape, mask=mask, window=window, edge_weights=kind
    )
    assert single.dtype == np.float32
    assert_allclose(single.toarray(), want, atol=1e-4)


def test_affinity_of_nearest_neighbours():
    rng = np.random.default_rng(1)
    X = rng.random((30, 3))
    W = spatial_affinity(X, (5, 6), n_neighbors=2, edge_weights="binary").toarray()
    D = np.sum((X[:, None] - X) ** 2, axis=2)
    D[spatial_affinity(X, (5, 6), edge_weights="binary").toarray() == 0] = np.inf
    keep = np.argsort(np.argsort(D, axis=1), axis=1) < 2
    assert_allclose(W, keep | keep.T)


def test_affinity_of_a_constant_image_and_of_single_pixels():
    W = spatial_affinity(np.ones((6, 2)), (2, 3))
    assert set(W.data) == {1.0}
    mask = np.zeros((5, 5), bool)
    mask[0, 0] = mask[4, 4] = True
    assert spatial_affinity(np.ones((2, 3)), (5, 5), mask=mask).nnz == 0
    assert spatial_affinity(np.ones((1, 3)), (1, 1)).nnz == 0


def test_spa_and_vca_find_pure_pixels():
    rng = np.random.default_rng(0)
    M = rng.random((4, 20))
    A = np.vstack([rng.dirichlet(np.ones(4), 300), np.eye(4)])
    for found in (spa(A @ M, 4), vca(A @ M, 4, random_state=0)):
        assert_allclose(found[match_endmembers(M, found)], M, atol=1e-6)
    noisy = np.maximum(A @ M + 0.02 * rng.standard_normal((304, 20)), 0)
    found = vca(noisy, 4, random_state=0)
    assert unmixing_scores(M, found).mean_sad < 0.1
    assert_allclose(found, vca(noisy, 4, random_state=0))
    # The low and the high noise branch and the sparse one agree on easy data.
    assert_allclose(spa(sparse.csr_array(noisy), 4), spa(noisy, 4))
    wide = vca(sparse.csr_array(noisy), 4, random_state=0)
    assert unmixing_scores(M, wide).mean_sad < 0.1


def test_spectral_angles():
    assert_allclose(
        spectral_angle([[1, 0], [0, 0]], [[0, 3], [1e-200, 0], [-1, 0]]),
        [[np.pi / 2, 0, np.pi], [np.pi / 2] * 3],
    )
    tiny = spectral_angle([[1.0, 0.0]], [[1.0, 1e-12]])[0, 0]
    assert_allclose(tiny, 1e-12, rtol=1e-6)
    with pytest.raises(ValueError, match="M1 has 2 bands, M2 has 3"):
        spectral_angle(np.ones((1, 2)), np.ones((1, 3)))


def test_unmixing_scores():
    rng = np.random.default_rng(0)
    M, A = rng.random((3, 9)), rng.dirichlet(np.ones(3), 12).reshape(3, 4, 3)
    order = [2, 0, 1]
    scores = unmixing_scores(M, M[order], A, A[..., order] + 0.1)
    assert_allclose(scores.sad, 0, atol=1e-7)
    assert_allclose(scores.rmse, 0.1)
    assert_allclose(scores.permutation, np.argsort(order))
    more = unmixing_scores(M, np.vstack([rng.random((2, 9)), M]))
    assert_allclose(more.permutation, [2, 3, 4])
    with pytest.raises(ValueError, match="fewer than the 3"):
        match_endmembers(M, M[:2])
    with pytest.raises(ValueError, match="both A_true and A"):
        unmixing_scores(M, M, A)
    with pytest.raises(ValueError, match="same pixels"):
        unmixing_scores(M, M, A, A[:2])


@pytest.mark.parametrize("pick", [vca, spa])
def test_too_many_endmembers(pick):
    with pytest.raises(ValueError, match=r"n_components=5 must be at most .*=4"):
        pick(np.ones((9, 4)), 5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"image_shape": (4, 4)}, "X has 12 rows, but image_shape=.* asks for 16"),
        ({"image_shape": (3, 4), "window": 4}, "window=4 must be odd"),
        ({"image_shape": (3, 4, 1)}, "two integers"),
        ({"image_shape": (0, 4)}, "positive"),
        ({"image_shape": (3, 4), "mask": np.ones((3, 4))}, "mask must be boolean"),
        ({"image_shape": (3, 4), "mask": np.ones((2, 4), bool)}, "mask has shape"),
        ({"image_shape": (3, 4), "mask": np.eye(3, 4, dtype=bool)}, "asks for 3"),
    ],
)
def test_affinity_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        spatial_affinity(np.ones((12, 2)), **kwargs)


def test_bands_must_agree():
    with pytest.raises(ValueError, match="X has 3 bands, M has 2"):
        fcls(np.ones((2, 3)), np.ones((1, 2)))
