"""Loops of robust flag PCA: weights of residuals, geometric median."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit


@jit()
def block_weights(T, norm2, starts, eps, reconstruction, scale, W, values):
    """Weights ``1 / max(r, eps)`` of every row, start and block.

    Parameters
    ----------
    T : ndarray of shape (n, b, k)
        Coordinates of the rows in the frames of b starts; multiplied by the weights
        of their block when `scale`.
    norm2 : ndarray of shape (n,)
        Squared norms of the rows.
    starts : ndarray of int of shape (n_blocks + 1,)
        First column of every block, and the number of columns.
    eps : float
    reconstruction : bool
        Whether r is the norm of the residual rather than of the coordinates.
    scale : bool
    W : ndarray of shape (n, b, n_blocks)
        Output.
    values : ndarray of shape (b,)
        Output: sums of the smoothed r.
    """
    n, n_starts, _ = T.shape
    n_blocks = starts.shape[0] - 1
    for b in range(n_starts):
        values[b] = 0.0
    for j in range(n):
        for b in range(n_starts):
            for i in range(n_blocks):
                s = 0.0
                for c in range(starts[i], starts[i + 1]):
                    s += T[j, b, c] * T[j, b, c]
                if reconstruction:
                    s = max(norm2[j] - s, 0.0)
                r = np.sqrt(s)
                if r > eps:
                    values[b] += r
                    w = 1.0 / r
                else:
                    values[b] += 0.5 * (s / eps + eps)
                    w = 1.0 / eps
                W[j, b, i] = w
                if scale:
                    for c in range(starts[i], starts[i + 1]):
                        T[j, b, c] *= w


@jit()
def nested_weights(T, norm2, gamma, eps, w):
    """Weights ``1 / max(r, eps)`` with ``r^2 = |x|^2 - sum_c gamma_c t_c^2``.

    Fills `w` and returns the sum of the smoothed r.
    """
    n, k = T.shape
    value = 0.0
    for j in range(n):
        s = norm2[j]
        for c in range(k):
            s -= gamma[c] * T[j, c] * T[j, c]
        s = max(s, 0.0)
        r = np.sqrt(s)
        if r > eps:
            value += r
            w[j] = 1.0 / r
        else:
            value += 0.5 * (s / eps + eps)
            w[j] = 1.0 / eps
    return value


@jit()
def weiszfeld_pass(X, center, eps, out):
    """One step of Weiszfeld's iteration into `out`; returns the sum of distances."""
    n, p = X.shape
    total, mass = 0.0, 0.0
    for c in range(p):
        out[c] = 0.0
    for j in range(n):
        s = 0.0
        for c in range(p):
            d = X[j, c] - center[c]
            s += d * d
        r = np.sqrt(s)
        total += r
        w = 1.0 / max(r, eps)
        mass += w
        for c in range(p):
            out[c] += w * (X[j, c] - center[c])
    for c in range(p):
        out[c] = center[c] + out[c] / mass
    return total
