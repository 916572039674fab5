"""Loops of the RESCAL models.

Relations are stored as (k, k, m), slices last: the same coordinate of many slices is
one contiguous vector, so that coordinate descent, which is sequential within a slice,
still runs at the width of the vector unit. Entities are handled the same way as
(k, n).
"""

# SPDX-License-Identifier: BSD-3-Clause

import math

import numpy as np

from .._jit import jit

_SUMS = {"fastmath": {"reassoc", "contract"}}
_WIDTH = 64


@jit(**_SUMS)
def relation_sweeps(B, G1, G2, R, ridge, n_sweeps, symmetric, tol):
    """Cyclic coordinate descent for nonnegative relations, in place.

    Every slice minimises ``1/2 <G1 R G2, R> - <B, R> + ridge/2 <R, R>`` over R >= 0.
    ``T = R G2`` is kept up to date, so one coordinate costs 2 k multiply-adds.

    Parameters
    ----------
    B, R : (k, k, m) arrays
    G1, G2 : (k, k) symmetric arrays
    ridge : float
    n_sweeps : int
    symmetric : bool
        Replace R by the mean with its transpose after each sweep (G1 = G2 and
        symmetric B: by convexity the objective does not rise).
    tol : float
        Stop early when no coordinate of a slice moves by more than this share of the
        slice's largest, in the metric of the Gram diagonals; 0 makes all sweeps.
    """
    k, _, m = R.shape
    # A block of slices is worked on in buffers of its own: plain indices let the
    # loops over w become vector instructions.
    T = np.empty((k, k, _WIDTH))
    r = np.empty((k, k, _WIDTH))
    target = np.empty((k, k, _WIDTH))
    g = np.empty(_WIDTH)
    moved = np.empty(_WIDTH)
    size = np.empty(_WIDTH)
    for lo in range(0, m, _WIDTH):
        width = min(_WIDTH, m - lo)
        for a in range(k):
            for b in range(k):
                for w in range(width):
                    r[a, b, w] = R[a, b, lo + w]
                    target[a, b, w] = B[a, b, lo + w]
        _times_gram(r, G2, T, width)
        for _ in range(n_sweeps):
            for w in range(width):
                moved[w] = 0.0
                size[w] = 0.0
            for a in range(k):
                for b in range(k):
                    bend = G1[a, a] * G2[b, b] + ridge
                    if not bend > 0.0:
                        continue
                    unit = math.sqrt(bend)
                    for w in range(width):
                        g[w] = target[a, b, w] - ridge * r[a, b, w]
                    c = 0
                    # Four rows at a time: g is read and written a quarter as often.
                    while c + 3 < k:
                        x0, x1, x2, x3 = (
                            G1[a, c],
                            G1[a, c + 1],
                            G1[a, c + 2],
                            G1[a, c + 3],
                        )
                        for w in range(width):
                            g[w] -= (x0 * T[c, b, w] + x1 * T[c + 1, b, w]) + (
                                x2 * T[c + 2, b, w] + x3 * T[c + 3, b, w]
                            )
                        c += 4
                    while c < k:
                        x0 = G1[a, c]
                        for w in range(width):
                            g[w] -= x0 * T[c, b, w]
                        c += 1
                    inverse = 1.0 / bend
                    for w in range(width):
                        old = r[a, b, w]
                        new = max(old + g[w] * inverse, 0.0)
                        r[a, b, w] = new
                        g[w] = new - old
                    if tol > 0.0:
                        for w in range(width):
                            moved[w] = max(moved[w], abs(g[w]) * unit)
                            size[w] = max(size[w], r[a, b, w] * unit)
                    for c in range(k):
                        x0 = G2[b, c]
                        for w in range(width):
                            T[a, c, w] += x0 * g[w]
            if symmetric:
                for a in range(k):
                    for b in range(a):
                        for w in range(width):
                            mean = 0.5 * (r[a, b, w] + r[b, a, w])
                            r[a, b, w] = mean
                            r[b, a, w] = mean
                _times_gram(r, G2, T, width)
            if tol > 0.0:
                done = True
                for w in range(width):
                    done = done and moved[w] <= tol * size[w]
                if done:
                    break
        for a in range(k):
            for b in range(k):
                for w in range(width):
                    R[a, b, lo + w] = r[a, b, w]


