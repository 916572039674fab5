"""Cliques of thresholded correlations against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skstruct.datasets import make_factor_model
from skstruct.factor_analysis import (
    correlation_threshold_path,
    independent_maximal_cliques,
)
from skstruct.factor_analysis._cliques import (
    even_grid,
    levels_of_correlation,
    levels_of_data,
    path_of_levels,
    threshold_grid,
)
from tests.reference.factor_analysis import cliques, columns, maximal_cliques


def _correlation(seed, p, rank, n=40):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p))
    X += 0.7 * rng.standard_normal((n, p))
    R = np.corrcoef(X, rowvar=False)
    R = (R + R.T) / 2
    np.fill_diagonal(R, 1.0)
    return R


cases = given(
    seed=st.integers(0, 10**6),
    p=st.integers(2, 14),
    rank=st.integers(1, 4),
    min_size=st.integers(2, 4),
)


@cases
@settings(max_examples=60, deadline=None)
def test_path_has_every_structure_of_the_definition(seed, p, rank, min_size):
    R = _correlation(seed, p, rank)
    grid = threshold_grid(R, "all")
    off = np.abs(R - np.eye(p))
    want = {}
    for tau in grid[grid < off.max()]:
        want.setdefault(frozenset(cliques(R, tau, min_size)), []).append(tau)
    path = correlation_threshold_path(R, "all", min_clique_size=min_size)
    got = {frozenset(columns(s.support)): s for s in path}
    assert got.keys() == want.keys() and len(path) == len(want)
    for key, taus in want.items():
        s = got[key]
        assert (s.threshold, s.tau_low, s.tau_high) == (taus[0], taus[0], taus[-1])
        assert s.n_thresholds == len(taus)
        assert s.n_factors == len(key)
        assert s.n_loadings == sum(map(len, key))


@cases
@settings(max_examples=40, deadline=None)
def test_twin_finds_the_independent_maximal_cliques(seed, p, rank, min_size):
    R = _correlation(seed, p, rank)
    for tau in (0.1, 0.3, 0.6):
        found = independent_maximal_cliques(R, tau)
        assert columns(found) == cliques(R, tau) == maximal_cliques(R, tau)
        keys = ["".join(map(str, c.astype(int))) for c in found.T]
        assert keys == sorted(keys, reverse=True)


@given(
    seed=st.integers(0, 10**6),
    d=st.integers(1, 5),
    items=st.integers(2, 6),
    cross=st.integers(0, 1),
    position=st.floats(0.01, 0.99),
    noise=st.floats(0.0, 0.98),
)
@settings(max_examples=100, deadline=None)
def test_within_half_the_gap_every_threshold_is_right(
    seed, d, items, cross, position, noise
):
    """The deterministic guarantee: |r - rho| below half the gap."""
    data = make_factor_model(
        2,
        n_factors=d,
        items_per_factor=items,
        loadings=(0.65, 0.75),
        factor_corr=0.05,
        cross_loadings=cross,
        cross_range=(0.45, 0.5),
        random_state=seed,
    )
    rho = np.abs(data.covariance)
    shared = data.support.astype(int) @ data.support.T.astype(int) > 0
    off = ~np.eye(len(rho), dtype=bool)
    low = rho[~shared].max(initial=0.0)
    high = rho[shared & off].min()
    assert high > low, "the design has a gap"
    eps = noise * (high - low) / 2
    rng = np.random.default_rng(seed)
    E = np.triu(rng.choice([-1.0, 1.0], size=rho.shape) * eps, 1)
    signs = np.triu(rng.choice([-1.0, 1.0], size=rho.shape), 1)
    R = np.triu(data.covariance, 1)
    R = np.sign(R) * np.clip(np.abs(R) + E, 0, 1) * signs
    R = R + R.T + np.eye(len(rho))
    tau = low + eps + position * (high - low - 2 * eps)
    found = independent_maximal_cliques(R, tau)
    assert columns(found) == columns(data.support)


def test_levels_of_blocks_are_those_of_the_matrix():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((30, 2300))
    Z -= Z.mean(axis=0)
    Z /= np.linalg.norm(Z, axis=0)
    grid = even_grid(100)
    blocks = levels_of_data(Z, grid)
    whole = levels_of_correlation(Z.T @ Z, grid)
    # The two products may round differently where |r| is at a threshold.
    assert np.mean(blocks != whole) < 1e-6
    assert np.array_equal(blocks, blocks.T)


@pytest.mark.parametrize(
    "grid",
    [even_grid(255), np.array([0.0, 0.1, 0.1001, 0.7]), np.linspace(0, 0.9, 700)],
)
def test_level_counts_the_thresholds_strictly_below(grid):
    R = _correlation(3, 40, 3)
    R[0, 1] = R[1, 0] = grid[2]  # a tie is no edge
    levels = levels_of_correlation(R, grid)
    want = (np.abs(R)[:, :, None] > grid).sum(axis=2)
    np.fill_diagonal(want, 0)
    assert np.array_equal(levels, want)


def test_threads_do_not_change_the_path():
    R = _correlation(5, 120, 8, n=100)
    grid = even_grid(60)
    levels = levels_of_correlation(R, grid)
    one, three = (path_of_levels(levels, grid, 2, n_jobs=k) for k in (1, 3))
    assert [s.threshold for s in one] == [s.threshold for s in three]
    for a, b in zip(one, three):
        assert np.array_equal(a.support, b.support)


def test_order_and_signs_of_variables_do_not_matter():
    R = _correlation(7, 15, 3)
    rng = np.random.default_rng(0)
    order, signs = rng.permutation(15), rng.choice([-1, 1], 15)
    turned = (R * np.outer(signs, signs))[np.ix_(order, order)]
    for a, b in zip(
        correlation_threshold_path(R, 30), correlation_threshold_path(turned, 30)
    ):
        assert columns(b.support) == {
            frozenset(int(np.flatnonzero(order == i)[0]) for i in c)
            for c in columns(a.support)
        }


def test_empty_paths_and_supports():
    assert correlation_threshold_path(np.eye(4)) == []
    assert correlation_threshold_path(_correlation(0, 6, 1), [0.9999]) == []
    assert independent_maximal_cliques(np.eye(4), 0.2).shape == (4, 0)


def test_float32_and_lists_are_taken():
    R = _correlation(1, 8, 2)
    a = independent_maximal_cliques(R.astype(np.float32), 0.3)
    assert np.array_equal(a, independent_maximal_cliques(R.tolist(), 0.3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda R: independent_maximal_cliques(R, 1.0), "threshold"),
        (lambda R: independent_maximal_cliques(R, -0.1), "threshold"),
        (
            lambda R: independent_maximal_cliques(R, 0.1, min_clique_size=1),
            "min_clique_size",
        ),
        (lambda R: correlation_threshold_path(R, [0.1, 1.2]), r"\[0, 1\), got 1.2"),
        (lambda R: correlation_threshold_path(R, []), "non-empty"),
        (lambda R: correlation_threshold_path(R[:, :3]), "square"),
        (lambda R: correlation_threshold_path(R + np.triu(R, 1)), "symmetric"),
        (lambda R: correlation_threshold_path(2 * R), r"\|entry\| <= 1"),
        (lambda R: correlation_threshold_path(R * np.nan), "NaN"),
    ],
)
def test_bad_input_is_named(call, message):
    R = np.full((4, 4), 0.5) + 0.5 * np.eye(4)
    with pytest.raises(ValueError, match=message):
        call(R)


def test_one_ulp_of_asymmetry_is_symmetrised():
    R = _correlation(2, 6, 2)
    skew = R.copy()
    skew[0, 1] = np.nextafter(skew[0, 1], 1)
    assert len(correlation_threshold_path(skew)) == len(correlation_threshold_path(R))
