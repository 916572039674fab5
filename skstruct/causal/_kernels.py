"""Loops over pairs of variables: cumulants, their covariance, the J test.

A pair (x, z) is described by its central moments ``m[a, b] = mean(x**a * z**b)`` of
the standardised columns. Its cumulants stand in one vector, order by order:
``c[offset(n) + l] = C(x repeated n - l times, z repeated l times)``.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit


@jit()
def _offset(order):
    """Position of the first cumulant of an order; orders start at 2."""
    return (order * (order + 1)) // 2 - 3


@jit()
def _binomials(size):
    C = np.zeros((size + 1, size + 1))
    for a in range(size + 1):
        C[a, 0] = 1.0
        for i in range(1, a + 1):
            C[a, i] = C[a - 1, i - 1] + C[a - 1, i]
    return C


@jit()
def central_moments(raw):
    """Central moments of a pair from raw ones; raw[0, 0] = 1, both (d + 1, d + 1).

    Entries with a + b > d are left zero. The result is scaled to unit variances;
    the scales are returned too.
    """
    d = raw.shape[0] - 1
    C = _binomials(d)
    mx, mz = raw[1, 0], raw[0, 1]
    m = np.zeros((d + 1, d + 1))
    for a in range(d + 1):
        for b in range(d + 1 - a):
            total = 0.0
            for i in range(a + 1):
                for j in range(b + 1):
                    total += (
                        C[a, i]
                        * C[b, j]
                        * (-mx) ** (a - i)
                        * (-mz) ** (b - j)
                        * raw[i, j]
                    )
            m[a, b] = total
    m[1, 0] = 0.0
    m[0, 1] = 0.0
    sx, sz = np.sqrt(m[2, 0]), np.sqrt(m[0, 2])
    for a in range(d + 1):
        for b in range(d + 1 - a):
            m[a, b] /= sx**a * sz**b
    return m, sx, sz


@jit()
def pair_cumulants(m, max_order):
    """Cumulants of orders 2 to max_order and their derivatives by the moments.

    Returns c (size,) and D (size, size), where D[r, s] is the derivative of cumulant r
    by the central moment with the same position as cumulant s.
    """
    size = _offset(max_order + 1)
    C = _binomials(max_order)
    c = np.zeros(size)
    D = np.zeros((size, size))
    for n in range(2, max_order + 1):
        for l in range(n + 1):
            a, b = n - l, l
            r = _offset(n) + l
            c[r] = m[a, b]
            D[r, r] = 1.0
            # m_ab sums over the block that holds one chosen argument, an x if any;
            # (i, j) are the arguments outside of that block.
            x_first = a > 0
            free_x = a - 1 if x_first else 0
            free_z = b if x_first else b - 1
            for i in range(free_x + 1):
                for j in range(free_z + 1):
                    ways = C[free_x, i] * C[free_z, j]
                    outside = i + j
                    inside = n - outside
                    if outside < 2 or inside < 2:
                        continue
                    k = _offset(inside) + (b - j)
                    s = _offset(outside) + j
                    c[r] -= ways * c[k] * m[i, j]
                    D[r, s] -= ways * c[k]
                    for t in range(size):
                        if D[k, t] != 0.0:
                            D[r, t] -= ways * m[i, j] * D[k, t]
    return c, D


@jit()
def moment_covariance(m, max_order):
    """n times the covariance of the central moments of orders 2 to max_order.

    Needs moments up to order ``2 * max_order``.
    """
    size = _offset(max_order + 1)
    S = np.zeros((size, size))
    for n1 in range(2, max_order + 1):
        for b in range(n1 + 1):
            a = n1 - b
            r = _offset(n1) + b
            for n2 in range(2, max_order + 1):
                for d in range(n2 + 1):
                    c = n2 - d
                    s = _offset(n2) + d
                    if s < r:
                        S[r, s] = S[s, r]
                        continue
                    # Lower moments of a zero power are never used: factor 0.
                    ma = m[a - 1, b] if a > 0 else 0.0
                    mb = m[a, b - 1] if b > 0 else 0.0
                    mc = m[c - 1, d] if c > 0 else 0.0
                    md = m[c, d - 1] if d > 0 else 0.0
                    v = m[a + c, b + d] - m[a, b] * m[c, d]
                    v -= c * mc * m[a + 1, b] + d * md * m[a, b + 1]
                    v -= a * ma * m[c + 1, d] + b * mb * m[c, d + 1]
                    v += a * c * ma * mc * m[2, 0] + b * d * mb * md * m[0, 2]
                    v += (a * d * ma * md + b * c * mb * mc) * m[1, 1]
                    S[r, s] = v
    return S


@jit()
def cumulant_covariance(D, S):
    """D S D'."""
    size = D.shape[0]
    DS = np.zeros((size, size))
    for i in range(size):
        for k in range(size):
            if D[i, k] != 0.0:
                for j in range(size):
                    DS[i, j] += D[i, k] * S[k, j]
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            total = 0.0
            for k in range(size):
                total += DS[i, k] * D[j, k]
            out[i, j] = total
    return out


