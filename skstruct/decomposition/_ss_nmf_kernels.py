"""Loops over pixels of structured sparse NMF.

Arithmetic is in float64 whatever the arrays hold, except in `sweep_bands`.
"""

# SPDX-License-Identifier: BSD-3-Clause

import math

import numpy as np

from .._jit import jit

_SUMS = {"fastmath": {"reassoc", "contract"}}

# How the abundances of one pixel are updated.
LASSO, HALF, PROGRAM = 0, 1, 2

# Pixels that a sweep updates side by side.
WIDTH = 64

# Positions in the array of sums that the sweeps fill.
CROSS, DEGREE, MASS, ROOTS, TO_ONE = range(5)

# Slope of the square root at zero, where it is infinite: that of a = 1e-4.
_SMALL = 1e-4


@jit()
def half_threshold(z, mu):
    """Minimiser over a >= 0 of ``(a - z)^2 + mu sqrt(a)``."""
    if mu <= 0.0:
        return max(z, 0.0)
    if z <= 0.75 * 2.0 ** (1.0 / 3.0) * mu ** (2.0 / 3.0):
        return 0.0
    phi = math.acos(0.125 * mu * (z / 3.0) ** -1.5)
    return 2.0 / 3.0 * z * (1.0 + math.cos(2.0 / 3.0 * (math.pi - phi)))


@jit()
def solve_support(H, c, simplex, support, size, L, z, one):
    """Minimise ``1/2 z' H z - c' z`` over the variables of `support`, signs free.

    With `simplex` under ``sum z = 1``; returns its multiplier (else 0). `L`, `z` and
    `one` are work space; the result is ``z[:size]``.
    """
    for i in range(size):
        p = support[i]
        for j in range(i + 1):
            s = H[p, support[j]]
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                # Parallel endmembers: a trace of a ridge picks one solution.
                L[i, i] = math.sqrt(max(s, 1e-12 * H[p, p] + 1e-300))
            else:
                L[i, j] = s / L[j, j]
        s, t = c[p], 1.0
        for k in range(i):
            s -= L[i, k] * z[k]
            t -= L[i, k] * one[k]
        z[i] = s / L[i, i]
        one[i] = t / L[i, i]
    nu = 0.0
    if simplex:
        # Products with H^-1 through the forward substitutions alone.
        with_c, with_one = 0.0, 0.0
        for i in range(size):
            with_c += z[i] * one[i]
            with_one += one[i] * one[i]
        nu = (with_c - 1.0) / with_one
        for i in range(size):
            z[i] -= nu * one[i]
    for i in range(size - 1, -1, -1):
        s = z[i]
        for k in range(i + 1, size):
            s -= L[k, i] * z[k]
        z[i] = s / L[i, i]
    return nu


@jit()
def solve_pixel(H, c, simplex, a, support, free, L, z, one):
    """Minimise ``1/2 a' H a - c' a`` over a >= 0, with `simplex` also sum a = 1.

    A primal active-set method that starts from `a` and overwrites it: finite, exact
    up to rounding, and the objective falls from step to step. The other arrays are
    work space of the length of `a`.
    """
    K = a.size
    total, top = 0.0, 0.0
    for k in range(K):
        total += a[k]
        top = max(top, abs(c[k]), H[k, k] if simplex else 0.0)
    tol = 1e-11 * top
    if simplex:
        if total > 0.0:
            for k in range(K):
                a[k] /= total
        else:
            best = 0
            for k in range(1, K):
                if 0.5 * H[k, k] - c[k] < 0.5 * H[best, best] - c[best]:
                    best = k
            a[best] = 1.0
    size = 0
    for k in range(K):
        free[k] = True
        if a[k] > 0.0:
            support[size] = k
            size += 1
    entered = -1
    for _ in range(8 * K + 16):
        if size > 0:
            nu = solve_support(H, c, simplex, support, size, L, z, one)
            step, leaving = 1.0, -1
            for i in range(size):
                if z[i] <= 0.0:
                    k = support[i]
                    ratio = a[k] / (a[k] - z[i]) if a[k] > 0.0 else 0.0
                    if ratio < step or leaving < 0:
                        step, leaving = ratio, i
            for i in range(size):
                k = support[i]
                a[k] += step * (z[i] - a[k])
            if leaving >= 0:
                k = support[leaving]
                a[k] = 0.0
                if k == entered and step == 0.0:
                    # Rounding let it in: not again at this point.
                    free[k] = False
                size -= 1
                for i in range(leaving, size):
                    support[i] = support[i + 1]
                continue
            for k in range(K):
                if k != entered:
                    free[k] = True
        else:
            nu = 0.0
        steepest, entered = tol, -1
        for k in range(K):
            if a[k] > 0.0 or not free[k]:
                continue
            w = c[k] - nu
            for i in range(size):
                w -= H[k, support[i]] * a[support[i]]
            if w > steepest:
                steepest, entered = w, k
        if entered < 0:
            break
        support[size] = entered
        size += 1