@jit(**_SUMS)
def _times_gram(r, G, T, width):
    k = G.shape[0]
    for a in range(k):
        for b in range(k):
            for w in range(width):
                T[a, b, w] = 0.0
            for c in range(k):
                x = G[c, b]
                for w in range(width):
                    T[a, b, w] += r[a, c, w] * x


@jit(**_SUMS)
def entity_sweeps(F, E, Z, n_sweeps, tol):
    """Cyclic coordinate descent for nonnegative entity rows, in place.

    Every column z of Z minimises ``1/2 z' E z - f' z`` over z >= 0.

    Parameters
    ----------
    F, Z : (k, n) arrays
    E : (k, k) symmetric array
    n_sweeps : int
    tol : float
        As in :func:`relation_sweeps`.
    """
    k, n = Z.shape
    g = np.empty(_WIDTH)
    moved = np.empty(_WIDTH)
    size = np.empty(_WIDTH)
    for lo in range(0, n, _WIDTH):
        width = min(_WIDTH, n - lo)
        for _ in range(n_sweeps):
            for w in range(width):
                moved[w] = 0.0
                size[w] = 0.0
            for c in range(k):
                if not E[c, c] > 0.0:
                    continue
                inverse = 1.0 / E[c, c]
                unit = math.sqrt(E[c, c])
                for w in range(width):
                    g[w] = F[c, lo + w]
                for a in range(k):
                    x = E[a, c]
                    if x != 0.0:
                        for w in range(width):
                            g[w] -= x * Z[a, lo + w]
                for w in range(width):
                    old = Z[c, lo + w]
                    new = old + g[w] * inverse
                    new = new if new > 0.0 else 0.0
                    Z[c, lo + w] = new
                    d = abs(new - old) * unit
                    moved[w] = d if d > moved[w] else moved[w]
                    new *= unit
                    size[w] = new if new > size[w] else size[w]
            done = True
            for w in range(width):
                done = done and moved[w] <= tol * size[w]
            if done:
                break


@jit()
def minimise_quartic(c1, c2, c3, c4, upper):
    """Minimiser of ``c1 t + c2 t^2 + c3 t^3 + c4 t^4`` over 0 <= t <= upper.

    The derivative is monotone between its own turning points; in each such piece it
    has at most one root, which is bracketed and found by Newton steps that fall back
    to bisection.

    Returns
    -------
    t, value : float
        ``(0, 0)`` when no step lowers the polynomial.
    """
    ends = np.empty(4)
    ends[0] = 0.0
    n_ends = 1
    # Turning points of the derivative: 2 c2 + 6 c3 t + 12 c4 t^2 = 0.
    qa, qb, qc = 12.0 * c4, 6.0 * c3, 2.0 * c2
    disc = qb * qb - 4.0 * qa * qc
    first, second = -1.0, -1.0
    if disc > 0.0:
        q = -0.5 * (qb + math.copysign(math.sqrt(disc), qb))
        if qa != 0.0:
            first = q / qa
        if q != 0.0:
            second = qc / q
    low, high = min(first, second), max(first, second)
    if 0.0 < low < upper:
        ends[n_ends] = low
        n_ends += 1
    if 0.0 < high < upper and high > low:
        ends[n_ends] = high
        n_ends += 1
    ends[n_ends] = upper
    n_ends += 1

    best_t, best = 0.0, 0.0
    for trial in (1.0, upper):
        if trial <= upper:
            value = trial * (c1 + trial * (c2 + trial * (c3 + trial * c4)))
            if value < best:
                best_t, best = trial, value
    for piece in range(n_ends - 1):
        lo, hi = ends[piece], ends[piece + 1]
        slope_lo = c1 + lo * (2 * c2 + lo * (3 * c3 + lo * 4 * c4))
        slope_hi = c1 + hi * (2 * c2 + hi * (3 * c3 + hi * 4 * c4))
        # A minimum needs a slope that goes from negative to positive.
        if slope_lo >= 0.0 or slope_hi <= 0.0:
            continue
        t = 0.5 * (lo + hi)
        for _ in range(80):
            slope = c1 + t * (2 * c2 + t * (3 * c3 + t * 4 * c4))
            if slope < 0.0:
                lo = t
            else:
                hi = t
            bend = 2 * c2 + t * (6 * c3 + t * 12 * c4)
            step = t - slope / bend if bend > 0.0 else lo - 1.0
            if not lo < step < hi:
                step = 0.5 * (lo + hi)
            if abs(step - t) <= 1e-15 * step:
                break
            t = step
        value = t * (c1 + t * (c2 + t * (c3 + t * c4)))
        if value < best:
            best_t, best = t, value
    return best_t, best


