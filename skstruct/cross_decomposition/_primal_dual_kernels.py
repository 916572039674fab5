"""Loops of the primal-dual program: coordinate descent and products of few columns.

A column of X, and of the symmetric kernel K, is a contiguous row of the arrays here.
"""

# SPDX-License-Identifier: BSD-3-Clause

from .._jit import jit

_SUMS = {"fastmath": {"reassoc", "contract"}}


@jit(**_SUMS)
def descend(X, x_squares, w, K, k_squares, chosen, e, r, mu, gamma, tau, tol, max_pass):
    """Cyclic coordinate descent on some columns of X and of K, in place.

    Minimises ``||r||^2 + mu ||w||_1 + gamma sum_chosen e_j`` with
    ``r = tau X w - (1 - tau) K e`` over w and over ``e_j`` in [0, 1] for the chosen j.
    Every coordinate is minimised exactly, so the objective never rises.

    Parameters
    ----------
    X : (m, n), the columns in play; x_squares : (m,), their squared lengths, positive
    w : (m,), changed
    K : (n, n); k_squares : (n,), squared lengths, positive for the chosen ones
    chosen : (c,), indices into e
    e : (n,), changed
    r : (n,), the residual, kept up to date
    tol : stop when the sum of ``L_j d_j^2`` of a pass over all is at most this
    max_pass : largest number of passes

    Returns
    -------
    n_pass : number of passes
    """
    n = r.size
    for n_pass in range(1, max_pass + 1):
        change = 0.0
        for a in range(w.size):
            x = X[a]
            L = 2.0 * tau * tau * x_squares[a]
            product = 0.0
            for i in range(n):
                product += x[i] * r[i]
            z = L * w[a] - 2.0 * tau * product
            new = 0.0
            if z > mu:
                new = (z - mu) / L
            elif z < -mu:
                new = (z + mu) / L
            d = new - w[a]
            if d != 0.0:
                w[a] = new
                change += L * d * d
                d *= tau
                for i in range(n):
                    r[i] += d * x[i]
        for b in range(chosen.size):
            j = chosen[b]
            x = K[j]
            L = 2.0 * (1.0 - tau) * (1.0 - tau) * k_squares[j]
            product = 0.0
            for i in range(n):
                product += x[i] * r[i]
            new = e[j] + (2.0 * (1.0 - tau) * product - gamma) / L
            new = min(max(new, 0.0), 1.0)
            d = new - e[j]
            if d != 0.0:
                e[j] = new
                change += L * d * d
                d *= 1.0 - tau
                for i in range(n):
                    r[i] -= d * x[i]
        if change <= tol:
            return n_pass
    return max_pass


@jit(**_SUMS)
def dense_products(X, columns, v, out):
    """``out_a = X[columns_a]' v``."""
    for a in range(columns.size):
        x = X[columns[a]]
        product = 0.0
        for i in range(v.size):
            product += x[i] * v[i]
        out[a] = product


@jit(**_SUMS)
def sparse_products(indptr, indices, data, columns, v, out):
    """As :func:`dense_products`, for rows in compressed form."""
    for a in range(columns.size):
        product = 0.0
        for t in range(indptr[columns[a]], indptr[columns[a] + 1]):
            product += data[t] * v[indices[t]]
        out[a] = product
