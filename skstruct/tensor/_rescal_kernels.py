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
# Rows of sparse products: a block of three such arrays fits the first cache at k = 10.
_ROWS = 128


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
            x = G[0, b]
            for w in range(width):
                T[a, b, w] = r[a, 0, w] * x
            for c in range(1, k - 1, 2):
                x, y = G[c, b], G[c + 1, b]
                for w in range(width):
                    T[a, b, w] += r[a, c, w] * x + r[a, c + 1, w] * y
            if k % 2 == 0:
                x = G[k - 1, b]
                for w in range(width):
                    T[a, b, w] += r[a, k - 1, w] * x


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
    # Squares of coefficients would leave the range of floats before they do.
    unit = max(max(abs(c1), abs(c2)), max(abs(c3), abs(c4)))
    if not unit > 0.0:
        return 0.0, 0.0
    c1, c2, c3, c4 = c1 / unit, c2 / unit, c3 / unit, c4 / unit

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
    return best_t, best * unit


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
def sparse_products(bounds, entity, indptr, indices, data, A, lanes, P, B):
    """``P_t = X_t A`` for the non-empty rows of all slices, and ``B_t = A' P_t``.

    The rows of a slice are worked on in blocks. P keeps a block as (k, width), so that
    what is done with a block, here and in the functions below, runs side by side for
    its rows.

    Parameters
    ----------
    bounds : (m + 1,) array
        Rows ``bounds[t]:bounds[t + 1]`` belong to slice t.
    entity : (n_rows,) array
        Row r is row ``entity[r]`` of its slice.
    indptr, indices, data : arrays
        The non-empty rows in compressed form.
    A : (n, k) array
    lanes : tuple of k floats, or ()
        Its length is part of its type, so that k is a constant of the compiled code:
        short loops over neighbours become straight lines. Empty: k is read from A.
    P : (n_rows * k,) array, overwritten, or an empty one
        Empty: the products are not kept.
    B : (k, k, m) array, overwritten
    """
    k = A.shape[1]
    B[:] = 0.0
    left = np.empty((k, _ROWS))
    block = np.empty(k * _ROWS)
    row = np.empty(k)
    for t in range(bounds.size - 1):
        for lo in range(bounds[t], bounds[t + 1], _ROWS):
            width = min(_ROWS, bounds[t + 1] - lo)
            p = block[: k * width].reshape(k, width)
            _product_block(indptr, indices, data, A, lanes, lo, row, p)
            _add_inner(entity, A, lanes, lo, left, p, B, t)
            if P.size > 0:
                # Memory is slow at k streams side by side, and fast at one.
                for c in range(k * width):
                    P[lo * k + c] = block[c]


@jit(**_SUMS)
def sparse_pull(bounds, entity, P, R, lanes, F):
    """``F_i += sum_b R_t[b] p_rb`` for each non-empty row r = (t, i).

    Parameters
    ----------
    bounds, entity, P, lanes
        As in :func:`sparse_products`.
    R : (m, k, k) array
        ``R[t, b, a]`` multiplies ``p_rb`` into ``F_ia``.
    F : (n, k) array, added to
    """
    k = F.shape[1]
    f = np.empty((k, _ROWS))
    for t in range(bounds.size - 1):
        for lo in range(bounds[t], bounds[t + 1], _ROWS):
            hi = min(lo + _ROWS, bounds[t + 1])
            p = P[lo * k : hi * k].reshape(k, hi - lo)
            _add_coupled(entity, lo, p, R[t], lanes, f, F)


@jit(**_SUMS)
def sparse_pull_products(bounds, entity, indptr, indices, data, A, R, lanes, F):
    """:func:`sparse_pull` on products that are formed block by block and not kept."""
    k = F.shape[1]
    f = np.empty((k, _ROWS))
    block = np.empty(k * _ROWS)
    row = np.empty(k)
    for t in range(bounds.size - 1):
        for lo in range(bounds[t], bounds[t + 1], _ROWS):
            width = min(_ROWS, bounds[t + 1] - lo)
            p = block[: k * width].reshape(k, width)
            _product_block(indptr, indices, data, A, lanes, lo, row, p)
            _add_coupled(entity, lo, p, R[t], lanes, f, F)


