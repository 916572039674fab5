"""Loops over observed (or missing) entries of a matrix in CSR form.

Row-major factors: ``U[i]`` and ``V[j]`` are the contiguous vectors of row i and
column j, so one entry costs two short streams and no scatter.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit

_SUMS = {"fastmath": {"reassoc", "contract"}}


@jit(**_SUMS)
def residual_times(indptr, indices, data, U, V, out):
    """``out_i = sum_j (x_ij - u_i' v_j) v_j`` over the stored entries of each row.

    The residual is used where it is made and never stored. Give the transposed
    pattern and exchange `U` and `V` for the product from the other side. Two entries
    are taken at a time, which halves the reads and writes of the accumulator.

    Returns the sum of squared residuals.
    """
    rank = U.shape[1]
    u = np.empty(rank)
    total = 0.0
    for i in range(indptr.size - 1):
        acc = out[i]
        for k in range(rank):
            acc[k] = 0.0
            u[k] = U[i, k]
        row = 0.0
        t, end = indptr[i], indptr[i + 1]
        while t + 1 < end:
            v, w = V[indices[t]], V[indices[t + 1]]
            r, s = 0.0, 0.0
            for k in range(rank):
                r += u[k] * v[k]
                s += u[k] * w[k]
            r = data[t] - r
            s = data[t + 1] - s
            row += r * r + s * s
            for k in range(rank):
                acc[k] += r * v[k] + s * w[k]
            t += 2
        if t < end:
            v = V[indices[t]]
            r = 0.0
            for k in range(rank):
                r += u[k] * v[k]
            r = data[t] - r
            row += r * r
            for k in range(rank):
                acc[k] += r * v[k]
        total += row
    return total


@jit(**_SUMS)
def ridge_steps(
    indptr, indices, data, F, right, base, sign, share, strength, alpha, B, n_steps
):
    """Improve every row of B in its own ridge regression, in place.

    Row i minimises ``1/2 b' H b - c' b + alpha/2 b' b`` with
    ``H = base diag(strength) + sign sum_t f_t f_t'`` and
    ``c = right_i + sum_t x_t f_t``, where the sums run over the stored entries of the
    row and f_t are rows of F, whose columns are orthogonal with squared lengths
    `strength`. Observed entries: base 0, sign 1. Missing entries (x = 0): base 1,
    sign -1, with the dense product in `right`.

    Preconditioned conjugate gradients from the present row: the expected value of H,
    ``share_i diag(strength)``, is diagonal and close to H where entries are missing
    at random, so that one or two steps nearly solve it. Each step is exact along its
    direction, hence the objective never rises. The rows of F are gathered once into
    a buffer that stays in the first-level cache.

    Returns the sum over stored entries of ``(x - f' b)^2`` at the B that came in.
    """
    n, rank = B.shape
    longest = 0
    for i in range(n):
        longest = max(longest, indptr[i + 1] - indptr[i])
    gathered = np.empty((longest, rank))
    b, residual, z = np.empty(rank), np.empty(rank), np.empty(rank)
    p, Hp = np.empty(rank), np.empty(rank)
    total = 0.0
    for i in range(n):
        first = indptr[i]
        m = indptr[i + 1] - first
        for k in range(rank):
            b[k] = B[i, k]
            residual[k] = right[i, k] - (base * strength[k] + alpha) * b[k]
        row = 0.0
        for t in range(m):
            f, g = F[indices[first + t]], gathered[t]
            x = data[first + t]
            fitted = 0.0
            for k in range(rank):
                g[k] = f[k]
                fitted += f[k] * b[k]
            row += (x - fitted) ** 2
            pull = x - sign * fitted
            for k in range(rank):
                residual[k] += pull * g[k]
        total += row

        rz = 0.0
        for k in range(rank):
            z[k] = residual[k] / (share[i] * strength[k] + alpha + 1e-300)
            p[k] = z[k]
            rz += residual[k] * z[k]
        rz_first = rz
        for _ in range(n_steps):
            if not rz > 0.1 * rz_first:
                break
            for k in range(rank):
                Hp[k] = (base * strength[k] + alpha) * p[k]
            for t in range(m):
                g = gathered[t]
                along = 0.0
                for k in range(rank):
                    along += g[k] * p[k]
                along *= sign
                for k in range(rank):
                    Hp[k] += along * g[k]
            curvature = 0.0
            for k in range(rank):
                curvature += p[k] * Hp[k]
            if not curvature > 0.0:
                break
            length = rz / curvature
            rz_new = 0.0
            for k in range(rank):
                b[k] += length * p[k]
                residual[k] -= length * Hp[k]
                z[k] = residual[k] / (share[i] * strength[k] + alpha + 1e-300)
                rz_new += residual[k] * z[k]
            for k in range(rank):
                p[k] = z[k] + rz_new / rz * p[k]
            rz = rz_new
        for k in range(rank):
            B[i, k] = b[k]
    return total


@jit(**_SUMS)
def entry_products(rows, columns, U, V, out):
    """``out_t = u_i' v_j`` at coordinate pairs (i, j) = (rows_t, columns_t)."""
    rank = U.shape[1]
    for t in range(rows.size):
        u, v = U[rows[t]], V[columns[t]]
        r = 0.0
        for k in range(rank):
            r += u[k] * v[k]
        out[t] = r


@jit()
def rank_errors(rows, columns, x, T, V, offset, gain, low, high, errors):
    """Add to ``errors[k]`` the squared errors of the rank-k predictions.

    The rank-k prediction of entry (i, j) is ``offset_j + gain_j sum_(l<k) T_il V_jl``
    clipped to [low_j, high_j]; all ranks cost one pass over the entries.
    """
    rank = T.shape[1]
    for t in range(rows.size):
        i, j = rows[t], columns[t]
        total = 0.0
        for k in range(rank + 1):
            prediction = min(max(offset[j] + gain[j] * total, low[j]), high[j])
            errors[k] += (x[t] - prediction) ** 2
            if k < rank:
                total += T[i, k] * V[j, k]


@jit()
def standardise_rows(X, mean, inverse_scale, Z):
    """``Z = (X - mean) * inverse_scale``, zero where X is NaN."""
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            x = X[i, j]
            if np.isnan(x):
                Z[i, j] = 0.0
            else:
                Z[i, j] = (x - mean[j]) * inverse_scale[j]


@jit()
def finish_rows(out, X, mean, scale, low, high, keep_observed):
    """Undo the standardisation in place, clip, and keep observed entries if asked."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = min(max(out[i, j] * scale[j] + mean[j], low[j]), high[j])
    if keep_observed:
        # A loop of its own with a selection instead of a branch: which entries are
        # missing cannot be predicted.
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                x = X[i, j]
                out[i, j] = out[i, j] if np.isnan(x) else x


@jit()
def solve_row_systems(grams, ridge, right):
    """Solve ``(G_i + diag(ridge)) c_i = b_i`` for every row, in place of `right`.

    Parameters
    ----------
    grams : ndarray of shape (n, r (r + 1) / 2)
        Lower triangles by rows; overwritten by their Cholesky factors.
    ridge : ndarray of shape (r,)
    right : ndarray of shape (n, r)
    """
    n, r = right.shape
    for i in range(n):
        L, b = grams[i], right[i]
        for a in range(r):
            ia = a * (a + 1) // 2
            for c in range(a + 1):
                ic = c * (c + 1) // 2
                s = L[ia + c]
                if a == c:
                    s += ridge[a]
                for k in range(c):
                    s -= L[ia + k] * L[ic + k]
                if a == c:
                    # Without ridge a row with too few entries is singular: the
                    # direction it does not determine gets coefficient zero.
                    L[ia + a] = np.sqrt(s) if s > 1e-12 * (ridge[a] + 1.0) else np.inf
                else:
                    L[ia + c] = s / L[ic + c]
        for a in range(r):
            ia = a * (a + 1) // 2
            s = b[a]
            for k in range(a):
                s -= L[ia + k] * b[k]
            b[a] = s / L[ia + a]
        for a in range(r - 1, -1, -1):
            s = b[a]
            for k in range(a + 1, r):
                s -= L[k * (k + 1) // 2 + a] * b[k]
            b[a] = s / L[a * (a + 1) // 2 + a]
