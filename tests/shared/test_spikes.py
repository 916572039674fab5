"""Spike functions of random matrix theory against their formulas and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skstruct.random_matrix import (
    bbp_alignment,
    estimate_rank,
    spike_inverse,
    spike_shrink,
)


def forward(theta, beta):
    """Singular value of a spike in noise, normalised."""
    return np.sqrt((1 + theta**2) * (beta + theta**2)) / theta


@settings(max_examples=50, deadline=None)
@given(
    excess=st.floats(1e-3, 100),
    rows=st.integers(1, 400),
    columns=st.integers(1, 400),
    sigma=st.floats(1e-6, 1e6),
)
def test_inverse_undoes_the_inflation_by_noise(excess, rows, columns, sigma):
    beta = min(rows, columns) / max(rows, columns)
    theta = beta**0.25 + excess
    unit = sigma * np.sqrt(max(rows, columns))
    s = [min(unit * forward(theta, beta), 1e300)]
    assert_allclose(
        spike_inverse(s, (rows, columns), sigma=sigma), unit * theta, rtol=1e-6
    )


@pytest.mark.parametrize("shape", [(100, 300), (300, 100), (200, 200)])
def test_shrinkers_are_their_formulas(shape):
    beta = min(shape) / max(shape)
    theta = np.array([5.0, 2.0, 1.2 * beta**0.25])
    unit = 0.7 * np.sqrt(max(shape))
    s = unit * forward(theta, beta)
    shrink = {
        loss: spike_shrink(s, shape, sigma=0.7, loss=loss) / unit
        for loss in ("frobenius", "operator", "nuclear")
    }
    rows, columns = bbp_alignment(theta, shape)
    assert_allclose(shrink["operator"], theta)
    assert_allclose(shrink["frobenius"], theta * np.sqrt(rows * columns))
    y = s / unit
    t = y**2 - beta - 1
    assert_allclose(shrink["frobenius"], np.sqrt(t**2 - 4 * beta) / y)
    nuclear = (theta**4 - beta - np.sqrt(beta) * theta * y) / (theta**2 * y)
    assert_allclose(shrink["nuclear"], np.maximum(nuclear, 0))
    short, long = (rows, columns) if shape[0] <= shape[1] else (columns, rows)
    assert_allclose(short, 1 - beta * (1 + theta**2) / (theta**2 * (theta**2 + beta)))
    assert_allclose(long, 1 - (beta + theta**2) / (theta**2 * (theta**2 + 1)))


def test_nothing_is_left_up_to_the_edge():
    edge = np.sqrt(100) + np.sqrt(50)
    s = [edge * 1.001, edge, 0.5 * edge, 0.0]
    for loss in ("frobenius", "operator", "nuclear"):
        shrunk = spike_shrink(s, (100, 50), sigma=1.0, loss=loss)
        assert not shrunk[1:].any()
        assert np.isfinite(shrunk).all()
    assert spike_inverse(s, (100, 50), sigma=1.0)[0] > 0
    for theta in (0.0, 0.5**0.25):
        assert bbp_alignment(theta, (100, 50)) == (0.0, 0.0)
    assert bbp_alignment(np.inf, (100, 50)) == (1.0, 1.0)
    # Without noise nothing is shrunk.
    assert_allclose(spike_shrink([3.0, 0.0], (100, 50), sigma=0.0), [3, 0])


@pytest.mark.parametrize("shape", [(400, 200), (200, 400)])
def test_simulated_spikes(shape):
    rng = np.random.default_rng(0)
    theta = 1.5 * np.sqrt(max(shape))
    u, v = (rng.standard_normal(k) for k in shape)
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    X = theta * np.outer(u, v) + rng.standard_normal(shape)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    assert_allclose(spike_inverse(s, shape)[0], theta, rtol=0.05)
    rows, columns = bbp_alignment(1.5, shape)
    assert_allclose((U[:, 0] @ u) ** 2, rows, atol=0.06)
    assert_allclose((Vt[0] @ v) ** 2, columns, atol=0.06)
    assert not spike_inverse(s, shape)[3:].any()


def test_frobenius_shrinkage_beats_keeping_and_other_losses():
    rng = np.random.default_rng(1)
    U = np.linalg.qr(rng.standard_normal((150, 3)))[0]
    V = np.linalg.qr(rng.standard_normal((250, 3)))[0]
    truth = (U * np.array([40.0, 30.0, 20.0])) @ V.T
    X = truth + rng.standard_normal(truth.shape)
    L, s, Rt = np.linalg.svd(X, full_matrices=False)

    def error(values):
        return np.linalg.norm((L * values) @ Rt - truth)

    best = error(spike_shrink(s, X.shape, sigma=1.0))
    assert best < error(spike_shrink(s, X.shape, sigma=1.0, loss="operator"))
    assert best < error(np.where(np.arange(150) < 3, s, 0))
    assert best < error(spike_shrink(s, X.shape, sigma=1.0, loss="nuclear"))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_everything_scales_with_the_data(scale):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 50)) + np.outer(np.ones(80), rng.standard_normal(50))
    s = np.linalg.svd(X, compute_uv=False)
    assert_allclose(spike_shrink(scale * s, X.shape), scale * spike_shrink(s, X.shape))
    assert estimate_rank(scale * X) == estimate_rank(X) == 1
    assert estimate_rank(scale * X.T) == 1


def test_rank_of_noise_and_of_planted_signals():
    wrong_default = wrong_strict = 0
    for seed in range(40):
        noise = np.random.default_rng(seed).standard_normal((100, 60))
        wrong_default += estimate_rank(noise) > 0
        wrong_strict += estimate_rank(noise, eps=None) > 0
    assert wrong_default <= 8  # some 5-8 %
    assert wrong_strict <= 2  # 1 %: more than two has probability .8 %
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((100, 4)) @ rng.standard_normal((4, 60))
    X = signal + rng.standard_normal(signal.shape)
    for options in ({}, {"sigma": 1.0}, {"eps": None}, {"method": "permutation"}):
        assert estimate_rank(X, random_state=0, **options) == 4
    # Noise-free: rounding errors do not count.
    assert estimate_rank(signal) == 4
    assert estimate_rank(np.ones((5, 3))) == 1


def test_permutation_withstands_heavy_tails_and_unequal_columns():
    edge = shuffled = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        noise = rng.standard_t(3, (200, 60)) * np.linspace(0.3, 2, 60)
        X = noise + 1.5 * np.outer(rng.standard_normal(200), np.ones(60))
        edge += estimate_rank(X) == 1
        shuffled += estimate_rank(X, method="permutation", random_state=seed) == 1
    assert edge == 0  # counts the loud columns as signals
    assert shuffled >= 4


def test_bad_arguments_are_named():
    X = np.random.default_rng(0).standard_normal((6, 4))
    s = np.linalg.svd(X, compute_uv=False)
    for function in (spike_shrink, spike_inverse):
        with pytest.raises(ValueError, match="negative entry"):
            function([-1.0], X.shape, sigma=1.0)
        with pytest.raises(ValueError, match="needs all 4 singular values, got 2"):
            function(s[:2], X.shape)
        with pytest.raises(ValueError, match="sigma == -1"):
            function(s, X.shape, sigma=-1)
        with pytest.raises(ValueError, match="two positive integers"):
            function(s, (4, 5, 6), sigma=1.0)
    with pytest.raises(ValueError, match="loss='l1' must be"):
        spike_shrink(s, X.shape, loss="l1")
    with pytest.raises(ValueError, match="theta=-1.0 must be nonnegative"):
        bbp_alignment(-1.0, (4, 5))
    with pytest.raises(ValueError, match="method='guess' must be"):
        estimate_rank(X, method="guess")
    with pytest.raises(ValueError, match="eps == -1"):
        estimate_rank(X, eps=-1)
    with pytest.raises(ValueError, match="n_permutations == 0"):
        estimate_rank(X, method="permutation", n_permutations=0)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimate_rank(np.full((3, 3), np.nan))
