"""The pass over the points against explicit covariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import chi2

from skstruct.mixture import _gaussian
from skstruct.mixture._gaussian import squared_distances
from skstruct.mixture._kernels import row_distances
from skstruct.mixture._stream import Rules, Stream, empty
from tests.reference import mixture as ref


def make_rules(init, **changes):
    beta = changes.get("beta", 1e-3)
    options = {
        "init": np.asarray(init, dtype=float),
        "spread": np.asarray(init, dtype=float),
        "reg": 0.0,
        "threshold": float(chi2.isf(beta, len(init))),
        "beta": beta,
        "max_components": 2**62,
        "igmn": False,
        "hard": False,
        "cholesky": False,
        "v_min": -1.0,
        "sp_min": 0.0,
        "forgetting": 1.0,
        "p_min": 1e-10,
        "refresh_every": 10_000,
    }
    return Rules(**{**options, **changes})


def clusters(seed, n=150, D=4, K=3):
    rng = np.random.default_rng(seed)
    centers = 3 * rng.standard_normal((K, D))
    X = centers[rng.integers(0, K, n)] + 0.8 * rng.standard_normal((n, D))
    return X, rng.uniform(0.2, 2.0, n)


def run(X, weights, rules, block=False):
    state = empty(X.shape[1], cholesky=rules.cholesky)
    return Stream(state).learn(X, weights, rules, block=block)


def covariances(stream):
    factors, log_dets = stream.precision_factors()
    return np.linalg.inv(factors @ np.swapaxes(factors, 1, 2)), log_dets


def compare(stream, want, tol=1e-9):
    K = stream.K
    assert len(want["means"]) == K
    C, log_dets = covariances(stream)
    assert_allclose(stream.mean[:K], want["means"], atol=tol)
    assert_allclose(C, want["covariances"], atol=tol)
    assert_allclose(stream.state[2, :K], want["counts"], rtol=tol)
    assert_allclose(log_dets, stream.state[1, :K], atol=tol)
    assert_allclose(
        stream.state[1, :K], np.linalg.slogdet(want["covariances"])[1], atol=tol
    )
    np.testing.assert_array_equal(stream.age[:K], want["ages"])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    D=st.integers(1, 6),
    solver=st.sampled_from(["precision", "cholesky", "block"]),
    hard=st.booleans(),
    igmn=st.booleans(),
    beta=st.sampled_from([0.0, 1e-4, 0.1, 1.0]),
    cap=st.sampled_from([2, 7, 2**62]),
    forgetting=st.sampled_from([1.0, 0.95]),
    prune=st.booleans(),
)
def test_every_form_equals_explicit_covariances(
    seed, D, solver, hard, igmn, beta, cap, forgetting, prune
):
    X, weights = clusters(seed, n=80, D=D)
    weights[[5, 6]] = 0.0
    rules = make_rules(
        np.full(D, 0.5),
        beta=beta,
        hard=hard,
        igmn=igmn and solver != "cholesky",
        max_components=cap,
        forgetting=forgetting,
        cholesky=solver == "cholesky",
        v_min=8.0 if prune else -1.0,
        sp_min=3.0 if prune else 0.0,
    )
    want = ref.learn(
        X,
        rules.init,
        beta=beta,
        max_components=cap,
        update="igmn" if rules.igmn else "exact",
        hard=hard,
        weights=weights,
        forgetting=forgetting,
        v_min=8 if prune else None,
        sp_min=3,
    )
    stream = run(X, weights, rules, block=solver == "block")
    # The igmn step may leave almost nothing of a covariance: its condition number
    # is the limit of what two orders of operations can agree on.
    eigenvalues = np.linalg.eigvalsh(want["covariances"])
    condition = np.max(eigenvalues[:, -1] / eigenvalues[:, 0])
    if rules.igmn and condition > 1e6:
        return
    compare(stream, want, tol=1e-9 * max(1.0, condition / 1e4))
    assert stream.counters[1] == want["n_pruned"]
    assert stream.counters[2] == want["n_fallbacks"]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    D=st.integers(1, 20),
    n=st.integers(1, 40),
    K=st.integers(1, 4),
)
def test_row_distances_equal_explicit_ones(seed, D, n, K):
    rng = np.random.default_rng(seed)
    X, means = rng.standard_normal((n, D)), rng.standard_normal((K, D))
    for part in (np.tril, np.triu):
        factors = part(rng.standard_normal((K, D, D)))
        P = factors @ np.swapaxes(factors, 1, 2)
        e = X[:, None] - means
        want = np.einsum("nki,kij,nkj->nk", e, P, e)
        found = np.empty((n, K))
        row_distances(X, means, factors, found)
        assert_allclose(found, want, rtol=1e-9, atol=1e-9)
        assert_allclose(squared_distances(X, means, factors), want, 1e-9, 1e-9)


@pytest.mark.parametrize(
    ("n", "D", "K"), [(1, 1, 1), (63, 3, 4), (200, 8, 5), (129, 32, 2)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_loops_of_an_expectation_step_equal_matrix_products(
    monkeypatch, n, D, K, weighted
):
    rng = np.random.default_rng(n)
    X, means = 2 * rng.standard_normal((n, D)), 2 * rng.standard_normal((K, D))
    roots = rng.standard_normal((K, D, 2 * D))
    covariances = roots @ np.swapaxes(roots, 1, 2) / D
    weights = rng.dirichlet(np.ones(K))
    sample_weight = rng.integers(0, 3, n).astype(float) if weighted else None
    found = []
    for bound in (D, D - 1):
        monkeypatch.setattr(_gaussian, "_LOOP_UP_TO", bound)
        factors, log_dets = _gaussian.factor_covariances(covariances)
        arrays = (X, sample_weight, weights, means, factors, log_dets)
        found.append([factors, log_dets, *_gaussian.em_statistics(*arrays)])
        with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
            _gaussian.factor_covariances(-covariances)
    for loop, product in zip(*found):
        assert_allclose(loop, product, rtol=1e-9, atol=1e-12 * n)
    assert_allclose(
        np.linalg.inv(factors @ np.swapaxes(factors, 1, 2)), covariances, rtol=1e-8
    )


def test_published_steps_are_the_single_form():
    """Two Sherman-Morrison steps equal one with k = w (1 - 3 w + w^2)."""
    rng = np.random.default_rng(0)
    D = 5
    A = rng.standard_normal((D, D))
    C = A @ A.T + np.eye(D)
    mean, x = rng.standard_normal((2, D))
    for w in (0.01, 0.2, 0.35):
        m, P, log_det = ref.published_step(
            mean, np.linalg.inv(C), np.linalg.slogdet(C)[1], x, w
        )
        e = x - mean
        want = (1 - w) * C + w * (1 - 3 * w + w * w) * np.outer(e, e)
        assert_allclose(np.linalg.inv(P), want, rtol=1e-9)
        assert_allclose(log_det, np.linalg.slogdet(want)[1], rtol=1e-9)
        assert_allclose(m, mean + w * e)


def test_published_second_point_loses_positive_definiteness():
    """k is -1/8 at w = 1/2: not positive definite as soon as d2 > 4; ours gives way."""
    for size, lost in ((1.9, False), (2.1, True)):
        x = np.array([size, 0.0, 0.0])
        _, P, _ = ref.published_step(np.zeros(3), np.eye(3), 0.0, x, 0.5)
        assert (np.linalg.eigvalsh(P)[0] < 0) == lost
        X = np.array([np.zeros(3), x])
        stream = run(X, np.ones(2), make_rules(np.ones(3), beta=0.0, igmn=True))
        assert stream.counters[2] == lost
        assert np.linalg.eigvalsh(stream.precisions()[0])[0] > 0


@pytest.mark.parametrize("form", ["precision", "cholesky", "block"])
def test_one_component_is_the_closed_form(form):
    """C = (Sigma_0 + n S_n) / n and the sample mean, to 1e-12."""
    rng = np.random.default_rng(0)
    n, D = 300, 12
    A = rng.standard_normal((D, D))
    X = rng.standard_normal((n, D)) @ A + 5
    init = rng.uniform(0.5, 2, D)
    rules = make_rules(init, beta=0.0, cholesky=form == "cholesky")
    stream = run(X, np.ones(n), rules, block=form == "block")
    want = np.diag(init) / n + np.cov(X.T, bias=True)
    C, log_dets = covariances(stream)
    scale = np.abs(want).max()
    assert stream.K == 1
    assert_allclose(stream.mean[0], X.mean(axis=0), rtol=1e-12)
    assert np.abs(C[0] - want).max() < 1e-12 * scale
    assert_allclose(log_dets[0], np.linalg.slogdet(want)[1], rtol=1e-12)


def test_rounding_does_not_accumulate_over_a_million_updates():
    """|P C - I| below 1e-8 without a single refresh."""
    rng = np.random.default_rng(0)
    n, D = 1_000_000, 4
    X = rng.standard_normal((n, D)) @ rng.standard_normal((D, D)) + 3
    rules = make_rules(np.ones(D), beta=0.0, refresh_every=10**9)
    stream = run(X, np.ones(n), rules)
    C = np.eye(D) / n + np.cov(X.T, bias=True)
    assert stream.n_updates[0] == n - 1
    assert np.abs(stream.precisions()[0] @ C - np.eye(D)).max() < 1e-8
    assert abs(stream.state[1, 0] - np.linalg.slogdet(C)[1]) < 1e-8


@pytest.mark.parametrize("K", [1, 4])
def test_block_form_equals_point_form(K):
    """In many features, blocks cut by creations and refreshes, to 1e-10."""
    rng = np.random.default_rng(1)
    D = 40
    X = 10 * rng.standard_normal((K, D))[rng.integers(0, K, 700)]
    X = X + rng.standard_normal(X.shape)
    rules = make_rules(
        np.full(D, 1.0), beta=0.0 if K == 1 else 0.999, max_components=K,
        refresh_every=150,
    )  # fmt: skip
    weights = rng.uniform(0.5, 1.5, 700)
    a, b = (run(X, weights, rules, block=block) for block in (False, True))
    assert a.K == b.K == K
    assert_allclose(a.mean[:K], b.mean[:K], atol=1e-10)
    assert_allclose(a.precisions(), b.precisions(), atol=1e-10)
    assert_allclose(a.state[1:, :K], b.state[1:, :K], rtol=1e-10)


@pytest.mark.parametrize("cholesky", [False, True])
def test_floor_bounds_the_likelihood_of_repeated_points(cholesky):
    D = 3
    X = np.vstack([np.eye(D), np.repeat([[1.0, 2.0, 3.0]], 5000, axis=0)])
    rules = make_rules(np.ones(D), beta=0.0, reg=1e-3, cholesky=cholesky)
    stream = run(X, np.ones(len(X)), rules)
    C, log_dets = covariances(stream)
    # Between refreshes single entries are watched, which bound it up to D.
    assert np.linalg.eigvalsh(C[0])[0] >= 0.5e-3 / D
    assert_allclose(log_dets, stream.state[1, :1], atol=1e-9)
    # One repair lasts for a doubling of the precision.
    assert stream.n_floored <= 12
    stream.refresh(0, rules)
    assert np.linalg.eigvalsh(covariances(stream)[0][0])[0] >= 0.5e-3 * (1 - 1e-9)


def test_scale_is_folded_before_it_overflows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30_000, 2))
    rules = make_rules(np.ones(2), beta=0.0, forgetting=0.98, refresh_every=10**9)
    stream = run(X, np.ones(len(X)), rules)
    C, _ = covariances(stream)
    assert stream.state[0, 0] < 1e101
    weights = 0.98 ** np.arange(len(X))[::-1]
    mean = weights @ X / weights.sum()
    want = (X - mean).T * weights @ (X - mean) / weights.sum()
    assert_allclose(C[0], want, rtol=1e-6)


def test_a_precision_lost_to_rounding_is_repaired():
    rng = np.random.default_rng(0)
    stream = run(rng.standard_normal((50, 3)), np.ones(50), make_rules(np.ones(3)))
    stream.factor[0] = np.diag([1.0, 1.0, -1e-9])
    factors, log_dets = stream.precision_factors()
    assert np.all(np.diagonal(factors[0]) > 0)
    assert np.isfinite(log_dets).all()
    with pytest.warns(UserWarning, match="component 0 lost positive definiteness"):
        stream.refresh(0, make_rules(np.ones(3)))
    assert np.linalg.eigvalsh(stream.precisions()[0])[0] > 0