@jit()
def _cholesky_solve(W, R):
    """Overwrite R (m, r) by W^-1 R; W (m, m) positive definite is overwritten too."""
    m = W.shape[0]
    for j in range(m):
        for k in range(j):
            W[j, j] -= W[j, k] * W[j, k]
        W[j, j] = np.sqrt(max(W[j, j], 1e-300))
        for i in range(j + 1, m):
            for k in range(j):
                W[i, j] -= W[i, k] * W[j, k]
            W[i, j] /= W[j, j]
    for col in range(R.shape[1]):
        for i in range(m):
            for k in range(i):
                R[i, col] -= W[i, k] * R[k, col]
            R[i, col] /= W[i, i]
        for i in range(m - 1, -1, -1):
            for k in range(i + 1, m):
                R[i, col] -= W[k, i] * R[k, col]
            R[i, col] /= W[i, i]


@jit()
def j_test(c, Sigma, n, rows, k, shift, use_shift, shrink=0.0):
    """Overidentification test of a linear recurrence of length k.

    Row t says ``c[rows[t] + k] + sum_i q_i c[rows[t] + i] = 0``. With `use_shift` the
    left-hand sides are recentred by `shift` (bootstrap). Returns J and q; g ends in
    `shift` otherwise, so that a bootstrap can use it. `shrink` draws the covariance of
    the rows to its diagonal.
    """
    m = rows.size
    q = np.zeros(k)
    J = 0.0
    weight = np.eye(m)
    for step in range(16):
        # The moment conditions are h + M q; columns of R: h, then M.
        R = np.zeros((m, k + 1))
        for t in range(m):
            R[t, 0] = c[rows[t] + k] - (shift[t] if use_shift else 0.0)
            for i in range(k):
                R[t, i + 1] = c[rows[t] + i]
        WR = R.copy()
        if step > 0:
            G = np.zeros((m, c.size))
            for t in range(m):
                G[t, rows[t] + k] = 1.0
                for i in range(k):
                    G[t, rows[t] + i] += q[i]
            trace = 0.0
            for s in range(m):
                for t in range(s + 1):
                    total = 0.0
                    for u in range(rows[s], rows[s] + k + 1):
                        for v in range(rows[t], rows[t] + k + 1):
                            total += G[s, u] * Sigma[u, v] * G[t, v]
                    if s != t:
                        total *= 1.0 - shrink
                    weight[s, t] = total
                    weight[t, s] = total
                trace += weight[s, s]
            for t in range(m):
                weight[t, t] += 1e-10 * trace / m + 1e-300
            _cholesky_solve(weight, WR)
        N = np.zeros((k, k))
        b = np.zeros((k, 1))
        for i in range(k):
            for t in range(m):
                b[i, 0] -= WR[t, i + 1] * R[t, 0]
            for j in range(k):
                for t in range(m):
                    N[i, j] += WR[t, i + 1] * R[t, j + 1]
        trace = 0.0
        for i in range(k):
            trace += N[i, i]
        for i in range(k):
            N[i, i] += 1e-13 * trace + 1e-300
        _cholesky_solve(N, b)
        change = 0.0
        for i in range(k):
            change = max(change, abs(b[i, 0] - q[i]))
            q[i] = b[i, 0]
        J = 0.0
        for t in range(m):
            left, right = R[t, 0], WR[t, 0]
            for i in range(k):
                left += R[t, i + 1] * q[i]
                right += WR[t, i + 1] * q[i]
            J += left * right
        J *= n
        if step > 0 and (change < 1e-8 or k == 0):
            break
    if not use_shift:
        for t in range(m):
            shift[t] = c[rows[t] + k]
            for i in range(k):
                shift[t] += q[i] * c[rows[t] + i]
    return J, q


@jit()
def recurrence_rows(k, low, high, ends):
    """First positions of the rows of length k in orders low to high.

    ends: 0 shared components only; 1 also l = 0 (x has no component of its own);
    2 also l = n (z has none).
    """
    rows = np.zeros(64, dtype=np.int64)
    count = 0
    for n in range(low, high + 1):
        first = 0 if ends == 1 else 1
        last = n if ends == 2 else n - 1
        for l in range(first, last - k + 1):
            rows[count] = _offset(n) + l
            count += 1
    return rows[:count]


@jit()
def hypothesis_rows(t, count, max_order):
    """Length of the recurrence and rows of hypothesis t of `count`."""
    low_order = min(4, max_order)
    if t == 0:
        k, low, high, ends = 0, 2, low_order, 0
    elif t < 3:
        k, low, high, ends = 1, 2, low_order, t
    elif t == 3:
        k, low, high, ends = 1, 3, max_order, 0
    elif t < count - 2:
        k, low, high, ends = 2 + (t - 4) // 2, 3, max_order, 1 + (t - 4) % 2
    else:
        k, low, high, ends = 1, 2, max_order, t - (count - 2) + 1
    return k, recurrence_rows(k, low, high, ends)