@jit()
def solve_rows(H, C, simplex, A):
    """`solve_pixel` for every row of `A`, in place."""
    K = A.shape[1]
    a, c, z, one = np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    L = np.empty((K, K))
    support, free = np.empty(K, np.int64), np.empty(K, np.bool_)
    for n in range(A.shape[0]):
        for k in range(K):
            a[k] = A[n, k]
            c[k] = C[n, k]
        solve_pixel(H, c, simplex, a, support, free, L, z, one)
        for k in range(K):
            A[n, k] = a[k]


@jit()
def solve_incomplete(X, chosen, bands, delta2, alpha, simplex, A):
    """`solve_pixel` for chosen rows of `A` from the bands of X that are not NaN.

    ``bands`` (L, K) are the endmembers; `delta2` weighs the soft sum to one and `alpha`
    the lasso.
    """
    K = A.shape[1]
    a, c, z, one = np.empty(K), np.empty(K), np.empty(K), np.empty(K)
    H, L = np.empty((K, K)), np.empty((K, K))
    support, free = np.empty(K, np.int64), np.empty(K, np.bool_)
    for n in chosen:
        H[:] = delta2
        c[:] = delta2 - alpha
        for j in range(X.shape[1]):
            x = X[n, j]
            if math.isnan(x):
                continue
            for k in range(K):
                m = bands[j, k]
                c[k] += x * m
                for i in range(K):
                    H[k, i] += m * bands[j, i]
        a[:] = 0.0
        solve_pixel(H, c, simplex, a, support, free, L, z, one)
        for k in range(K):
            A[n, k] = a[k]


@jit(**_SUMS)
def fill_cells(X, rows, columns, A, M):
    """``X[rows, columns] = A M`` or zero where that is negative; sum of squares."""
    total = 0.0
    for t in range(rows.size):
        n, j = rows[t], columns[t]
        x = 0.0
        for k in range(A.shape[1]):
            x += A[n, k] * M[k, j]
        X[n, j] = max(x, 0.0)
        # As stored.
        total += float(X[n, j]) ** 2
    return total


@jit(**_SUMS)
def misfit_of_cells(X, rows, columns, A, M):
    """Sum of squares of ``X - A M`` over cells."""
    total = 0.0
    for t in range(rows.size):
        n, j = rows[t], columns[t]
        x = 0.0
        for k in range(A.shape[1]):
            x += A[n, k] * M[k, j]
        total += (X[n, j] - x) ** 2
    return total


@jit()
def gather(A, indptr, indices, weights, n, before, after):
    """Weighted sums over the neighbours of pixel n before and after it; its degree."""
    for k in range(before.size):
        before[k] = 0.0
        after[k] = 0.0
    degree = 0.0
    t, end = indptr[n], indptr[n + 1]
    while t < end and indices[t] < n:
        m, w = indices[t], weights[t]
        degree += w
        for k in range(before.size):
            before[k] += w * A[m, k]
        t += 1
    while t < end:
        m, w = indices[t], weights[t]
        degree += w
        for k in range(before.size):
            after[k] += w * A[m, k]
        t += 1
    return degree