@jit(**_SUMS)
def cell_values(slices, rows, columns, A, R, out):
    """``out_c = a_i' R_t a_j`` for cells sorted by slice and row.

    Parameters
    ----------
    slices, rows, columns : (n_cells,) integer arrays
    A : (n, k) array
    R : (k, k, m) array
    out : (n_cells,) array
    """
    k = A.shape[1]
    left = np.empty(k)
    last_t, last_i = -1, -1
    for c in range(slices.size):
        t, i, j = slices[c], rows[c], columns[c]
        if t != last_t or i != last_i:
            for b in range(k):
                left[b] = 0.0
            for a in range(k):
                x = A[i, a]
                if x != 0.0:
                    for b in range(k):
                        left[b] += x * R[a, b, t]
            last_t, last_i = t, i
        total = 0.0
        for b in range(k):
            total += left[b] * A[j, b]
        out[c] = total


@jit(**_SUMS)
def correct_products(slices, rows, columns, change, A, P, Q):
    """Add ``change_c`` at each cell (t, i, j) to ``P_t = X_t A`` and ``Q_t = X_t' A``.

    Parameters
    ----------
    slices, rows, columns, change : (n_cells,) arrays
    A : (n, k) array
    P, Q : (n, m, k) arrays, any strides
    """
    k = A.shape[1]
    for c in range(slices.size):
        t, i, j, x = slices[c], rows[c], columns[c], change[c]
        if x != 0.0:
            for a in range(k):
                P[i, t, a] += x * A[j, a]
                Q[j, t, a] += x * A[i, a]


@jit(**_SUMS)
def sparse_rows(indptr, indices, data, A, out):
    """``out_r = sum_j x_rj a_j`` over the stored entries of each non-empty row."""
    k = A.shape[1]
    for r in range(indptr.size - 1):
        start, end = indptr[r], indptr[r + 1]
        x, j = data[start], indices[start]
        for a in range(k):
            out[r, a] = x * A[j, a]
        for c in range(start + 1, end):
            x, j = data[c], indices[c]
            for a in range(k):
                out[r, a] += x * A[j, a]


@jit(**_SUMS)
def sparse_pull(bounds, entity, P, R, F):
    """``F_i += sum_b R_t[b] p_rb`` for each non-empty row r = (t, i).

    Rows are taken in blocks of slice t, transposed into a buffer, so that the k^2
    multiply-adds of a row run side by side for the rows of the block.

    Parameters
    ----------
    bounds : (m + 1,) array
        Rows ``bounds[t]:bounds[t + 1]`` belong to slice t.
    entity : (n_rows,) array
    P : (n_rows, k) array
    R : (m, k, k) array
        ``R[t, b, a]`` multiplies ``p_rb`` into ``F_ia``.
    F : (n, k) array, added to
    """
    k = P.shape[1]
    p = np.empty((k, _WIDTH))
    f = np.empty(_WIDTH)
    for t in range(bounds.size - 1):
        for lo in range(bounds[t], bounds[t + 1], _WIDTH):
            width = min(_WIDTH, bounds[t + 1] - lo)
            for w in range(width):
                for b in range(k):
                    p[b, w] = P[lo + w, b]
            for a in range(k):
                x = R[t, 0, a]
                for w in range(width):
                    f[w] = x * p[0, w]
                for b in range(1, k):
                    x = R[t, b, a]
                    for w in range(width):
                        f[w] += x * p[b, w]
                for w in range(width):
                    F[entity[lo + w], a] += f[w]


