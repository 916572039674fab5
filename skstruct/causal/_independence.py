"""Tests of independence of two columns."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np
from scipy.stats import chi2, gamma

_FEATURES = 50
_HSIC_ROWS = 2000
_LIGHT_TAILS = 2.0


class IndependenceTest:
    """One set of random features for all tests of a fit.

    Parameters
    ----------
    kind : {"auto", "rff", "cumulant", "hsic"}
        "rff": random Fourier features, linear in n. "cumulant": all cross-cumulants to
        order 4 are zero; strong for light tails. "auto": the smaller of both
        (Bonferroni) when the average excess kurtosis is below 2, else "rff". "hsic":
        Gaussian kernel with the gamma approximation on at most 2,000 rows.
    rng : RandomState
    """

    def __init__(self, kind, rng):
        self.kind = kind
        # The same features for every variable: results do not depend on their order.
        self.w = rng.standard_normal(_FEATURES)
        self.u = rng.uniform(0, 2 * np.pi, _FEATURES)

    def features(self, x):
        """Centred random features (n, 50) of a column."""
        z = (x - x.mean()) / max(x.std(), 1e-300)
        F = np.cos(np.outer(z, self.w) + self.u)
        F *= np.sqrt(2 / _FEATURES)
        return F - F.mean(axis=0)

    def __call__(self, x, z, slope_estimated=False):
        """p-value of independence; one degree less if x is a residual on z."""
        if self.kind == "hsic":
            return hsic_p_value(x, z)
        light = False
        if self.kind == "auto":
            kurtosis = [np.mean((v - v.mean()) ** 4) / v.var() ** 2 - 3 for v in (x, z)]
            light = np.mean(kurtosis) < _LIGHT_TAILS
        p = []
        if self.kind in ("auto", "rff"):
            p.append(gamma_p_value(self.features(x), self.features(z)))
        if self.kind == "cumulant" or light:
            p.append(cumulant_p_value(x, z, slope_estimated))
        return min(1.0, len(p) * min(p))


def gamma_p_value(F, G):
    """Gamma approximation of the null distribution of ``n ||F'G / n||^2``."""
    n = len(F)
    statistic = np.sum((F.T @ G) ** 2) / n
    Sf, Sg = F.T @ F / n, G.T @ G / n
    mean = np.trace(Sf) * np.trace(Sg)
    variance = 2 * np.sum(Sf**2) * np.sum(Sg**2)
    return float(gamma.sf(statistic, mean**2 / variance, scale=variance / mean))


def cumulant_p_value(x, z, slope_estimated):
    """J test that the cross-cumulants of orders to 4 vanish.

    After a regression of x on z the slope is a parameter of the test.
    """
    from ._kernels import pair_hypotheses

    columns = np.column_stack([z, x])
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    if slope_estimated:
        # Adding z back makes "x - slope z is independent of z" a recurrence.
        columns[:, 1] = (columns[:, 1] + columns[:, 0]) / np.sqrt(2)
    powers = [columns**a for a in range(9)]
    raw = np.zeros((9, 9))
    for a in range(9):
        for b in range(9 - a):
            raw[a, b] = powers[a][:, 0] @ powers[b][:, 1] / len(x)
    J, dof, _, _ = pair_hypotheses(raw, len(x), 4, 2)
    row = 1 if slope_estimated else 0
    return float(chi2.sf(J[row], dof[row]))


def hsic_p_value(x, z):
    """Hilbert-Schmidt independence with Gaussian kernels of median width."""
    step = -(-len(x) // _HSIC_ROWS)
    K, L = (_kernel(v[::step]) for v in (x, z))
    n = len(K)
    Kc = K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()
    Lc = L - L.mean(axis=0) - L.mean(axis=1)[:, None] + L.mean()
    statistic = np.sum(Kc * Lc) / n
    products = (Kc * Lc / 6) ** 2
    variance = (products.sum() - np.trace(products)) / n / (n - 1)
    variance *= 72 * (n - 4) * (n - 5) / n / (n - 1) / (n - 2) / (n - 3)
    mean_k = (K.sum() - np.trace(K)) / n / (n - 1)
    mean_l = (L.sum() - np.trace(L)) / n / (n - 1)
    mean = (1 + mean_k * mean_l - mean_k - mean_l) / n
    shape, scale = mean**2 / variance, variance * n / mean
    return float(gamma.sf(statistic, shape, scale=scale))


def _kernel(x):
    distance = (x[:, None] - x[None, :]) ** 2
    off = distance[np.triu_indices(len(x), 1)]
    width = np.median(off[off > 0]) if np.any(off > 0) else 1.0
    return np.exp(-distance / width)