@jit()
def pair_hypotheses(raw, n, max_order, max_components):
    """All J tests of one pair.

    Hypotheses in this order: independent; one shared component: forward, backward,
    neither; then for k = 2 .. max_components: forward, backward; at the end one
    shared component forward and backward once more, with all orders.

    Returns statistics (h,), degrees of freedom (h,), coefficients q (h, max_components)
    and the correlation.
    """
    m, _, _ = central_moments(raw)
    c, D = pair_cumulants(m, max_order)
    Sigma = cumulant_covariance(D, moment_covariance(m, max_order))
    h = 6 + 2 * (max_components - 1)
    J, dof = np.zeros(h), np.zeros(h)
    Q = np.zeros((h, max_components))
    shift = np.zeros(64)
    for t in range(h):
        k, rows = hypothesis_rows(t, h, max_order)
        dof[t] = rows.size - k
        if dof[t] > 0:
            J[t], q = j_test(c, Sigma, n, rows, k, shift, False)
            Q[t, :k] = q
    return J, dof, Q, c[1]


@jit()
def tilted_hypotheses(c, Sigma, n, max_components, centre, use_centre, shrink):
    """J tests of one pair from its tilted cumulants; hypotheses as above.

    c (60,) stands in five parts of orders 2 to 4 each. An edge alone is tested by
    orders 2 and 3, what has a latent by orders 3 and 4; independence is not tested
    (statistic 0). centre (h, 64) holds the left-hand sides of the sample, written
    without `use_centre` and subtracted with it (bootstrap).
    """
    h = 6 + 2 * (max_components - 1)
    part = _offset(5)
    J, dof = np.zeros(h), np.zeros(h)
    Q = np.zeros((h, max_components))
    for t in range(1, h - 2):
        if t < 3:
            k, low, high, ends = 1, 2, 3, t
        elif t == 3:
            k, low, high, ends = 1, 3, 4, 0
        else:
            k, low, high, ends = 2 + (t - 4) // 2, 3, 4, 1 + (t - 4) % 2
        once = recurrence_rows(k, low, high, ends)
        rows = np.empty(5 * once.size, dtype=np.int64)
        for b in range(5):
            rows[b * once.size : (b + 1) * once.size] = once + b * part
        dof[t] = rows.size - k
        J[t], q = j_test(c, Sigma, n, rows, k, centre[t], use_centre, shrink)
        Q[t, :k] = q
    for t in range(2):
        J[h - 2 + t], dof[h - 2 + t], Q[h - 2 + t] = J[1 + t], dof[1 + t], Q[1 + t]
    return J, dof, Q


@jit()
def all_pairs(raw, n, max_order, max_components):
    """`pair_hypotheses` of every pair i < j; raw (d + 1, d + 1, p, p)."""
    d, p = raw.shape[0], raw.shape[2]
    h = 6 + 2 * (max_components - 1)
    pairs = p * (p - 1) // 2
    J, dof = np.zeros((pairs, h)), np.zeros((pairs, h))
    Q = np.zeros((pairs, h, max_components))
    rho = np.zeros(pairs)
    one = np.zeros((d, d))
    t = 0
    for i in range(p):
        for j in range(i + 1, p):
            for a in range(d):
                for b in range(d - a):
                    one[a, b] = raw[a, b, i, j]
            J[t], dof[t], Q[t], rho[t] = pair_hypotheses(
                one, n, max_order, max_components
            )
            t += 1
    return J, dof, Q, rho


@jit()
def bootstrap_pair(raws, raw, n, max_order, max_components):
    """J of every hypothesis in every replicate, conditions recentred.

    raws (B, d + 1, d + 1): raw moments of the replicates; raw: of the sample.
    """
    h = 6 + 2 * (max_components - 1)
    out = np.zeros((raws.shape[0], h))
    m, sx, sz = central_moments(raw)
    c, D = pair_cumulants(m, max_order)
    Sigma = cumulant_covariance(D, moment_covariance(m, max_order))
    centre = np.zeros((h, 64))
    for r in range(-1, raws.shape[0]):
        if r >= 0:
            m, s1, s2 = central_moments(raws[r])
            c, D = pair_cumulants(m, max_order)
            # Back to the units of the sample: the recentring must match.
            for order in range(2, max_order + 1):
                for l in range(order + 1):
                    f = (s1 / sx) ** (order - l) * (s2 / sz) ** l
                    c[_offset(order) + l] *= f
                    for s in range(D.shape[1]):
                        D[_offset(order) + l, s] *= f
            Sigma = cumulant_covariance(D, moment_covariance(m, max_order))
        for t in range(h):
            k, rows = hypothesis_rows(t, h, max_order)
            if rows.size - k > 0:
                J, _ = j_test(c, Sigma, n, rows, k, centre[t], r >= 0)
                if r >= 0:
                    out[r, t] = J
    return out