@jit(**_SUMS)
def sparse_inner(bounds, entity, P, A, B):
    """``B[a, b, t] = sum_r A[i_r, a] p_rb`` over the non-empty rows of slice t."""
    k = P.shape[1]
    p = np.empty((k, _WIDTH))
    left = np.empty((k, _WIDTH))
    for t in range(bounds.size - 1):
        for a in range(k):
            for b in range(k):
                B[a, b, t] = 0.0
        for lo in range(bounds[t], bounds[t + 1], _WIDTH):
            width = min(_WIDTH, bounds[t + 1] - lo)
            for w in range(width):
                i = entity[lo + w]
                for b in range(k):
                    p[b, w] = P[lo + w, b]
                    left[b, w] = A[i, b]
            for a in range(k):
                b = 0
                # Four sums at a time share the loads of `left`.
                while b + 3 < k:
                    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
                    for w in range(width):
                        x = left[a, w]
                        s0 += x * p[b, w]
                        s1 += x * p[b + 1, w]
                        s2 += x * p[b + 2, w]
                        s3 += x * p[b + 3, w]
                    B[a, b, t] += s0
                    B[a, b + 1, t] += s1
                    B[a, b + 2, t] += s2
                    B[a, b + 3, t] += s3
                    b += 4
                while b < k:
                    s0 = 0.0
                    for w in range(width):
                        s0 += left[a, w] * p[b, w]
                    B[a, b, t] += s0
                    b += 1


@jit(**_SUMS)
def add_rows(entity, Y, F):
    """``F[entity[r]] += Y[r]``; an entity may occur once in each call only."""
    k = F.shape[1]
    for r in range(entity.size):
        i = entity[r]
        for a in range(k):
            F[i, a] += Y[r, a]


@jit(**_SUMS)
def add_scaled(P, step, D):
    """``P += step D`` for flat arrays, in one pass."""
    for c in range(P.size):
        P[c] += step * D[c]


@jit(**_SUMS)
def entity_direction(F, E, A, n_sweeps, D):
    """``D = Z - A`` with Z from :func:`entity_sweeps` started at A, by blocks of rows.

    Returns the largest step s for which ``A + s D`` stays nonnegative (infinite
    without a falling entry).
    """
    n, k = A.shape
    f = np.empty((k, _WIDTH))
    z = np.empty((k, _WIDTH))
    g = np.empty(_WIDTH)
    reach = np.inf
    for lo in range(0, n, _WIDTH):
        width = min(_WIDTH, n - lo)
        for w in range(width):
            for c in range(k):
                f[c, w] = F[lo + w, c]
                z[c, w] = A[lo + w, c]
        for _ in range(n_sweeps):
            for c in range(k):
                if not E[c, c] > 0.0:
                    continue
                inverse = 1.0 / E[c, c]
                for w in range(width):
                    g[w] = f[c, w]
                a = 0
                # Four at a time, as in relation_sweeps.
                while a + 3 < k:
                    x0, x1, x2, x3 = E[a, c], E[a + 1, c], E[a + 2, c], E[a + 3, c]
                    for w in range(width):
                        g[w] -= (x0 * z[a, w] + x1 * z[a + 1, w]) + (
                            x2 * z[a + 2, w] + x3 * z[a + 3, w]
                        )
                    a += 4
                while a < k:
                    x0 = E[a, c]
                    for w in range(width):
                        g[w] -= x0 * z[a, w]
                    a += 1
                for w in range(width):
                    new = z[c, w] + g[w] * inverse
                    z[c, w] = new if new > 0.0 else 0.0
        for w in range(width):
            for c in range(k):
                old = A[lo + w, c]
                d = z[c, w] - old
                D[lo + w, c] = d
                if d < 0.0 and old < -d * reach:
                    reach = -old / d
    return reach
