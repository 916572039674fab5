"""Generalised cumulants of a table and the weight matrix of their fit."""

# SPDX-License-Identifier: BSD-3-Clause

from dataclasses import dataclass

import numpy as np
from scipy import linalg

_BLOCK_ROWS = 2048
_SMALL_PHI = 0.1
_WORTH_THREADS = 1e7
# Rows from which the leverage is taken.
_LEVERAGE_ROWS = 10_000


@dataclass
class Moments:
    """Moments of a standardised table with the weight of their residuals.

    Moments are covariances, plain and tilted, between the columns of ``Z W``, which
    are uncorrelated: shrinking the covariance of the moments to its diagonal then
    costs nothing where columns of Z are nearly copies of each other.
    """

    c: np.ndarray
    H: np.ndarray
    H32: np.ndarray
    W: np.ndarray
    start: np.ndarray
    ea: np.ndarray
    eb: np.ndarray
    S: np.ndarray
    n: int
    tau: np.ndarray


def layout(p, kind):
    """Block starts and index pairs of the moments; kind "pair" or "all"."""
    pairs = [(a, b) for a in range(p) for b in range(a, p)]
    blocks = [pairs]
    for _ in range(2):
        for i in range(p):
            if kind == "pair":
                blocks.append([(a, b) for a, b in pairs if i in (a, b) or a == b])
            else:
                blocks.append(pairs)
    start = np.cumsum([0] + [len(b) for b in blocks])
    flat = np.array([pair for block in blocks for pair in block])
    return start, flat[:, 0].copy(), flat[:, 1].copy()


def moment_count(p, kind):
    """Number K of moments."""
    triangle = p * (p + 1) // 2
    if kind == "pair":
        return triangle + 2 * p * (2 * p - 1)
    return triangle * (1 + 2 * p)


def tilt_widths(Z, tau):
    """tau of every column, halved where the characteristic function is too small."""
    widths = np.full(Z.shape[1], float(tau))
    for i in range(Z.shape[1]):
        while abs(np.exp(1j * widths[i] * Z[:, i]).mean()) < _SMALL_PHI:
            widths[i] /= 2
    return widths


def sample_moments(Z, start, ea, eb, tau, W):
    """Moments c (K,) of a table with given tilts and W; columns need not be centred."""
    return _Tilts(Z, tau, W).moments(start, ea, eb)


def decorrelation(S):
    """Symmetric W: the columns of Z W are uncorrelated and near to those of Z."""
    d, V = linalg.eigh(S)
    return (V / np.sqrt(np.maximum(d, 1e-10 * d[-1]))) @ V.T


class _Tilts:
    """phi, mu and G of the sides ``Z W``, tilted by every column of Z."""

    def __init__(self, Z, tau, W=None):
        n, p = Z.shape
        self.Z, self.tau, self.mean = Z, tau, Z.mean(axis=0)
        X = Z - self.mean
        self.S = X.T @ X / n
        self.W = decorrelation(self.S) if W is None else W
        Y = X @ self.W
        self.plain = Y.T @ Y / n
        self.phi = np.empty(p, dtype=complex)
        self.mu = np.empty((p, p), dtype=complex)
        self.G = np.empty((p, p, p), dtype=complex)
        for i in range(p):
            o = np.exp(1j * tau[i] * X[:, i])
            self.phi[i] = o.mean()
            o /= self.phi[i]
            self.mu[i] = o @ Y / n
            second = (Y.T * o.real) @ Y / n + 1j * ((Y.T * o.imag) @ Y / n)
            self.G[i] = second - np.outer(self.mu[i], self.mu[i])

    def moments(self, start, ea, eb):
        p = self.Z.shape[1]
        c = np.empty(len(ea))
        c[: start[1]] = self.plain[ea[: start[1]], eb[: start[1]]]
        for i in range(p):
            for part, block in ((self.G[i].real, 1 + i), (self.G[i].imag, 1 + p + i)):
                where = slice(start[block], start[block + 1])
                c[where] = part[ea[where], eb[where]]
        return c

    def influence(self, rows, start, ea, eb, c):
        """Influence functions (K, rows) of a block of rows, rows of F contiguous."""
        X = (self.Z[rows] - self.mean).T.copy()
        sides = self.W @ X
        p = len(X)
        F = np.empty((len(ea), X.shape[1]))
        for k in range(start[1]):
            np.multiply(sides[ea[k]], sides[eb[k]], out=F[k])
            F[k] -= c[k]
        for i in range(p):
            o = np.exp(1j * self.tau[i] * X[i]) / self.phi[i]
            Y = sides - self.mu[i][:, None]
            oY = o * Y
            real, imag = start[1 + i], start[1 + p + i]
            for k in range(start[2 + i] - real):
                a, b = ea[real + k], eb[real + k]
                value = oY[a] * Y[b] - o * self.G[i][a, b]
                F[real + k] = value.real
                F[imag + k] = value.imag
        return F


def compute_moments(Z, kind, tau, pool=None):
    """Moments of a standardised table and H, the inverse of their shrunk covariance.

    The covariance of the influence functions is the one pass whose cost grows with the
    rows, n K^2 multiply-adds; blocks of rows bound its memory.
    """
    c, Sigma, place, tilts = _covariance(Z, kind, tau, pool)
    return _weighted(c, Sigma, place, tilts)


