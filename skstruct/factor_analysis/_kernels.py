"""Loops of the clique search and of the factor model. No BLAS here."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit

N_BINS = 4096


@jit()
def fill_levels(R, row0, col0, thresholds, bins, mirror, levels):
    """Write into `levels` how many thresholds lie strictly below each |R|.

    Parameters
    ----------
    R : ndarray of shape (a, b)
        Block of correlations whose corner is entry (row0, col0) of the matrix.
    thresholds : ndarray of shape (T,), ascending, of R's dtype
    bins : ndarray of int64 of shape (N_BINS + 1,)
        ``bins[k]``: number of thresholds strictly below ``k / N_BINS``.
    mirror : bool
        Whether the transposed block is written too.
    levels : ndarray of unsigned integers of shape (p, p)
        Its diagonal gets level 0.
    """
    a, b = R.shape
    T = thresholds.shape[0]
    # In square tiles, so that the transposed writes stay in the cache.
    for i0 in range(0, a, 64):
        for j0 in range(0, b, 64):
            for i in range(i0, min(i0 + 64, a)):
                for j in range(j0, min(j0 + 64, b)):
                    r = abs(R[i, j])
                    # The bin's start bounds the level from below; the comparisons
                    # with the thresholds themselves decide it.
                    level = bins[min(int(r * N_BINS), N_BINS)]
                    while level < T and thresholds[level] < r:
                        level += 1
                    if row0 + i == col0 + j:
                        level = 0
                    levels[row0 + i, col0 + j] = level
                    if mirror:
                        levels[col0 + j, row0 + i] = level


@jit()
def largest_deviations(R):
    """Largest asymmetry and largest entry of a square matrix, with their places.

    Returns
    -------
    asymmetry, i, j, entry, k, l
        NaN entries are not looked for.
    """
    p = R.shape[0]
    asymmetry, entry = 0.0, 0.0
    i1 = j1 = i2 = j2 = 0
    for i0 in range(0, p, 64):
        for j0 in range(i0, p, 64):
            for i in range(i0, min(i0 + 64, p)):
                for j in range(max(j0, i), min(j0 + 64, p)):
                    gap = abs(R[i, j] - R[j, i])
                    if gap > asymmetry:
                        asymmetry, i1, j1 = gap, i, j
                    size = max(abs(R[i, j]), abs(R[j, i]))
                    if size > entry:
                        entry, i2, j2 = size, i, j
    return asymmetry, i1, j1, entry, i2, j2


@jit()
def count_degrees(levels, T, degrees):
    """``degrees[i, t]``: neighbours of i, itself excluded, at threshold t."""
    p = levels.shape[0]
    counts = np.zeros((4, T + 1), np.int32)
    for i in range(p):
        counts[:] = 0
        # Four tables in turn: equal neighbouring levels would wait for each other.
        for j in range(p):
            counts[j & 3, levels[i, j]] += 1
        total = 0
        for t in range(T - 1, -1, -1):
            for k in range(4):
                total += counts[k, t + 1]
            degrees[i, t] = total


@jit()
def simplicial_path(levels, degrees, min_size, first, last):
    """All (threshold, vertex) at which the vertex is in one maximal clique only.

    Vertex i is simplicial at threshold t iff all pairs of its neighbours have a level
    above t. Its neighbours are sorted by level, so that a lower threshold only appends
    to the list; a pair of low level that was found once rules out all thresholds from
    that level up to the one at hand.

    Parameters
    ----------
    levels : ndarray of unsigned integers of shape (p, p)
        Number of thresholds strictly below |r_ij|, symmetric, diagonal 0.
    degrees : ndarray of int32 of shape (p, T)
        From :func:`count_degrees`.
    min_size : int
        Smallest clique that counts, its centre included.
    first, last : int
        Range of vertices to test.

    Returns
    -------
    found : ndarray of int64 of shape (m, 2)
        Rows (t, i), i the lowest simplicial vertex of its clique; one per clique.
    """
    p, T = degrees.shape
    order = np.empty(p, np.int64)
    starts = np.empty(T + 2, np.int64)
    # Members of a clique that a lower vertex already proved.
    done = np.zeros((last - first, T), np.uint8)
    found = np.empty((1024, 2), np.int64)
    m_found = 0
    for i in range(first, last):
        if degrees[i, 0] + 1 < min_size:
            continue
        # Counting sort of the neighbours, highest level first.
        for t in range(T - 1, -1, -1):
            starts[t + 1] = degrees[i, t + 1] if t + 1 < T else 0
        for j in range(p):
            level = levels[i, j]
            if level > 0:
                order[starts[level]] = j
                starts[level] += 1
        verified = 0
        t = T - 1
        while t >= 0:
            m = degrees[i, t]
            if m + 1 < min_size:
                t -= 1
                continue
            if done[i - first, t]:
                verified = m
                t -= 1
                continue
            witness = -1
            # A clique needs neighbours of at least this degree; the first smaller
            # one misses somebody.
            for a in range(m):
                j = order[a]
                if degrees[j, t] < m:
                    witness = t
                    for b in range(m):
                        if b != a and levels[j, order[b]] < witness:
                            witness = int(levels[j, order[b]])
                    break
            if witness < 0:
                for a in range(verified, m):
                    j = order[a]
                    low = t + 1
                    for b in range(a):
                        if levels[j, order[b]] < low:
                            low = int(levels[j, order[b]])
                            if low == 0:
                                break
                    if low <= t:
                        witness = low
                        break
                    verified = a + 1
            if witness >= 0:
                # The pair is no edge for any threshold from its level on.
                t = witness - 1
                continue
            leader = i
            for a in range(m):
                j = order[a]
                if degrees[j, t] == m:
                    leader = min(leader, j)
                    if j >= first and j < last:
                        done[j - first, t] = 1
            if leader == i:
                if m_found == found.shape[0]:
                    grown = np.empty((2 * m_found, 2), np.int64)
                    grown[:m_found] = found
                    found = grown
                found[m_found, 0] = t
                found[m_found, 1] = i
                m_found += 1
            t -= 1
    return found[:m_found]


@jit()
def neighbours_above(levels, t, vertices, indptr, members):
    """Sorted closed neighbourhoods of `vertices` at threshold `t`."""
    p = levels.shape[0]
    for k in range(vertices.shape[0]):
        i = vertices[k]
        position = indptr[k]
        for j in range(p):
            if levels[i, j] > t or j == i:
                members[position] = j
                position += 1


@jit()
def em_rows(C, T, indptr, indices, diag, floor, loadings, noise):
    """Loadings and unique variances of the M step, row by row.

    ``loadings[i, s] = C[s, s]^-1 T[i, s]`` on the row's support s, and
    ``noise[i] = diag[i] - loadings[i] . T[i]``, not below ``floor[i]``.
    """
    p = diag.shape[0]
    widest = 0
    for i in range(p):
        widest = max(widest, indptr[i + 1] - indptr[i])
    L = np.zeros((widest, widest))
    x = np.zeros(widest)
    for i in range(p):
        start = indptr[i]
        m = indptr[i + 1] - start
        same = i > 0 and m == start - indptr[i - 1]
        if same:
            for a in range(m):
                if indices[start + a] != indices[start - m + a]:
                    same = False
                    break
        if not same:
            # Cholesky factor of C[s, s]; rows with equal supports share it.
            for a in range(m):
                for b in range(a + 1):
                    value = C[indices[start + a], indices[start + b]]
                    for c in range(b):
                        value -= L[a, c] * L[b, c]
                    if a == b:
                        L[a, a] = np.sqrt(max(value, 1e-12))
                    else:
                        L[a, b] = value / L[b, b]
        for a in range(m):
            value = T[i, indices[start + a]]
            for c in range(a):
                value -= L[a, c] * x[c]
            x[a] = value / L[a, a]
        explained = 0.0
        for a in range(m):
            explained += x[a] * x[a]
        for a in range(m - 1, -1, -1):
            value = x[a]
            for c in range(a + 1, m):
                value -= L[c, a] * x[c]
            x[a] = value / L[a, a]
        for a in range(m):
            loadings[i, indices[start + a]] = x[a]
        noise[i] = max(diag[i] - explained, floor[i])


@jit()
def quadratic_form(
    kind1, first1, second1, kind2, first2, second2, W, WG, WL, GWG, LWL, LWG, out
):
    """``(1/2) tr(W dSigma_a W dSigma_b)`` for all pairs of two lists of parameters.

    A parameter is (kind, first, second): a loading (0, row, factor), a unique variance
    (1, row, 0) or a factor correlation (2, factor, factor); lists are ordered by kind.
    `W` is any symmetric matrix, G the product of loadings and factor correlations, L
    the loadings. The two lists are equal, or the first has loadings only.
    """
    n1, n2 = kind1.shape[0], kind2.shape[0]
    same = n1 == n2
    n_loadings = n_both = 0
    for b in range(n2):
        n_loadings += kind2[b] == 0
        n_both += kind2[b] <= 1
        if same and (
            kind1[b] != kind2[b] or first1[b] != first2[b] or second1[b] != second2[b]
        ):
            same = False
    for a in range(n1):
        i, k = first1[a], second1[a]
        begin = a if same else 0
        if kind1[a] == 0:
            Wi, WGi, WLi, GWGk = W[i], WG[i], WL[i], GWG[k]
            for b in range(begin, n_loadings):
                j, l = first2[b], second2[b]
                out[a, b] = Wi[j] * GWGk[l] + WGi[l] * WG[j, k]
            for b in range(max(begin, n_loadings), n_both):
                j = first2[b]
                out[a, b] = Wi[j] * WG[j, k]
            for b in range(max(begin, n_both), n2):
                j, l = first2[b], second2[b]
                out[a, b] = WLi[j] * LWG[l, k] + WLi[l] * LWG[j, k]
        elif kind1[a] == 1:
            Wi, WLi = W[i], WL[i]
            for b in range(max(begin, n_loadings), n_both):
                j = first2[b]
                out[a, b] = 0.5 * Wi[j] * Wi[j]
            for b in range(max(begin, n_both), n2):
                out[a, b] = WLi[first2[b]] * WLi[second2[b]]
        else:
            LWLi, LWLk = LWL[i], LWL[k]
            for b in range(max(begin, n_both), n2):
                j, l = first2[b], second2[b]
                out[a, b] = LWLi[j] * LWLk[l] + LWLi[l] * LWLk[j]
    if same:
        # In tiles, so that the transposed writes stay in the cache.
        for a0 in range(0, n1, 64):
            for b0 in range(a0, n1, 64):
                for a in range(a0, min(a0 + 64, n1)):
                    for b in range(max(b0, a + 1), min(b0 + 64, n1)):
                        out[b, a] = out[a, b]


@jit()
def row_score_tests(slope, weight, WG, GWG, mask, out):
    """Score statistics of the zero loadings, the row's own parameters profiled out.

    ``out[i, k] = slope^2 / (I_kk - b' H^-1 b)``, H the information of the free
    loadings and the unique variance of row i; 0 where the loading is free.

    Parameters
    ----------
    slope : ndarray of shape (p, d)
        Minus half the gradient of F.
    weight : ndarray of shape (p,)
        Diagonal of Sigma^-1.
    WG : ndarray of shape (p, d), GWG : ndarray of shape (d, d)
    mask : ndarray of bool of shape (p, d)
    """
    p, d = slope.shape
    L = np.empty((d + 1, d + 1))
    b = np.empty(d + 1)
    free = np.empty(d, np.int64)
    for i in range(p):
        m = 0
        for k in range(d):
            if mask[i, k]:
                free[m] = k
                m += 1
        w = weight[i]
        for a in range(m + 1):
            for c in range(a + 1):
                if a < m:
                    value = w * GWG[free[a], free[c]] + WG[i, free[a]] * WG[i, free[c]]
                elif c < m:
                    value = w * WG[i, free[c]]
                else:
                    value = 0.5 * w * w
                for e in range(c):
                    value -= L[a, e] * L[c, e]
                if a == c:
                    L[a, a] = np.sqrt(max(value, 1e-12 * w * w))
                else:
                    L[a, c] = value / L[c, c]
        for k in range(d):
            if mask[i, k]:
                out[i, k] = 0.0
                continue
            own = w * GWG[k, k] + WG[i, k] * WG[i, k]
            left = own
            for a in range(m + 1):
                if a < m:
                    value = w * GWG[free[a], k] + WG[i, free[a]] * WG[i, k]
                else:
                    value = w * WG[i, k]
                for e in range(a):
                    value -= L[a, e] * b[e]
                b[a] = value / L[a, a]
                left -= b[a] * b[a]
            out[i, k] = slope[i, k] ** 2 / left if left > 1e-9 * own else 0.0


@jit()
def drop_losses(loadings, C, noise, mask, out):
    """Loss of log-likelihood per row of data, times two, when one loading is dropped.

    ``out[i, k] = log(1 + beta_k^2 / ((C_ss^-1)_kk noise_i))``; infinite off the
    support.
    """
    p, d = loadings.shape
    L = np.empty((d, d))
    x = np.empty(d)
    free = np.empty(d, np.int64)
    for i in range(p):
        m = 0
        for k in range(d):
            out[i, k] = np.inf
            if mask[i, k]:
                free[m] = k
                m += 1
        for a in range(m):
            for c in range(a + 1):
                value = C[free[a], free[c]]
                for e in range(c):
                    value -= L[a, e] * L[c, e]
                if a == c:
                    L[a, a] = np.sqrt(max(value, 1e-12))
                else:
                    L[a, c] = value / L[c, c]
        for a in range(m):
            # Diagonal of the inverse: squared length of L^-1 e_a.
            inverse = 0.0
            for c in range(a, m):
                value = 1.0 if c == a else 0.0
                for e in range(a, c):
                    value -= L[c, e] * x[e]
                x[c] = value / L[c, c]
                inverse += x[c] * x[c]
            beta = loadings[i, free[a]]
            out[i, free[a]] = np.log1p(beta * beta / (inverse * noise[i]))


@jit(fastmath={"reassoc", "contract"})
def sampled_products(left, right, rows, columns, out):
    """``out[rows[m], columns[m]] = left[rows[m]] . right[columns[m]]``."""
    n = left.shape[1]
    for m in range(rows.shape[0]):
        i, k = rows[m], columns[m]
        value = 0.0
        for j in range(n):
            value += left[i, j] * right[k, j]
        out[i, k] = value
