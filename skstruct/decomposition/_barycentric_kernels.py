"""Loops of barycentric subspace analysis: enumeration of subsets, small programmes.

`kind` is the curvature: 0 flat, 1 sphere, -1 hyperbolic. A residual is given by its
square s: the chord length in flat space, the squared sine or hyperbolic sine of the
geodesic distance else. The cost of a point is the p-th power of the distance.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit

_SUM = {"reassoc", "contract"}


@jit()
def power_cost(kind, p, s):
    """Distance to the power p, from the squared residual s."""
    if s <= 0.0:
        return 0.0
    if kind == 0:
        if p == 2.0:
            return s
        return s ** (0.5 * p)
    if kind == 1:
        d = np.arcsin(np.sqrt(min(s, 1.0)))
    else:
        d = np.arcsinh(np.sqrt(s))
    if p == 2.0:
        return d * d
    if p == 1.0:
        return d
    return d**p


@jit(fastmath=_SUM)
def lower_bound(kind, p, diagonal, row, inverse, weights):
    """Bound from below of :func:`exact_cost`, without a transcendental function.

    arcsin(x)^2 is at least the head of its power series, all of whose terms are
    positive; arcsinh(x) >= x / sqrt(1 + x^2 / 3), since the derivatives are ordered.
    """
    total = 0.0
    n = diagonal.shape[0]
    if kind == 0:
        if p == 2.0:
            for j in range(n):
                s = diagonal[j] - row[j] * row[j] * inverse
                total += weights[j] * max(s, 0.0)
            return total
    elif p == 2.0:
        if kind == 1:
            for j in range(n):
                s = max(diagonal[j] - row[j] * row[j] * inverse, 0.0)
                head = 8.0 / 45.0 + s * (4.0 / 35.0 + s * (128.0 / 1575.0))
                total += weights[j] * s * (1.0 + s * (1.0 / 3.0 + s * head))
            return total
        for j in range(n):
            s = max(diagonal[j] - row[j] * row[j] * inverse, 0.0)
            total += weights[j] * s / (1.0 + s * (1.0 / 3.0))
        return total
    for j in range(n):
        s = max(diagonal[j] - row[j] * row[j] * inverse, 0.0)
        if kind == 1:
            s = s * (1.0 + s * (1.0 / 3.0 + s * (8.0 / 45.0)))
        elif kind == -1:
            s = s / (1.0 + s * (1.0 / 3.0))
        if p == 1.0:
            total += weights[j] * np.sqrt(s)
        else:
            total += weights[j] * s ** (0.5 * p)
    return total


@jit()
def exact_cost(kind, p, diagonal, row, inverse, weights, limit):
    """Cost after one more reference; given up once the sum exceeds `limit`."""
    total = 0.0
    n = diagonal.shape[0]
    for start in range(0, n, 64):
        for j in range(start, min(start + 64, n)):
            s = diagonal[j] - row[j] * row[j] * inverse
            total += weights[j] * power_cost(kind, p, s)
        if total > limit:
            return np.inf
    return total


@jit()
def scan_candidates(kind, p, E, diagonal, columns, floor, weights, bounds):
    """Bounds of the cost with each candidate added; inf where it is dependent.

    E has one row per candidate, its products with all residual vectors; `columns`
    holds the numbers of the candidates among the samples.
    """
    for c in range(E.shape[0]):
        pivot = diagonal[columns[c]]
        if pivot <= floor:
            bounds[c] = np.inf
        else:
            bounds[c] = lower_bound(kind, p, diagonal, E[c], 1.0 / pivot, weights)


@jit(fastmath=_SUM)
def _eliminate(E, diagonal, b, E_next, diagonal_next):
    """Schur complement of one more reference, for the rows after b."""
    n = diagonal.shape[0]
    inverse = 1.0 / diagonal[b]
    for c in range(b + 1, n):
        factor = E[c, b] * inverse
        for j in range(n):
            E_next[c, j] = E[c, j] - factor * E[b, j]
    for j in range(n):
        s = diagonal[j] - E[b, j] * E[b, j] * inverse
        diagonal_next[j] = max(s, 0.0)


@jit()
def search_subsets(kind, p, m, first, E_first, floor, weights, limit):
    """Best m-subset whose smallest index is `first`, by depth-first search.

    Parameters
    ----------
    E_first : ndarray of shape (n, n)
        Products of the residual vectors of all samples after the first reference.
    floor : float
        A reference with a smaller squared residual is affinely dependent.
    limit : float
        Cost of a known subset; subsets that cost more are given up.

    Returns
    -------
    best : float
        Smallest cost, inf when none is at most `limit`.
    best_index : ndarray of shape (m,)
    n_evaluations : int
    """
    n = E_first.shape[0]
    E = np.empty((max(m - 1, 1), n, n))
    diagonal = np.empty((max(m - 1, 1), n))
    E[0] = E_first
    for j in range(n):
        diagonal[0, j] = max(E_first[j, j], 0.0)
    chosen = np.zeros(m, dtype=np.int64)
    following = np.zeros(m, dtype=np.int64)
    best_index = np.full(m, -1, dtype=np.int64)
    best = np.inf
    # Costs that differ by rounding only are equal: the first subset in
    # lexicographic order wins.
    accept = limit * (1.0 + 1e-12)
    n_evaluations = 0
    chosen[0] = first
    following[0] = first + 1
    depth = 0
    while depth >= 0:
        if depth == m - 2:
            for c in range(chosen[depth] + 1, n):
                pivot = diagonal[depth, c]
                if pivot <= floor:
                    continue
                n_evaluations += 1
                inverse = 1.0 / pivot
                row = E[depth, c]
                bound = lower_bound(kind, p, diagonal[depth], row, inverse, weights)
                if bound > accept:
                    continue
                cost = exact_cost(
                    kind, p, diagonal[depth], row, inverse, weights, accept
                )
                if cost <= accept:
                    best = cost
                    chosen[m - 1] = c
                    best_index[:] = chosen
                    accept = cost - 1e-12 * abs(cost)
                    if cost == 0.0:
                        return best, best_index, n_evaluations
            depth -= 1
            continue
        b = following[depth]
        if b > n - (m - 1 - depth):
            depth -= 1
            continue
        following[depth] += 1
        if diagonal[depth, b] <= floor:
            continue
        _eliminate(E[depth], diagonal[depth], b, E[depth + 1], diagonal[depth + 1])
        chosen[depth + 1] = b
        following[depth + 1] = b + 1
        depth += 1
    return best, best_index, n_evaluations


@jit()
def _subset_rank(subset, size, skip, binomials):
    """Place of a sorted subset, without its entry number `skip`, among all."""
    rank = 0
    place = 0
    for i in range(size):
        if i != skip:
            place += 1
            rank += binomials[subset[i], place]
    return rank


@jit()
def flag_level(
    kind, p, m, first, E_first, floor, weights, limit, below, binomials, level
):
    """One level of the dynamic programme, for subsets that start at `first`.

    ``AUV*(S) = cost(S) + min_i AUV*(S without i)``: `below` holds AUV* of all
    subsets of m - 1 samples by rank; the values of the m-subsets go to `level`,
    which is empty at the last level. A subset that exceeds `limit`, the value of a
    known flag, belongs to no better flag and gets inf.

    Returns
    -------
    best : float
    best_index : ndarray of shape (m,)
    n_evaluations : int
    """
    n = E_first.shape[0]
    E = np.empty((max(m - 1, 1), n, n))
    diagonal = np.empty((max(m - 1, 1), n))
    E[0] = E_first
    for j in range(n):
        diagonal[0, j] = max(E_first[j, j], 0.0)
    chosen = np.zeros(m, dtype=np.int64)
    following = np.zeros(m, dtype=np.int64)
    best_index = np.full(m, -1, dtype=np.int64)
    best = np.inf
    keep = level.shape[0] > 0
    # Slack: a flag equal to the known one must survive the pruning.
    accept = limit * (1.0 + 1e-9)
    n_evaluations = 0
    chosen[0] = first
    following[0] = first + 1
    depth = 0
    while depth >= 0:
        if depth == m - 2:
            for c in range(chosen[depth] + 1, n):
                pivot = diagonal[depth, c]
                if pivot <= floor:
                    continue
                chosen[m - 1] = c
                least = np.inf
                for i in range(m):
                    value = below[_subset_rank(chosen, m, i, binomials)]
                    least = min(least, value)
                if least >= accept:
                    continue
                inverse = 1.0 / pivot
                row = E[depth, c]
                n_evaluations += 1
                bound = lower_bound(kind, p, diagonal[depth], row, inverse, weights)
                if least + bound > accept:
                    continue
                value = least + exact_cost(
                    kind, p, diagonal[depth], row, inverse, weights, accept - least
                )
                if keep:
                    level[_subset_rank(chosen, m, -1, binomials)] = value
                elif value < best * (1.0 - 1e-12):
                    best = value
                    best_index[:] = chosen
            depth -= 1
            continue
        b = following[depth]
        if b > n - (m - 1 - depth):
            depth -= 1
            continue
        following[depth] += 1
        if diagonal[depth, b] <= floor:
            continue
        _eliminate(E[depth], diagonal[depth], b, E[depth + 1], diagonal[depth + 1])
        chosen[depth + 1] = b
        following[depth + 1] = b + 1
        depth += 1
    return best, best_index, n_evaluations


# -- small quadratic programmes: convex weights and sorted spectra ---------------------


@jit()
def _solve_passive(Q, c, passive, size, L, z):
    """Solve Q z = c on the passive set by Cholesky; False when it is singular."""
    for a in range(size):
        for b in range(a + 1):
            value = Q[passive[a], passive[b]]
            for t in range(b):
                value -= L[a, t] * L[b, t]
            if a == b:
                if value <= 1e-13 * Q[passive[a], passive[a]]:
                    return False
                L[a, a] = np.sqrt(value)
            else:
                L[a, b] = value / L[b, b]
    for a in range(size):
        value = c[passive[a]]
        for t in range(a):
            value -= L[a, t] * z[t]
        z[a] = value / L[a, a]
    for a in range(size - 1, -1, -1):
        value = z[a]
        for t in range(a + 1, size):
            value -= L[t, a] * z[t]
        z[a] = value / L[a, a]
    return True


@jit()
def nonnegative_programme(Q, c, u):
    """Minimise u'Qu/2 - c'u over u >= 0 by the active-set method of Lawson, Hanson."""
    n = c.shape[0]
    passive = np.empty(n, dtype=np.int64)
    inside = np.zeros(n, dtype=np.bool_)
    blocked = np.zeros(n, dtype=np.bool_)
    L = np.zeros((n, n))
    z = np.zeros(n)
    u[:] = 0.0
    size = 0
    scale = 0.0
    for i in range(n):
        scale = max(scale, abs(c[i]))
    for _ in range(10 * n + 20):
        entering = -1
        steepest = 1e-13 * scale
        for i in range(n):
            if inside[i] or blocked[i]:
                continue
            slope = c[i]
            for t in range(size):
                slope -= Q[i, passive[t]] * u[passive[t]]
            if slope > steepest:
                steepest = slope
                entering = i
        if entering < 0:
            return
        passive[size] = entering
        inside[entering] = True
        size += 1
        while True:
            if not _solve_passive(Q, c, passive, size, L, z):
                # Dependent on the others: it cannot help where they are.
                size -= 1
                inside[passive[size]] = False
                blocked[passive[size]] = True
                break
            step = 1.0
            for t in range(size):
                if z[t] <= 0.0:
                    i = passive[t]
                    step = min(step, u[i] / (u[i] - z[t]))
            for t in range(size):
                i = passive[t]
                u[i] += step * (z[t] - u[i])
            if step >= 1.0:
                blocked[:] = False
                break
            kept = 0
            removed_entering = False
            for t in range(size):
                i = passive[t]
                if z[t] <= 0.0 and u[i] <= 1e-14 * (1.0 + abs(z[t])):
                    u[i] = 0.0
                    inside[i] = False
                    removed_entering = removed_entering or i == entering
                else:
                    passive[kept] = i
                    kept += 1
            size = kept
            if removed_entering:
                blocked[entering] = True
            if size == 0:
                break


@jit()
def simplex_projections(G, products, squares, weights):
    """Convex weights of the nearest point of the hull of m points, for each row.

    Parameters
    ----------
    G : ndarray of shape (m, m)
        Products of the points.
    products : ndarray of shape (n, m)
        Products of the rows with the points.
    squares : ndarray of shape (n,)
        Squared norms of the rows.
    weights : ndarray of shape (n, m)
        Output.

    Notes
    -----
    With z_i = x_i - y, ``min |Z u|^2 + (1 - sum u)^2`` over u >= 0 has the weights
    ``u / sum u`` of the nearest point for any scale of the second term.
    """
    m = G.shape[0]
    Q = np.empty((m, m))
    c = np.ones(m)
    for j in range(products.shape[0]):
        trace = 0.0
        for a in range(m):
            for b in range(m):
                Q[a, b] = G[a, b] - products[j, a] - products[j, b] + squares[j]
            trace += Q[a, a]
        # The second term in the units of the first, so that neither is lost.
        unit = max(trace / m, 1e-300)
        for a in range(m):
            for b in range(m):
                Q[a, b] = Q[a, b] / unit + 1.0
        nonnegative_programme(Q, c, weights[j])
        total = 0.0
        for a in range(m):
            total += weights[j, a]
        for a in range(m):
            weights[j, a] /= total


@jit()
def ordered_projections(B, drops, base_steps, directions):
    """Nearest ascending points of an affine subspace, in its own coordinates.

    Minimise ``|b - b0|^2`` over b with ``base_steps + directions b >= 0``, for each
    row b0 of `B`, which is overwritten. `drops` (n,) marks rows that need it.

    Notes
    -----
    Least distance programming: with C = directions and d = -(base_steps + C b0),
    ``u = argmin |C'u|^2 + (d'u - 1)^2`` over u >= 0 gives ``C'u / (1 - d'u)``.
    """
    n_steps, k = directions.shape
    Q = np.empty((n_steps, n_steps))
    d = np.empty(n_steps)
    u = np.empty(n_steps)
    products = np.empty((n_steps, n_steps))
    for a in range(n_steps):
        for b in range(n_steps):
            value = 0.0
            for t in range(k):
                value += directions[a, t] * directions[b, t]
            products[a, b] = value
    for j in range(B.shape[0]):
        if not drops[j]:
            continue
        size = 0.0
        for a in range(n_steps):
            d[a] = -base_steps[a]
            for t in range(k):
                d[a] -= directions[a, t] * B[j, t]
            size = max(size, abs(d[a]))
        if size == 0.0:
            continue
        for a in range(n_steps):
            d[a] /= size
        for a in range(n_steps):
            for b in range(n_steps):
                Q[a, b] = products[a, b] + d[a] * d[b]
        nonnegative_programme(Q, d, u)
        slack = 1.0
        for a in range(n_steps):
            slack -= d[a] * u[a]
        if slack <= 1e-14:
            continue
        for t in range(k):
            value = 0.0
            for a in range(n_steps):
                value += directions[a, t] * u[a]
            B[j, t] += size * value / slack