@jit()
def account(A, n, before, degree, root, sums):
    """Add the terms of pixel n to the sums of the objective.

    For the graph this needs no pass of its own: half the cross term is the sum over
    the neighbours before n, and these have their final values when n is visited.
    """
    cross, square, mass, roots = 0.0, 0.0, 0.0, 0.0
    for k in range(before.size):
        x = float(A[n, k])
        cross += before[k] * x
        square += x * x
        mass += x
        if root:
            roots += math.sqrt(x)
    sums[CROSS] += cross
    sums[DEGREE] += degree * square
    sums[MASS] += mass
    sums[ROOTS] += roots
    sums[TO_ONE] += (1.0 - mass) ** 2


@jit(**_SUMS)
def gather_block(A, indptr, indices, weights, n, first, end, early, total):
    """Weighted sums over the neighbours of pixel n: before `first`, and all.

    Returns
    -------
    place : int
        Where the neighbours from `first` on start.
    degree, inside : float
        Sums of the weights: of all, and of neighbours in ``first ... end``.
    """
    begin, stop = np.uintp(indptr[n]), np.uintp(indptr[n + 1])
    degree, inside = 0.0, 0.0
    place = begin
    for t in range(begin, stop):
        m, w = indices[t], weights[t]
        degree += w
        place += np.uintp(m < first)
        inside += w if first <= m < end else 0.0
    K = A.shape[1]
    # Four sums at a time stay in registers; unsigned indices need no check for
    # negative ones.
    for k in range(0, K - 3, 4):
        k0, k1, k2, k3 = np.uintp(k), np.uintp(k + 1), np.uintp(k + 2), np.uintp(k + 3)
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for t in range(begin, place):
            m, w = np.uintp(indices[t]), weights[t]
            s0 += w * A[m, k0]
            s1 += w * A[m, k1]
            s2 += w * A[m, k2]
            s3 += w * A[m, k3]
        early[k0], early[k1], early[k2], early[k3] = s0, s1, s2, s3
        for t in range(place, stop):
            m, w = np.uintp(indices[t]), weights[t]
            s0 += w * A[m, k0]
            s1 += w * A[m, k1]
            s2 += w * A[m, k2]
            s3 += w * A[m, k3]
        total[k0], total[k1], total[k2], total[k3] = s0, s1, s2, s3
    for k in range(K - K % 4, K):
        s0 = 0.0
        for t in range(begin, place):
            s0 += weights[t] * A[np.uintp(indices[t]), k]
        early[k] = s0
        for t in range(place, stop):
            s0 += weights[t] * A[np.uintp(indices[t]), k]
        total[k] = s0
    return place, degree, inside


