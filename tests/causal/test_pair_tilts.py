"""Tilted cumulants of a pair, and what CumulantPairwise makes of them."""

from itertools import product

import numpy as np
import pytest

from skstruct.causal import CumulantPairwise
from skstruct.causal._pair_tilts import mirrored_positions, tilted_cumulants
from skstruct.datasets import make_latent_lingam
from tests.reference.causal import cumulant

_TILTS = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]


def _oracle(Z, weights):
    """The 60 cumulants from weighted raw moments and set partitions."""
    c = []
    for tilt in _TILTS:
        o = np.exp(1j * Z @ tilt) * weights
        o /= o.sum()
        values = [
            cumulant(
                lambda block, o=o: o @ np.prod(Z[:, block], axis=1), [0] * a + [1] * b
            )
            for a, b in ((n - b, b) for n in (2, 3, 4) for b in range(n + 1))
        ]
        c.append(np.real(values))
        if any(tilt):
            c.append(np.imag(values))
    return np.concatenate(c)


def _table(n, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.exponential(size=(n, 2)) @ np.array([[1, 0.6], [0, 1]])
    return (Z - Z.mean(axis=0)) / Z.std(axis=0)


def test_tilted_cumulants_equal_the_partition_sum():
    Z = _table(200)
    c, _ = tilted_cumulants(Z, 1.0)
    np.testing.assert_allclose(c, _oracle(Z, np.ones(200)), rtol=1e-9, atol=1e-11)


def test_covariance_is_that_of_the_derivatives_by_the_weights_of_rows():
    Z = _table(40)
    _, Sigma = tilted_cumulants(Z, 1.0)
    F = []
    for row in range(40):
        ends = []
        for step in (1e-5, -1e-5):
            weights = np.ones(40)
            weights[row] += step
            ends.append(_oracle(Z, weights))
        # A weight of 1 + e is a share of e / n more.
        F.append((ends[0] - ends[1]) / 2e-5 * 40)
    want = np.transpose(F) @ np.array(F) / 40
    np.testing.assert_allclose(Sigma, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def test_columns_may_change_places():
    Z = _table(300)
    c, Sigma = tilted_cumulants(Z, 1.0)
    turned, other = tilted_cumulants(Z[:, ::-1], 1.0)
    turn = mirrored_positions()
    np.testing.assert_allclose(turned, c[turn], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(other, Sigma[np.ix_(turn, turn)], atol=1e-8)


def test_recurrences_hold_exactly_for_independent_sources():
    # All combinations of three values of each source: independent without noise.
    values = np.array([-1.0, 0.2, 1.7])
    L, x, y = np.array(list(product(values, values**2, values**3))).T
    a, b, c = 0.8, -0.6, 0.7

    def parts(x, y):
        Z = np.column_stack([x - x.mean(), y - y.mean()])
        return tilted_cumulants(Z / Z.std(axis=0), 1.0)[0].reshape(5, 12)

    for part in parts(x + a * L, y + b * L):
        # One shared source: geometric sequences inside, of one ratio.
        third, fourth = part[3:7], part[7:]
        ratio = third[2] / third[1]
        np.testing.assert_allclose(fourth[2:4], ratio * fourth[1:3], rtol=1e-9)
    x = x + a * L
    Z = parts(x, y + b * L + c * x)
    # Two shared sources and no private one of x: a recurrence from l = 0 on.
    rows = [part[s : s + 3] for part in Z for s in (3, 7, 8)]
    assert np.linalg.svd(rows, compute_uv=False)[2] < 1e-12 * np.abs(rows).max()


@pytest.mark.parametrize(("noise", "n"), [("laplace", 20_000), ("uniform", 2000)])
def test_direction_beside_a_latent_with_symmetric_noise(noise, n):
    given = []
    for seed in range(40):
        rng = np.random.RandomState(seed)
        a, b, c = rng.uniform(0.5, 1, 3) * rng.choice([-1, 1], 3)
        draw = make_latent_lingam(
            n_samples=3 * n, n_features=2, n_latents=0, noise=noise, random_state=rng
        )
        E = draw.X @ (np.eye(2) - draw.adjacency_matrix).T
        L, x, y = E[:, 0].reshape(3, n)
        x = x + a * L
        X = np.column_stack([x, y + b * L + c * x])
        found = CumulantPairwise().fit(X).direction_
        if found:
            given.append(found == "x->y")
    assert np.mean(given) >= 0.95
    assert len(given) >= 25


def test_without_tilt_the_plain_cumulants_decide():
    rng = np.random.default_rng(0)
    L, x, y = rng.exponential(size=(3, 5000))
    X = np.column_stack([x + L, y + 0.8 * L])
    plain, tilted = (CumulantPairwise(tau=tau).fit(X) for tau in (0, 1.0))
    assert plain.structure_ == tilted.structure_ == "latent"
    assert plain.j_statistics_["independent"] == tilted.j_statistics_["independent"]
    assert plain.j_statistics_["latent"] != tilted.j_statistics_["latent"]