def compute_both(Z, tau, pool=None):
    """Moments of the kinds "pair" and "all" from one pass."""
    c, Sigma, place, tilts = _covariance(Z, "all", tau, pool)
    kept = pair_positions(Z.shape[1])
    some = np.ascontiguousarray(Sigma[np.ix_(kept, kept)])
    pair = _weighted(c[kept], some, layout(Z.shape[1], "pair"), tilts)
    return pair, _weighted(c, Sigma, place, tilts)


def pair_positions(p):
    """Where the moments of kind "pair" stand among those of kind "all"."""
    start, ea, eb = layout(p, "all")
    tilted = (np.repeat(np.arange(2 * p + 1), np.diff(start)) - 1) % p
    first = np.arange(len(ea)) < start[1]
    return np.flatnonzero(first | (ea == eb) | (ea == tilted) | (eb == tilted))


def _covariance(Z, kind, tau, pool):
    """Moments, the covariance of their influence functions, layout and tilts."""
    n, p = Z.shape
    place = layout(p, kind)
    tilts = _Tilts(Z, tau)
    c = tilts.moments(*place)
    K = len(c)
    starts = np.arange(0, n, _BLOCK_ROWS)
    # Two groups whatever the number of threads: the sums have one order.
    halves = [h for h in np.array_split(starts, 2) if len(h)]

    def accumulate(group):
        total = np.zeros((K, K))
        for first in group:
            F = tilts.influence(slice(first, min(first + _BLOCK_ROWS, n)), *place, c)
            total += F @ F.T
        return total

    Sigma = sum(_spread(accumulate, halves, pool, n * K**2)) / n
    return c, Sigma, place, tilts


def _weighted(c, Sigma, place, tilts):
    n = len(tilts.Z)
    H = _shrunk_inverse(Sigma, n)
    return Moments(c, H, H.astype(np.float32), tilts.W, *place, tilts.S, n, tilts.tau)


def weight_effects(Z, tau, M, J, W, pool=None):
    """Bias and variance of the estimates ``W c`` by rows that weight themselves.

    A row has a part in the moments and in the covariance that weights them: rows far
    out pull the estimates and are weighted down for it, which draws coefficients to
    zero. With f the influence function of a row and h its leverage in the covariance,
    leaving the row out of the weight of its own part amounts to the factor 1 / (1 - h)
    (Sherman-Morrison); bias and variance below are sums of that over the rows.

    Parameters
    ----------
    Z : ndarray of shape (n, p)
        The standardised table of the moments M.
    tau : ndarray of shape (p,)
    M : Moments
    J : ndarray of shape (m, K)
        Jacobian of the moments.
    W : ndarray of shape (m, K)
        ``(J H J')^-1 J H``.

    Returns
    -------
    bias, variance : ndarrays of shape (m,)
    """
    n = len(Z)
    K = len(M.c)
    step = -(-n // _LEVERAGE_ROWS)
    used = np.arange(0, n, step)
    share = n / (K + n) / n
    tilts = _Tilts(Z, tau, M.W)
    J32, W32 = J.astype(np.float32), W.astype(np.float32)

    def accumulate(group):
        bias, variance = np.zeros(len(J)), np.zeros(len(J))
        for first in group:
            rows = used[first : first + _BLOCK_ROWS]
            F = tilts.influence(rows, M.start, M.ea, M.eb, M.c).astype(np.float32)
            HF = M.H32 @ F
            D = W32 @ F
            h = share * np.einsum("kr,kr->r", F, HF, dtype=np.float64)
            fitted = share * np.einsum("kr,kr->r", J32 @ HF, D, dtype=np.float64)
            # At most twice: rows further out tell nothing of the others.
            factor = 1 / (1 - np.clip(h, 0.0, 0.5))
            bias -= D @ ((h - fitted) * factor)
            variance += (D * D) @ factor
        return bias, variance

    starts = np.arange(0, len(used), _BLOCK_ROWS)
    halves = [half for half in np.array_split(starts, 2) if len(half)]
    parts = _spread(accumulate, halves, pool, len(used) * K**2)
    bias, variance = (sum(part[k] for part in parts) / len(used) for k in range(2))
    return bias, variance / n


def _spread(task, parts, pool, size):
    """``task(part)`` for every part, in threads for large sizes."""
    spread = map if pool is None or size < _WORTH_THREADS else pool.map
    return list(spread(task, parts))


def _shrunk_inverse(Sigma, n):
    """Inverse of (1 - l) Sigma + l diag(Sigma), l = K / (K + n)."""
    K = len(Sigma)
    share = K / (K + n)
    diagonal = np.maximum(np.diag(Sigma), 1e-12)
    Sigma = np.triu(Sigma, 1) * (1 - share)
    scale = np.sqrt(diagonal)
    # In correlation form the factorisation does not see units.
    Sigma /= np.outer(scale, scale)
    Sigma[np.diag_indices(K)] = 1 + 1e-6
    factor = linalg.cholesky(Sigma, lower=False, overwrite_a=True, check_finite=False)
    inverse, _ = linalg.lapack.dpotri(factor, lower=0, overwrite_c=1)
    inverse = np.triu(inverse)
    inverse += np.triu(inverse, 1).T
    inverse /= np.outer(scale, scale)
    return np.ascontiguousarray(inverse)