@jit(**_SUMS)
def sweep(
    A, B, G, start, indptr, indices, weights, lam, alpha, delta2, mode, root,
    n_inner, sums,
):  # fmt: skip
    """A sweep over the pixels ``start ... start + len(B)``, in place.

    ``B = X M'`` of these pixels and ``G = M M'``; `mode` is LASSO or HALF. Pixels go
    in blocks of `WIDTH`, one block after the other with the newest neighbours, and the
    pixels of a block side by side. For that, an edge inside a block is replaced by
    its majoriser at the present abundances a, b,

        |x - y|^2 <= 2 |x - (a + b)/2|^2 + 2 |y - (a + b)/2|^2,

    so that the objective falls. Then the abundances of a pixel are updated in turn,
    `n_inner` times. The terms of the objective after the sweep are added to `sums`.
    """
    K = A.shape[1]
    graph = lam > 0.0
    # Component by pixel of the block: the loops over pixels are vector instructions.
    a, b = np.zeros((K, WIDTH)), np.zeros((K, WIDTH))
    r, inverse = np.zeros((K, WIDTH)), np.zeros((K, WIDTH))
    before = np.zeros((K, WIDTH))
    ridge, degrees, masses = np.zeros(WIDTH), np.zeros(WIDTH), np.zeros(WIDTH)
    places = np.zeros(WIDTH, np.int64)
    early, total = np.zeros(K), np.zeros(K)
    H = G + delta2
    lanes = np.zeros((4, WIDTH))
    for low in range(0, B.shape[0], WIDTH):
        size = min(WIDTH, B.shape[0] - low)
        first, end = start + low, start + low + size
        for i in range(size):
            for k in range(K):
                a[k, i] = A[first + i, k]
                b[k, i] = B[low + i, k]
                r[k, i] = b[k, i] + delta2
            if graph:
                places[i], degrees[i], inside = gather_block(
                    A, indptr, indices, weights, first + i, first, end, early, total
                )
                ridge[i] = lam * (degrees[i] + inside)
                for k in range(K):
                    before[k, i] = early[k]
                    r[k, i] += lam * (total[k] + inside * a[k, i])
        for k in range(K):
            diagonal = H[k, k]
            for i in range(WIDTH):
                h = diagonal + ridge[i]
                inverse[k, i] = 1.0 / h if h > 0.0 else 0.0
            for j in range(K):
                h = H[k, j]
                for i in range(WIDTH):
                    r[k, i] -= h * a[j, i]
        for _ in range(n_inner):
            for k in range(K):
                diagonal = H[k, k]
                # r becomes the change of a.
                if mode == LASSO:
                    for i in range(WIDTH):
                        g = (r[k, i] + diagonal * a[k, i] - alpha) * inverse[k, i]
                        g = g if g > 0.0 else 0.0
                        masses[i] = g - a[k, i]
                        a[k, i] = g
                else:
                    for i in range(size):
                        g = (r[k, i] + diagonal * a[k, i]) * inverse[k, i]
                        g = half_threshold(g, 2.0 * alpha * inverse[k, i])
                        masses[i] = g - a[k, i]
                        a[k, i] = g
                for j in range(K):
                    h = H[j, k]
                    for i in range(WIDTH):
                        r[j, i] -= h * masses[i]
        masses[:] = 0.0
        for k in range(K):
            for i in range(size):
                A[first + i, k] = a[k, i]
                # What was rounded on the way into A counts.
                a[k, i] = A[first + i, k]
        for k in range(K):
            for i in range(size):
                x = a[k, i]
                masses[i] += x
                lanes[CROSS, i] += before[k, i] * x
                lanes[DEGREE, i] += degrees[i] * x * x
            if root:
                for i in range(size):
                    lanes[ROOTS, i] += math.sqrt(a[k, i])
        for i in range(size):
            lanes[MASS, i] += masses[i]
            sums[TO_ONE] += (1.0 - masses[i]) ** 2
        if graph:
            for i in range(size):
                t = places[i]
                while t < indptr[first + i + 1] and indices[t] < first + i:
                    m, w = indices[t] - first, weights[t]
                    for k in range(K):
                        lanes[CROSS, i] += w * a[k, m] * a[k, i]
                    t += 1
    for i in range(WIDTH):
        for term in range(4):
            sums[term] += lanes[term, i]


