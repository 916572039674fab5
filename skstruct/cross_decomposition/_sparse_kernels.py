"""Loops of the sparse canonical correlation classes."""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit

# Values this close to the largest one, relatively, count as tied with it.
TIE = 1e-12


@jit()
def threshold_depth(b, bound):
    """How far below the largest value the soft threshold of an l1 bound lies.

    For b sorted in descending order finds h such that the vector ``u_i = max(h - (b_0
    - b_i), 0)`` has ``||u||_1 = bound ||u||_2``. Everything is written in the depths
    ``g_i = b_0 - b_i``, which are exact where values are nearly equal; sums of the
    values themselves would cancel there.

    Parameters
    ----------
    b : ndarray of shape (p,)
        Nonnegative, descending, ``b[0] > 0``.
    bound : float
        At least 1.

    Returns
    -------
    h : float
        ``b[0]`` when no threshold is needed.
    n_tied : int
        When positive, the first `n_tied` values are tied at the maximum and no
        threshold reaches the bound: they share the weight equally, and `h` is 0.
    """
    p = b.size
    top = b[0]
    c2 = bound * bound
    sum_g = 0.0
    sum_g2 = 0.0
    for m in range(1, p + 1):
        g = top - b[m - 1]
        sum_g += g
        sum_g2 += g * g
        h = top if m == p else top - b[m]
        # l1 and l2 norm of the vector whose threshold is the next value.
        l1 = m * h - sum_g
        l2 = np.sqrt(max(m * h * h - 2.0 * h * sum_g + sum_g2, 0.0))
        if m < p and h <= TIE * top:
            continue
        if l1 < bound * l2:
            continue
        if m <= c2 * (1.0 + 1e-15):
            # Only m equal values have the ratio sqrt(m), the largest possible one.
            return 0.0, m
        mean = sum_g / m
        spread = np.sqrt(max(sum_g2 / m - mean * mean, 0.0))
        root = mean + bound * spread / np.sqrt(m - c2)
        if root <= TIE * top:
            return 0.0, m
        return min(root, h), 0
    return top, 0


@jit()
def _solve_for_signs(G, q, w, l1, l2):
    """Move the nonzeros of w towards the minimiser with the same signs, in place.

    The criterion is quadratic as long as no sign changes, so that it does not rise on
    the way; where a first weight becomes zero the way ends.

    Returns
    -------
    bool
        Whether the minimiser was reached.
    """
    support = np.flatnonzero(w)
    s = support.size
    L = np.empty((s, s))
    new = np.empty(s)
    for a in range(s):
        i = support[a]
        for b in range(a):
            L[a, b] = G[i, support[b]]
            for c in range(b):
                L[a, b] -= L[a, c] * L[b, c]
            L[a, b] /= L[b, b]
        pivot = G[i, i] + l2
        for c in range(a):
            pivot -= L[a, c] * L[a, c]
        if not pivot > 1e-9 * (G[i, i] + l2):
            # Dependent columns: the minimiser is not unique.
            return False
        L[a, a] = np.sqrt(pivot)
        new[a] = q[i] - l1 * np.sign(w[i])
        for b in range(a):
            new[a] -= L[a, b] * new[b]
        new[a] /= L[a, a]
    share, first = 1.0, -1
    for a in range(s - 1, -1, -1):
        for b in range(a + 1, s):
            new[a] -= L[b, a] * new[b]
        new[a] /= L[a, a]
        old = w[support[a]]
        if new[a] * old <= 0.0 and old / (old - new[a]) < share:
            share, first = old / (old - new[a]), a
    for a in range(s):
        w[support[a]] += share * (new[a] - w[support[a]])
    if first >= 0:
        w[support[first]] = 0.0
    return first < 0


