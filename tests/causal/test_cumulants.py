"""Cumulants, their covariance, and the closed forms that rest on them."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skstruct.causal import CumulantAccumulator, joint_cumulants
from skstruct.causal import _kernels as kernels
from skstruct.causal._cumulants import partitions_without_singletons
from tests.reference.causal import cumulant, pair_population


def _table(n=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.exponential(size=(n, 3))
    X[:, 1] += 0.8 * X[:, 0]
    X[:, 2] = 0.3 * X[:, 2] - X[:, 1]
    return X


@pytest.mark.parametrize("order", [2, 3, 4, 5, 6])
def test_cumulants_equal_the_partition_sum(order):
    X = _table()
    rng = np.random.default_rng(order)
    indices = rng.integers(0, 3, size=(6, order))
    want = [
        cumulant(lambda block: np.prod(X[:, block], axis=1).mean(), index)
        for index in indices.tolist()
    ]
    got = joint_cumulants(X, order, indices=indices)
    np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-8 * np.abs(want).max())
    tensor = joint_cumulants(X, order)
    np.testing.assert_allclose(tensor[tuple(indices.T)], got, rtol=1e-10, atol=1e-12)


def test_partition_counts():
    # Numbers of set partitions without singletons (OEIS A000296).
    found = [len(partitions_without_singletons(n)) for n in range(2, 7)]
    assert found == [1, 1, 4, 11, 41]


@pytest.mark.parametrize("order", [2, 3, 4])
def test_k_statistics_are_unbiased_exactly(order):
    # All 3^5 samples of size 5 from three equally likely points.
    points = np.array([[0.0, 1.0], [1.0, -1.0], [3.0, 0.5]])
    samples = np.stack(np.meshgrid(*[range(3)] * 5), axis=-1).reshape(-1, 5)
    index = [[0] * (order - 1) + [1]]
    mean = np.mean(
        [
            joint_cumulants(points[s], order, unbiased=True, indices=index)
            for s in samples
        ]
    )
    assert mean == pytest.approx(joint_cumulants(points, order, indices=index)[0])


def test_k_statistics_equal_scipy():
    from scipy.stats import kstat

    x = _table(50)[:, :1]
    for order in (2, 3, 4):
        got = joint_cumulants(x, order, unbiased=True).ravel()[0]
        assert got == pytest.approx(kstat(x[:, 0], order), rel=1e-10)


def _standard_pair(n=400, seed=0):
    X = _table(n, seed)[:, :2]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def _moments(Z, d=12):
    powers = [Z**a for a in range(d + 1)]
    m = np.zeros((d + 1, d + 1))
    for a in range(d + 1):
        for b in range(d + 1 - a):
            m[a, b] = np.mean(powers[a][:, 0] * powers[b][:, 1])
    return m


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), shift=st.floats(-2, 2), scale=st.floats(0.5, 2))
def test_central_moments_and_pair_cumulants(seed, shift, scale):
    Z = _standard_pair(60, seed)
    m, sx, sz = kernels.central_moments(_moments(scale * Z + shift))
    np.testing.assert_allclose([sx, sz], scale, rtol=1e-8)
    want = _moments(Z)
    np.testing.assert_allclose(m[:5, :5], want[:5, :5], rtol=1e-5, atol=1e-6)
    c, _ = kernels.pair_cumulants(want, 6)
    position = 0
    for n in range(2, 7):
        index = [[0] * (n - l) + [1] * l for l in range(n + 1)]
        got = c[position : position + n + 1]
        exact = joint_cumulants(Z, n, indices=index)
        np.testing.assert_allclose(got, exact, rtol=1e-8, atol=1e-8 * abs(exact).max())
        position += n + 1


def test_covariance_of_moments_is_that_of_the_influence_functions():
    Z = _standard_pair()
    x, z = Z.T
    m = _moments(Z)
    places = [(n - l, l) for n in range(2, 7) for l in range(n + 1)]
    F = np.array(
        [
            x**a * z**b
            - m[a, b]
            - (a * m[a - 1, b] * x if a else 0)
            - (b * m[a, b - 1] * z if b else 0)
            for a, b in places
        ]
    )
    np.testing.assert_allclose(
        kernels.moment_covariance(m, 6), F @ F.T / len(Z), rtol=1e-9, atol=1e-9
    )


def test_derivatives_of_cumulants():
    m = _moments(_standard_pair())
    _, D = kernels.pair_cumulants(m, 6)
    for s, (a, b) in enumerate((n - l, l) for n in range(2, 7) for l in range(n + 1)):
        up, down = m.copy(), m.copy()
        up[a, b] += 1e-6
        down[a, b] -= 1e-6
        slope = kernels.pair_cumulants(up, 6)[0] - kernels.pair_cumulants(down, 6)[0]
        np.testing.assert_allclose(D[:, s], slope / 2e-6, rtol=1e-5, atol=1e-4)


def test_covariance_against_monte_carlo():
    rng = np.random.default_rng(0)
    n, draws = 2000, 400
    found, estimated = [], []
    for _ in range(draws):
        X = rng.uniform(-1, 1, size=(n, 2)) @ np.array([[1, 0.5], [0, 1]])
        a = CumulantAccumulator(4).partial_fit(X)
        found.append(np.concatenate(list(a.pair_cumulants(0, 1).values())))
        estimated.append(np.diag(a.covariance(0, 1)))
    sd = np.std(found, axis=0)
    # The standard error of a standard deviation is 1 / sqrt(2 draws) = 3.5 %, and the
    # influence functions leave out terms of order 1 / n.
    np.testing.assert_allclose(np.sqrt(np.mean(estimated, axis=0)), sd, rtol=0.15)


# -- closed forms on population cumulants ----------------------------------------


def _population(seed, loadings):
    rng = np.random.default_rng(seed)
    s = loadings.shape[1]
    kappas = {n: rng.uniform(0.5, 2, s) for n in range(3, 7)}
    kappas[2] = np.ones(s)
    c = pair_population(loadings, kappas, 6)
    return {
        n: c[(n * (n + 1)) // 2 - 3 : (n * (n + 1)) // 2 - 3 + n + 1]
        for n in range(2, 7)
    }


@pytest.mark.parametrize("seed", range(5))
def test_loadings_of_one_shared_source(seed):
    a, b = np.random.default_rng(seed).uniform(0.4, 1, 2)
    c = _population(seed, np.array([[a, 1, 0], [b, 0, 1]]))
    for r in (c[3][2] / c[3][1], c[4][3] / c[4][2], c[4][2] / c[4][1]):
        assert r == pytest.approx(b / a, rel=1e-12)
    r = c[3][2] / c[3][1]
    assert c[2][1] * r == pytest.approx(b**2, rel=1e-12)
    assert c[2][1] / r == pytest.approx(a**2, rel=1e-12)


def test_two_shared_sources_break_the_geometric_sequence():
    A = np.array([[1.0, 0.7, 1, 0], [0.6, -0.9, 0, 1]])
    c = _population(3, A)[4]
    rng = np.random.default_rng(3)
    kappas = {n: rng.uniform(0.5, 2, 4) for n in range(3, 7)}
    w = kappas[4][:2] * A[0, :2] ** 4
    r = A[1, :2] / A[0, :2]
    want = w[0] * w[1] * r[0] * r[1] * (r[0] - r[1]) ** 2
    assert c[1] * c[3] - c[2] ** 2 == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_edge_beside_a_latent(seed):
    a_x, a_y, a_z, b = np.random.default_rng(seed).uniform(0.4, 1, 4)
    # x = a_x L + e_x, y = b x + a_y L + e_y, z = a_z L + e_z
    A = np.array([[a_x, 1, 0, 0], [b * a_x + a_y, b, 1, 0], [a_z, 0, 0, 1]])
    C = A @ A.T
    t_x, t_y = C[0, 2] / a_z, C[1, 2] / a_z
    found = (C[0, 1] - t_x * t_y) / (C[0, 0] - t_x**2)
    assert found == pytest.approx(b, rel=1e-12)
    assert (t_y - found * t_x) / a_z == pytest.approx(a_y / a_z, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_recurrence_of_latent_and_edge(seed):
    a_x, a_y, b = np.random.default_rng(seed).uniform(0.4, 1, 3)
    cs = _population(seed, np.array([[a_x, 1, 0], [b * a_x + a_y, b, 1]]))
    s, p = 2 * b + a_y / a_x, b * (b + a_y / a_x)
    for n, c in cs.items():
        # x has no private source: l = 0 joins; l = n does not.
        for l in range(n - 2):
            assert c[l + 2] - s * c[l + 1] + p * c[l] == pytest.approx(0, abs=1e-12)
        if n > 2:
            assert abs(c[n] - s * c[n - 1] + p * c[n - 2]) > 1e-3


# -- accumulator -------------------------------------------------------------------


def test_batches_merge_and_one_pass_agree():
    X = _table(2000) * [1, 100, 0.01] + [5, -300, 0.2]
    whole = CumulantAccumulator(4, pairs_only=False).partial_fit(X)
    stream = CumulantAccumulator(4, pairs_only=False)
    for batch in np.array_split(X, 7):
        stream.partial_fit(batch)
    merged = CumulantAccumulator(4, pairs_only=False).partial_fit(X[:500])
    merged.merge(CumulantAccumulator(4, pairs_only=False).partial_fit(X[500:]))
    for other in (stream, merged):
        assert other.n_samples_seen_ == 2000
        for order in (2, 3, 4):
            np.testing.assert_allclose(
                other.pair_cumulants(0, 1)[order],
                whole.pair_cumulants(0, 1)[order],
                rtol=1e-8,
            )
            indices, values = other.joint_cumulants(order)
            exact = joint_cumulants(X, order, indices=indices)
            assert len(values) == comb(order + 2, order)
            np.testing.assert_allclose(values, exact, rtol=1e-7)
        np.testing.assert_allclose(
            other.covariance(0, 2), whole.covariance(0, 2), rtol=1e-6, atol=1e-300
        )


def test_accumulator_errors():
    X = _table(50)
    with pytest.raises(ValueError, match=r"max_order must be an integer in \[2, 6\]"):
        CumulantAccumulator(7)
    with pytest.raises(ValueError, match="Column 1 is constant"):
        CumulantAccumulator().partial_fit(X * [1, 0, 1])
    started = CumulantAccumulator().partial_fit(X)
    with pytest.raises(ValueError, match="X has 2 features"):
        started.partial_fit(X[:, :2])
    with pytest.raises(ValueError, match="same parameters"):
        started.merge(CumulantAccumulator(3).partial_fit(X))
    with pytest.raises(ValueError, match="Column 5 is outside"):
        started.pair_cumulants(0, 5)
    with pytest.raises(ValueError, match="call partial_fit first"):
        CumulantAccumulator().covariance(0, 1)
    with pytest.raises(ValueError, match="pairs_only=False"):
        started.joint_cumulants(3)
    assert "after 50 rows" in repr(started)


def test_joint_cumulant_errors():
    X = _table(5)
    with pytest.raises(ValueError, match="orders 2 to 4, got order=5"):
        joint_cumulants(X, 5, unbiased=True)
    with pytest.raises(ValueError, match="at least 4 rows, got 3"):
        joint_cumulants(X[:3], 4, unbiased=True)
    with pytest.raises(ValueError, match="shape"):
        joint_cumulants(X, 3, indices=[[0, 1]])
    with pytest.raises(ValueError, match=r"\[0, n_features=3\)"):
        joint_cumulants(X, 2, indices=[[0, 3]])
    with pytest.raises(ValueError, match="integers"):
        joint_cumulants(X, 2, indices=[[0.0, 1.0]])
    with pytest.raises(ValueError, match="order"):
        joint_cumulants(X, 7)
    with pytest.raises(ValueError, match="NaN"):
        joint_cumulants(X * np.nan, 2)
    with pytest.raises(ValueError, match="more than"):
        joint_cumulants(np.ones((3, 30)), 6)