@jit(**_SUMS)
def sweep_bands(A, B, G, start, offsets, bands, lam, alpha, n_inner, sums):
    """As `sweep` with the lasso, for abundances by component and edges by offset.

    ``A`` (K, N), ``B`` (K, rows), and `lam` and `alpha` have one type, in which all
    is computed; the graph is that of `edge_bands`. All loops over pixels are vector
    instructions on neighbouring numbers, which is several times faster on an image.
    """
    K, N = A.shape
    zero = lam - lam
    r, inverse = np.zeros((K, WIDTH), A.dtype), np.zeros((K, WIDTH), A.dtype)
    degree, inside = np.zeros(WIDTH, A.dtype), np.zeros(WIDTH, A.dtype)
    change, dots = np.zeros(WIDTH, A.dtype), np.zeros(WIDTH, A.dtype)
    for low in range(0, B.shape[1], WIDTH):
        size = min(WIDTH, B.shape[1] - low)
        first = start + low
        end = first + size
        degree[:] = zero
        inside[:] = zero
        r[:] = zero
        for o in range(offsets.size):
            d = offsets[o]
            # Neighbours d pixels later, of the lanes that have one.
            count = min(size, N - d - first)
            if count > 0:
                w = bands[o, first : first + count]
                for i in range(count):
                    degree[i] += w[i]
                for i in range(min(count, size - d)):
                    inside[i] += w[i]
                for k in range(K):
                    pull, neighbour = r[k], A[k, first + d :]
                    for i in range(count):
                        pull[i] += w[i] * neighbour[i]
            # Neighbours d pixels earlier.
            skip = max(0, d - first)
            count = size - skip
            if count > 0:
                w = bands[o, first + skip - d : end - d]
                degree_of, inside_of = degree[skip:], inside[skip:]
                for i in range(count):
                    degree_of[i] += w[i]
                for i in range(d - skip, count):
                    inside_of[i] += w[i]
                for k in range(K):
                    pull, neighbour = r[k, skip:], A[k, first + skip - d :]
                    for i in range(count):
                        pull[i] += w[i] * neighbour[i]
        for k in range(K):
            diagonal, a, b, pull = G[k, k], A[k, first:end], B[k, low:], r[k]
            inv = inverse[k]
            for i in range(size):
                h = diagonal + lam * (degree[i] + inside[i])
                inv[i] = 1 / h if h > zero else zero
                pull[i] = b[i] + lam * (pull[i] + inside[i] * a[i]) - alpha
            for j in range(K):
                h, a = G[k, j], A[j, first:end]
                for i in range(size):
                    pull[i] -= h * a[i]
        for _ in range(n_inner):
            for k in range(K):
                diagonal, a, slope, inv = G[k, k], A[k, first:end], r[k], inverse[k]
                for i in range(size):
                    g = max((slope[i] + diagonal * a[i]) * inv[i], zero)
                    change[i] = g - a[i]
                    a[i] = g
                for j in range(K):
                    h, slope = G[j, k], r[j]
                    for i in range(size):
                        slope[i] -= h * change[i]
        cross, square, mass = zero, zero, zero
        for k in range(K):
            a = A[k, first:end]
            for i in range(size):
                mass += a[i]
                square += degree[i] * a[i] * a[i]
        # Earlier neighbours have their final values.
        for o in range(offsets.size):
            d = offsets[o]
            skip = max(0, d - first)
            count = size - skip
            if count <= 0:
                continue
            dots[:] = zero
            for k in range(K):
                a, neighbour = A[k, first + skip :], A[k, first + skip - d :]
                for i in range(count):
                    dots[i] += a[i] * neighbour[i]
            w = bands[o, first + skip - d :]
            for i in range(count):
                cross += w[i] * dots[i]
        sums[CROSS] += cross
        sums[DEGREE] += square
        sums[MASS] += mass


