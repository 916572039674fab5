"""Tilted cumulants of a pair: derivatives of the log characteristic function.

At t they are cumulants under the weights ``o = exp(i t'x) / mean(exp(i t'x))``, sums
over all higher orders with bounded weights. Sources stay additive and the loadings
multilinear, so that they obey the recurrences of plain cumulants.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from ._moments import tilt_widths

_BLOCK_ROWS = 8192
_ORDERS = [(n - b, b) for n in (2, 3, 4) for b in range(n + 1)]
_PAIRINGS = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))


def tilted_cumulants(Z, tau):
    """Cumulants of orders 2 to 4 without tilt and tilted along x and along z.

    Parameters
    ----------
    Z : ndarray of shape (n, 2)
        Standardised.
    tau : float

    Returns
    -------
    c : ndarray of shape (60,)
        Five parts: no tilt; real, imaginary part with tilt along x; the same along z.
        In a part order by order, ``C(x repeated n - l times, z repeated l times)``.
    Sigma : ndarray of shape (60, 60)
        n times their covariance, from the influence functions.
    """
    widths = tilt_widths(Z, tau)
    tilts = [(0.0, 0.0), (widths[0], 0.0), (0.0, widths[1])]
    prepared = [_weighted(Z, tilt) for tilt in tilts]
    moments = [_moments(*parts) for parts in prepared]
    c = np.concatenate(
        [_parts(np.array([_cumulant(m, *ab) for ab in _ORDERS]), k)
         for k, m in enumerate(moments)]
    )  # fmt: skip
    Sigma = np.zeros((len(c), len(c)))
    for start in range(0, len(Z), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        F = np.concatenate(
            [_parts(_influence(o[rows], X[:, rows], m), k)
             for k, ((o, X), m) in enumerate(zip(prepared, moments))]
        )  # fmt: skip
        Sigma += F @ F.T
    return c, Sigma / len(Z)


def mirrored_positions():
    """Positions of the cumulants after the columns change places."""
    part = [_ORDERS.index((b, a)) for a, b in _ORDERS]
    return np.concatenate([12 * k + np.array(part) for k in (0, 3, 4, 1, 2)])


def _parts(values, tilt):
    return np.concatenate([values.real, values.imag]) if tilt else values.real


def _weighted(Z, tilt):
    """Weights o (n,) and columns centred under them (2, n)."""
    o = np.exp(1j * (Z @ tilt))
    o /= o.mean()
    X = Z.T - (o @ Z / len(Z))[:, None]
    return o, X


def _moments(o, X):
    """Moments m[a, b] of orders 0 to 4."""
    m = np.zeros((5, 5), dtype=complex)
    m[0, 0] = 1.0
    powers = _powers(X)
    for a, b in _ORDERS:
        m[a, b] = (o * powers[0][a]) @ powers[1][b] / len(o)
    return m


def _powers(X):
    """Powers 0 to 4 of both columns."""
    return [(np.ones_like(x), x, x * x, x * x * x, (x * x) ** 2) for x in X]


def _splits(a, b):
    """The three ways to pair the four arguments of order 4."""
    kind = [0] * a + [1] * b
    for pairing in _PAIRINGS:
        ones = [kind[s] + kind[t] for s, t in pairing]
        yield [(2 - count, count) for count in ones]


def _cumulant(m, a, b):
    value = m[a, b]
    if a + b == 4:
        value = value - sum(m[first] * m[second] for first, second in _splits(a, b))
    return value


def _influence(o, X, m):
    """Influence functions (12, rows) of the cumulants."""
    powers = _powers(X)
    ox = [o * power for power in powers[0]]
    oz = o * X[1]
    F = {}
    for a, b in _ORDERS:
        f = ox[a] * powers[1][b] - m[a, b] * o
        if a:
            f -= a * m[a - 1, b] * ox[1]
        if b:
            f -= b * m[a, b - 1] * oz
        F[a, b] = f
    for a, b in _ORDERS:
        if a + b == 4:
            for first, second in _splits(a, b):
                F[a, b] = F[a, b] - m[first] * F[second] - m[second] * F[first]
    return np.array([F[ab] for ab in _ORDERS])
