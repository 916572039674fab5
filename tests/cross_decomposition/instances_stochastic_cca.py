"""Instances of the exact and streaming canonical estimators for the common tests."""

import numpy as np

from skstruct.cross_decomposition import MultiviewCCA, StochasticCCA, StochasticPLS
from tests.instances import RankDesign, Spec

_KINDS = ("F", "strided", "readonly", "memmap", "float32", "int", "bool", "sparse")


def _pair(seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((60, 2)) * (1.5, 1.0)
    X = Z @ rng.standard_normal((2, 6)) + 0.7 * rng.standard_normal((60, 6))
    Y = Z @ rng.standard_normal((2, 5)) + 0.7 * rng.standard_normal((60, 5))
    return X, Y


def _stacked(seed=0):
    return np.hstack(_pair(seed)), None


def planted_views(seed, n, sizes, correlations):
    """Views whose k-th latent pair has the given correlation, in random directions."""
    rng = np.random.default_rng(seed)
    K = len(correlations)
    shared = rng.standard_normal((n, K))
    views = []
    for p in sizes:
        # Every view sees the shared scores through its own noise, then is mixed.
        X = rng.standard_normal((n, p))
        r = np.sqrt(correlations)
        X[:, :K] = r * shared + np.sqrt(1 - r**2) * X[:, :K]
        Q = np.linalg.qr(rng.standard_normal((p, p)))[0]
        views.append(X @ (Q * np.geomspace(1, 5, p)) @ Q.T)
    return views


def _two(n, sizes, correlations):
    def make(seed):
        X, Y = planted_views(seed, n, sizes, correlations)
        return X, Y, {}

    return make


def planted_factors(seed, n, sizes, strength):
    """Few strong shared factors in many columns with unit noise."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, len(strength))) * strength
    views = []
    for p in sizes:
        loadings = np.linalg.qr(rng.standard_normal((p, len(strength))))[0]
        views.append(Z @ loadings.T * np.sqrt(p) + rng.standard_normal((n, p)))
    return views


def _factors(n, sizes, strength):
    def make(seed):
        X, Y = planted_factors(seed, n, sizes, strength)
        return X, Y, {}

    return make


def _stacked_views(seed):
    views = planted_views(seed, 400, (12, 10, 8), (0.9, 0.8, 0.7))
    return np.hstack(views), None, {}


_GRID = {"n_components": range(1, 7)}
_THREE = {"n_components": 3}

INSTANCES = {
    StochasticCCA: Spec(
        factories=[
            lambda: StochasticCCA(1),
            lambda: StochasticCCA(1, reg=0.3, scale=False, scoring="ey"),
        ],
        data=_pair,
        kinds=_KINDS,
        outputs=("transform", "predict", "score"),
        rank_designs=[
            RankDesign(
                name="cca",
                make=_two(400, (12, 10), (0.9, 0.8, 0.7)),
                estimator=StochasticCCA,
                grid=_GRID,
                truth=_THREE,
            ),
            RankDesign(
                name="eckart-young-score",
                make=_two(400, (12, 10), (0.9, 0.8, 0.7)),
                estimator=lambda: StochasticCCA(scoring="ey"),
                grid=_GRID,
                truth=_THREE,
            ),
            RankDesign(
                name="ridge-wide",
                make=_factors(90, (150, 120), (1.0, 0.8, 0.6)),
                estimator=lambda: StochasticCCA(reg=0.3),
                grid=_GRID,
                truth=_THREE,
            ),
        ],
    ),
    StochasticPLS: Spec(
        factories=[lambda: StochasticPLS(1)],
        data=_pair,
        kinds=_KINDS,
        outputs=("transform", "predict", "score"),
        rank_designs=[
            RankDesign(
                name="pls",
                make=_factors(200, (30, 20), (1.0, 0.8, 0.6)),
                estimator=StochasticPLS,
                grid=_GRID,
                truth=_THREE,
            ),
        ],
    ),
    MultiviewCCA: Spec(
        factories=[
            lambda: MultiviewCCA(1),
            lambda: MultiviewCCA(1, reg=0.2),
        ],
        data=_stacked,
        kinds=_KINDS,
        outputs=("transform", "score"),
        rank_designs=[
            RankDesign(
                name="three-views",
                make=_stacked_views,
                estimator=lambda: MultiviewCCA(view_sizes=[12, 10, 8]),
                grid=_GRID,
                truth=_THREE,
            ),
        ],
    ),
}