@jit()
def sweep_programs(
    A, B, G, start, indptr, indices, weights, lam, alpha, delta2, simplex, root, sums,
):  # fmt: skip
    """As `sweep`, but the abundances of a pixel are solved together.

    On the simplex the root is replaced by its tangent, which lies above it. At zero
    the tangent is vertical; the slope at 1e-4 lets an absent endmember come back and
    is taken where the true objective of the pixel does not rise.
    """
    K = A.shape[1]
    graph = lam > 0.0
    tangent = simplex and alpha > 0.0
    a, c, old, slope = np.empty(K), np.empty(K), np.empty(K), np.zeros(K)
    before, after, z, one = np.zeros(K), np.zeros(K), np.empty(K), np.empty(K)
    L, H = np.empty((K, K)), np.empty((K, K))
    support, free = np.empty(K, np.int64), np.empty(K, np.bool_)
    degree = 0.0
    for i in range(B.shape[0]):
        n = start + i
        if graph:
            degree = gather(A, indptr, indices, weights, n, before, after)
        for k in range(K):
            a[k] = old[k] = A[n, k]
            c[k] = B[i, k] + delta2 + lam * (before[k] + after[k])
            for j in range(K):
                H[k, j] = G[k, j] + delta2
            H[k, k] += lam * degree
            slope[k] = 0.0 if simplex else alpha
        for attempt in range(2):
            if tangent:
                for k in range(K):
                    a[k] = old[k]
                    slope[k] = 0.5 * alpha / math.sqrt(max(old[k], _SMALL))
                    if attempt == 1:
                        # A slope that no fit can pay keeps zero at zero.
                        slope[k] = 0.5 * alpha / math.sqrt(max(old[k], 1e-60))
            for k in range(K):
                c[k] -= slope[k]
            solve_pixel(H, c, simplex, a, support, free, L, z, one)
            for k in range(K):
                c[k] += slope[k]
            if not tangent or attempt == 1:
                break
            change = 0.0
            for k in range(K):
                g = -c[k]
                for j in range(K):
                    g += 0.5 * H[k, j] * (a[j] + old[j])
                change += g * (a[k] - old[k])
                change += alpha * (math.sqrt(a[k]) - math.sqrt(old[k]))
            if change <= 0.0:
                break
        for k in range(K):
            A[n, k] = a[k]
        account(A, n, before, degree, root, sums)


@jit(**_SUMS)
def sweep_endmembers(P, Q, M, unit, n_inner, dead):
    """Exact minimisation over one endmember after the other, in place.

    `dead` tells afterwards which of them have no minimiser and were left alone.
    """
    K, L = M.shape
    b = np.empty(L)
    for _ in range(n_inner):
        for k in range(K):
            for j in range(L):
                b[j] = P[k, j]
            for i in range(K):
                q = Q[k, i]
                if i != k:
                    for j in range(L):
                        b[j] -= q * M[i, j]
            square, scale = 0.0, 0.0
            for j in range(L):
                b[j] = b[j] if b[j] > 0.0 else 0.0
                square += b[j] * b[j]
                scale += P[k, j] * P[k, j]
            size = math.sqrt(square)
            vanishes = not size > 1e-14 * math.sqrt(scale)
            dead[k] = Q[k, k] <= 0.0 or (unit and vanishes)
            if not dead[k]:
                h = size if unit else Q[k, k]
                for j in range(L):
                    M[k, j] = b[j] / h


@jit()
def extrapolate(A, A_old, beta):
    """Overwrite `A_old` by the non-negative part of the line through A_old and A."""
    zero = beta - beta
    for i in range(A.shape[0]):
        a, old = A[i], A_old[i]
        for j in range(A.shape[1]):
            old[j] = max(a[j] + beta * (a[j] - old[j]), zero)


@jit(**_SUMS)
def extrapolate_endmembers(M, M_old, beta, unit, out):
    """The same for endmembers, brought back to unit length where asked for."""
    for k in range(M.shape[0]):
        square = 0.0
        for j in range(M.shape[1]):
            m = max(M[k, j] + beta * (M[k, j] - M_old[k, j]), 0.0)
            out[k, j] = m
            square += m * m
        if unit and square > 0.0:
            size = math.sqrt(square)
            for j in range(M.shape[1]):
                out[k, j] /= size
        elif unit:
            out[k] = M[k]


@jit()
def graph_sums(A, indptr, indices, weights, sums):
    """Add the graph terms of the objective to `sums`."""
    for n in range(A.shape[0]):
        square, cross, degree = 0.0, 0.0, 0.0
        for k in range(A.shape[1]):
            x = float(A[n, k])
            square += x * x
        for t in range(indptr[n], indptr[n + 1]):
            m = indices[t]
            degree += weights[t]
            if m >= n:
                continue
            for k in range(A.shape[1]):
                cross += weights[t] * A[m, k] * A[n, k]
        sums[CROSS] += cross
        sums[DEGREE] += degree * square