@jit(**_SUMS)
def _product_block(indptr, indices, data, A, lanes, lo, row, p):
    """``p[:, w] = sum_j x_rj a_j`` over the stored entries of row ``r = lo + w``."""
    k = len(lanes) if len(lanes) > 0 else A.shape[1]
    flat = A.reshape(-1)
    for w in range(p.shape[1]):
        c, end = indptr[lo + w], indptr[lo + w + 1]
        x0, j0 = data[c], np.intp(indices[c]) * k
        if c + 1 == end:
            for a in range(k):
                p[a, w] = x0 * flat[j0 + a]
            continue
        x1, j1 = data[c + 1], np.intp(indices[c + 1]) * k
        if c + 2 == end:
            for a in range(k):
                p[a, w] = x0 * flat[j0 + a] + x1 * flat[j1 + a]
            continue
        # Sums of k neighbours, which are spread over the block in the end.
        for a in range(k):
            row[a] = x0 * flat[j0 + a] + x1 * flat[j1 + a]
        c += 2
        # Four entries at a time: the sums are read and written a quarter as often.
        while c + 3 < end:
            x0, x1, x2, x3 = data[c], data[c + 1], data[c + 2], data[c + 3]
            j0, j1 = np.intp(indices[c]) * k, np.intp(indices[c + 1]) * k
            j2, j3 = np.intp(indices[c + 2]) * k, np.intp(indices[c + 3]) * k
            for a in range(k):
                row[a] += (x0 * flat[j0 + a] + x1 * flat[j1 + a]) + (
                    x2 * flat[j2 + a] + x3 * flat[j3 + a]
                )
            c += 4
        while c < end:
            x0, j0 = data[c], np.intp(indices[c]) * k
            for a in range(k):
                row[a] += x0 * flat[j0 + a]
            c += 1
        for a in range(k):
            p[a, w] = row[a]


@jit(**_SUMS)
def _add_inner(entity, A, lanes, lo, left, p, B, t):
    """``B[a, b, t] += sum_w A[i_w, a] p[b, w]``."""
    k, width = p.shape
    neighbours = len(lanes) if len(lanes) > 0 else k
    for w in range(width):
        i = entity[lo + w]
        for a in range(neighbours):
            left[a, w] = A[i, a]
    # Two by two sums share their loads.
    for a in range(0, k - 1, 2):
        for b in range(0, k - 1, 2):
            s00, s01, s10, s11 = 0.0, 0.0, 0.0, 0.0
            for w in range(width):
                x0, x1 = left[a, w], left[a + 1, w]
                p0, p1 = p[b, w], p[b + 1, w]
                s00 += x0 * p0
                s01 += x0 * p1
                s10 += x1 * p0
                s11 += x1 * p1
            B[a, b, t] += s00
            B[a, b + 1, t] += s01
            B[a + 1, b, t] += s10
            B[a + 1, b + 1, t] += s11
    if k % 2:
        for a in range(k):
            s0, s1 = 0.0, 0.0
            for w in range(width):
                s0 += left[a, w] * p[k - 1, w]
                s1 += left[k - 1, w] * p[a, w]
            B[a, k - 1, t] += s0
            if a < k - 1:
                B[k - 1, a, t] += s1


@jit(**_SUMS)
def _add_coupled(entity, lo, p, R, lanes, f, F):
    """``F[i_w, a] += sum_b R[b, a] p[b, w]``."""
    k, width = p.shape
    f[:, :width] = 0.0
    # Two by two again: half the loads and stores.
    for a in range(0, k - 1, 2):
        for b in range(0, k - 1, 2):
            r00, r01, r10, r11 = R[b, a], R[b, a + 1], R[b + 1, a], R[b + 1, a + 1]
            for w in range(width):
                p0, p1 = p[b, w], p[b + 1, w]
                f[a, w] += r00 * p0 + r10 * p1
                f[a + 1, w] += r01 * p0 + r11 * p1
    if k % 2:
        for a in range(k):
            r0, r1 = R[k - 1, a], R[a, k - 1]
            for w in range(width):
                f[a, w] += r0 * p[k - 1, w]
            if a < k - 1:
                for w in range(width):
                    f[k - 1, w] += r1 * p[a, w]
    neighbours = len(lanes) if len(lanes) > 0 else k
    for w in range(width):
        i = entity[lo + w]
        for a in range(neighbours):
            F[i, a] += f[a, w]


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
    start = np.empty((k, _WIDTH))
    g = np.empty(_WIDTH)
    reach = np.full(_WIDTH, np.inf)
    for lo in range(0, n, _WIDTH):
        width = min(_WIDTH, n - lo)
        for w in range(width):
            for c in range(k):
                f[c, w] = F[lo + w, c]
                z[c, w] = start[c, w] = A[lo + w, c]
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
        for c in range(k):
            for w in range(width):
                old = start[c, w]
                d = z[c, w] - old
                z[c, w] = d
                # Without a branch: signs of d are not predictable.
                limit = old / -d if d < 0.0 else np.inf
                reach[w] = limit if limit < reach[w] else reach[w]
        for w in range(width):
            for c in range(k):
                D[lo + w, c] = z[c, w]
    return reach.min()