@jit()
def elastic_net_gram(G, q, w, l1, l2, positive, tol, max_passes):
    """Minimise ``w'Gw/2 - q'w + l1 |w|_1 + l2/2 |w|^2`` in place.

    Coordinate descent; between passes the nonzeros are solved for, once a pass has
    left all signs as they were.

    Parameters
    ----------
    G : ndarray of shape (m, m)
        Gram matrix of the working columns over the number of samples.
    q : ndarray of shape (m,)
        Their products with the target over the number of samples.
    w : ndarray of shape (m,)
        Start, overwritten by the solution.
    l1, l2 : float
    positive : bool
    tol : float
        Largest change of a coordinate, in the last pass, times the root mean square of
        its column.
    max_passes : int

    Returns
    -------
    n_passes : int
    """
    m = q.size
    residual = np.empty(m)
    stale = True
    wait = 1
    for n_passes in range(1, max_passes + 1):
        if stale:
            residual[:] = q
            for j in range(m):
                if w[j] != 0.0:
                    for i in range(m):
                        residual[i] -= G[j, i] * w[j]
            stale = False
        largest = 0.0
        same_signs = True
        for j in range(m):
            curvature = G[j, j]
            if curvature == 0.0:
                w[j] = 0.0
                continue
            old = w[j]
            z = residual[j] + curvature * old
            if z > l1:
                new = (z - l1) / (curvature + l2)
            elif z < -l1 and not positive:
                new = (z + l1) / (curvature + l2)
            else:
                new = 0.0
            if new != old:
                change = new - old
                w[j] = new
                for i in range(m):
                    residual[i] -= change * G[j, i]
                largest = max(largest, abs(change) * np.sqrt(curvature))
                same_signs = same_signs and new * old > 0.0
        if largest <= tol:
            return n_passes
        wait -= 1
        if same_signs and wait <= 0:
            reached = _solve_for_signs(G, q, w, l1, l2)
            stale = True
            # Signs that are not those of the solution cost more than they give.
            wait = 1 if reached else 4
    return max_passes


@jit(fastmath={"reassoc", "contract"})
def elastic_net_residual(
    columns, squares, residual, w, l1, l2, positive, tol, max_passes
):
    """The same with the residual in sample space, for many working columns.

    Parameters
    ----------
    columns : ndarray of shape (m, n)
        Working columns as rows.
    squares : ndarray of shape (m,)
        Their mean squares.
    residual : ndarray of shape (n,)
        Target minus prediction of `w`; kept up to date in place.
    w : ndarray of shape (m,)
        Start, overwritten by the solution.
    l1, l2, positive, tol, max_passes
        As in :func:`elastic_net_gram`.

    Returns
    -------
    n_passes : int
    """
    m, n = columns.shape
    for n_passes in range(1, max_passes + 1):
        largest = 0.0
        for j in range(m):
            if squares[j] == 0.0:
                w[j] = 0.0
                continue
            dot = 0.0
            for i in range(n):
                dot += columns[j, i] * residual[i]
            old = w[j]
            z = dot / n + squares[j] * old
            if z > l1:
                new = (z - l1) / (squares[j] + l2)
            elif z < -l1 and not positive:
                new = (z + l1) / (squares[j] + l2)
            else:
                new = 0.0
            if new != old:
                change = new - old
                w[j] = new
                for i in range(n):
                    residual[i] -= change * columns[j, i]
                largest = max(largest, abs(change) * np.sqrt(squares[j]))
        if largest <= tol:
            return n_passes
    return max_passes


@jit(fastmath={"reassoc", "contract"})
def standardize_columns(X, rows, mean, root, scale, ddof):
    """Centred and scaled columns of X as rows of a new array, in one pass over X.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    rows : ndarray of shape (p, n)
        Overwritten by the result, zeros for constant columns.
    mean, root : ndarrays of shape (p,)
        Overwritten by the mean and by the root of the sum of centred squares.
    scale : bool
        Whether to divide by the standard deviation.
    ddof : int
    """
    n, p = X.shape
    rounding = np.sqrt(n) * 10.0 * n * 2.220446049250313e-16
    whole = n - n % 8
    # Columns of a block are transposed and read three times while in cache.
    for start in range(0, p, 64):
        stop = min(start + 64, p)
        for i in range(0, whole, 8):
            for j in range(start, stop):
                # Eight rows of X at once fill a line of the cache.
                rows[j, i], rows[j, i + 1] = X[i, j], X[i + 1, j]
                rows[j, i + 2], rows[j, i + 3] = X[i + 2, j], X[i + 3, j]
                rows[j, i + 4], rows[j, i + 5] = X[i + 4, j], X[i + 5, j]
                rows[j, i + 6], rows[j, i + 7] = X[i + 6, j], X[i + 7, j]
        for i in range(whole, n):
            for j in range(start, stop):
                rows[j, i] = X[i, j]
        for j in range(start, stop):
            total = 0.0
            for i in range(n):
                total += rows[j, i]
            center = total / n
            squares = 0.0
            for i in range(n):
                d = rows[j, i] - center
                rows[j, i] = d
                squares += d * d
            mean[j] = center
            root[j] = np.sqrt(squares)
            if root[j] <= rounding * abs(center):
                factor = 0.0
            elif scale:
                factor = np.sqrt(n - ddof) / root[j]
            else:
                continue
            for i in range(n):
                rows[j, i] *= factor
