"""The pass over the points of an incremental Gaussian mixture.

A component's matrix is stored as ``scale * P`` (precision, lower triangle of P) or
``scale * R'R`` (covariance, upper triangle of R), so that the factor 1/(1-w) or (1-w)
of an update costs one multiplication. The rank-one part of an update waits until the
component's matrix is read for the next point: update and product then share one pass
over the triangle, which is all the memory traffic that a point needs.
"""

# SPDX-License-Identifier: BSD-3-Clause

import math

import numpy as np

from .._jit import jit

_SUMS = {"fastmath": {"reassoc", "contract"}}

# Why the pass came back before the last row.
DONE, FULL, REFRESH = 0, 1, 2

# A step of 1 would leave nothing of the old covariance and divide by zero.
_LARGEST_STEP = 1.0 - 1e-8
# The published update is legal while 1 + k d2 > 0; below this it has lost all digits.
_SMALLEST_GROWTH = 1e-10
_LARGEST_SCALE = 1e100


# Helpers are inlined before compilation: a call with array arguments costs as much as
# a small component's whole update.
@jit(inline="always", **_SUMS)
def _precision_pass(factor, j, c, t, e, u, diagonal):
    """``P -= c t t'`` and ``u = P e`` on the lower triangle; returns ``e' P e``.

    P is ``factor[j]``, the vectors are rows j. The new diagonal is also written to an
    array of its own, where the check of the floor finds it without touching D cache
    lines.
    """
    D = factor.shape[1]
    if c == 0.0:
        for i in range(D):
            ei = e[j, i]
            s = 0.0
            for m in range(i):
                s += factor[j, i, m] * e[j, m]
                u[j, m] += factor[j, i, m] * ei
            u[j, i] = s + factor[j, i, i] * ei
            diagonal[j, i] = factor[j, i, i]
    else:
        for i in range(D):
            ei = e[j, i]
            ct = c * t[j, i]
            s = 0.0
            for m in range(i):
                v = factor[j, i, m] - ct * t[j, m]
                factor[j, i, m] = v
                s += v * e[j, m]
                u[j, m] += v * ei
            v = factor[j, i, i] - ct * t[j, i]
            factor[j, i, i] = v
            u[j, i] = s + v * ei
            diagonal[j, i] = v
    d2 = 0.0
    for i in range(D):
        d2 += u[j, i] * e[j, i]
    return d2


@jit(inline="always", **_SUMS)
def _cholesky_pass(factor, j, c, x, e, z, diagonal):
    """``R'R += c x x'`` by Givens rotations and ``z = R'^-1 e``; returns ``z'z``.

    Row k of the upper triangle R is rotated and then used at once in the
    substitution. `x` is overwritten.
    """
    D = factor.shape[1]
    root = math.sqrt(c)
    for i in range(D):
        z[j, i] = e[j, i]
        x[j, i] *= root
    d2 = 0.0
    for k in range(D):
        if c != 0.0 and x[j, k] != 0.0:
            r = math.hypot(factor[j, k, k], x[j, k])
            cosine = factor[j, k, k] / r
            sine = x[j, k] / r
            factor[j, k, k] = r
            for i in range(k + 1, D):
                old = factor[j, k, i]
                factor[j, k, i] = cosine * old + sine * x[j, i]
                x[j, i] = cosine * x[j, i] - sine * old
        diagonal[j, k] = factor[j, k, k]
        zk = z[j, k] / factor[j, k, k]
        d2 += zk * zk
        for i in range(k + 1, D):
            z[j, i] -= zk * factor[j, k, i]
    return d2


@jit(inline="always")
def step_size(w, d2, igmn):
    """Coefficient k of ``C_new = (1-w) (C + k e e')`` and whether igmn gave way."""
    k, gave_way = w, 0
    if igmn:
        k = w * (1.0 - 3.0 * w + w * w) / (1.0 - w)
        if not 1.0 + k * d2 > _SMALLEST_GROWTH:
            k, gave_way = w, 1
    return k, gave_way


@jit(inline="always")
def posterior(joint, K, hard, p):
    """Responsibilities of the first K components from their log joint densities."""
    top = 0
    for j in range(1, K):
        if joint[j] > joint[top]:
            top = j
    total = 0.0
    for j in range(K):
        if hard:
            p[j] = 1.0 if j == top else 0.0
        else:
            p[j] = math.exp(joint[j] - joint[top])
        total += p[j]
    for j in range(K):
        p[j] /= total


@jit()
def create(x, s, K, state, age, n_updates, mean, factor, init, cholesky):
    """Found component K at the point x with weight s."""
    state[0, K] = 1.0
    state[1, K] = 0.0
    state[2, K] = s
    age[K] = 1
    n_updates[K] = 0
    for i in range(x.size):
        mean[K, i] = x[i]
        state[1, K] += math.log(init[i])
        for m in range(x.size):
            factor[K, i, m] = 0.0
        factor[K, i, i] = math.sqrt(init[i]) if cholesky else 1.0 / init[i]


@jit()
def _remove(j, K, state, age, n_updates, mean, factor):
    """Close the gap of component j; the others keep their order."""
    for m in range(j, K - 1):
        state[:, m] = state[:, m + 1]
        age[m] = age[m + 1]
        n_updates[m] = n_updates[m + 1]
        mean[m] = mean[m + 1]
        factor[m] = factor[m + 1]


@jit(inline="always")
def _fold(j, state, D, decay, growth):
    """Add the logarithms of the products of update factors to the log-determinant."""
    if decay[j] != 1.0 or growth[j] != 1.0:
        state[1, j] += D * math.log(decay[j]) + math.log(growth[j])
        decay[j] = 1.0
        growth[j] = 1.0


@jit(**_SUMS)
def learn_points(
    X, weights, start, K, state, age, n_updates, mean, factor, init, limits, counters,
    flags, threshold, max_components, igmn, hard, cholesky, v_min, sp_min, forgetting,
    p_min, refresh_every,
):  # fmt: skip
    """Learn the rows of X from `start` on.

    Parameters
    ----------
    state : ndarray of shape (3, capacity)
        Scale, log-determinant of the covariance, accumulated posterior.
    init : ndarray of shape (D,)
        Diagonal of the covariance of a new component.
    limits : ndarray of shape (D,)
        Largest diagonal entries of a precision, smallest squared pivots of a
        covariance; a component beyond them is flagged for the floor.
    counters : ndarray of int, shape (3,)
        Components created, pruned; steps where the published update gave way.
    flags : ndarray of int, shape (capacity,)
        Set to 1 for components that need a refresh.

    Returns
    -------
    row : int
        Where to go on.
    K : int
    code : int
        DONE, FULL (no room for a new component) or REFRESH (see `flags`).
    """
    n, D = X.shape
    capacity = mean.shape[0]
    # Deviation and product of the point at hand, the update that waits: vector and
    # coefficient, and the diagonal of the matrix.
    e = np.empty((capacity, D))
    u = np.empty((capacity, D))
    t = np.empty((capacity, D))
    diagonal = np.empty((capacity, D))
    waits = np.zeros(capacity)
    d2 = np.empty(capacity)
    joint = np.empty(capacity)
    p = np.empty(capacity)
    # Logarithms are taken when a density is compared, not at every update.
    prior = np.empty(capacity)
    stale = np.ones(capacity, dtype=np.bool_)
    decay = np.ones(capacity)
    growth = np.ones(capacity)

    row, code = start, DONE
    while row < n and code == DONE:
        s = weights[row]
        if s == 0.0:
            row += 1
            continue
        novel = True
        for j in range(K):
            for i in range(D):
                e[j, i] = X[row, i] - mean[j, i]
            c = waits[j]
            waits[j] = 0.0
            if cholesky:
                d2[j] = _cholesky_pass(factor, j, c, t, e, u, diagonal) / state[0, j]
            else:
                d2[j] = _precision_pass(factor, j, c, t, e, u, diagonal) * state[0, j]
            if d2[j] < threshold:
                novel = False

        if K == 0 or (novel and K < max_components):
            if K == capacity:
                code = FULL
                continue
            for j in range(K):
                state[2, j] *= forgetting
                stale[j] = True
            create(X[row], s, K, state, age, n_updates, mean, factor, init, cholesky)
            stale[K] = True
            counters[0] += 1
            K += 1
            row += 1
            continue

        if K > 1:
            for j in range(K):
                if stale[j]:
                    _fold(j, state, D, decay, growth)
                    prior[j] = math.log(state[2, j]) - 0.5 * state[1, j]
                    stale[j] = False
                joint[j] = prior[j] - 0.5 * d2[j]
            posterior(joint, K, hard, p)
        else:
            p[0] = 1.0

        for j in range(K):
            age[j] += 1
            if forgetting < 1.0:
                state[2, j] *= forgetting
                stale[j] = True
            if p[j] < p_min:
                continue
            state[2, j] += s * p[j]
            w = min(s * p[j] / state[2, j], _LARGEST_STEP)
            k, gave_way = step_size(w, d2[j], igmn)
            counters[2] += gave_way
            grown = 1.0 + k * d2[j]
            stale[j] = True
            decay[j] *= 1.0 - w
            growth[j] *= grown
            if not (decay[j] > 1e-100 and 1e-100 < growth[j] < 1e100):
                _fold(j, state, D, decay, growth)
            beyond = 0
            if cholesky:
                c = k / state[0, j]
                scale = state[0, j] * (1.0 - w)
                for i in range(D):
                    mean[j, i] += w * e[j, i]
                    t[j, i] = e[j, i]
                    # Pivots only grow in the rotation that waits.
                    beyond += diagonal[j, i] * diagonal[j, i] * scale < limits[i]
                beyond += scale < 1.0 / _LARGEST_SCALE
            else:
                c = k * state[0, j] / grown
                scale = state[0, j] / (1.0 - w)
                for i in range(D):
                    ui = u[j, i]
                    mean[j, i] += w * e[j, i]
                    t[j, i] = ui
                    beyond += (diagonal[j, i] - c * ui * ui) * scale > limits[i]
                beyond += scale > _LARGEST_SCALE
            state[0, j] = scale
            waits[j] = c
            n_updates[j] += 1
            if beyond > 0 or n_updates[j] >= refresh_every:
                flags[j] = 1
                code = REFRESH

        if v_min >= 0:
            for j in range(K - 1, -1, -1):
                if age[j] > v_min and state[2, j] < sp_min and K > 1:
                    _remove(j, K, state, age, n_updates, mean, factor)
                    for m in range(j, K - 1):
                        t[m] = t[m + 1]
                        waits[m] = waits[m + 1]
                        flags[m] = flags[m + 1]
                        decay[m] = decay[m + 1]
                        growth[m] = growth[m + 1]
                        stale[m] = True
                    decay[K - 1] = 1.0
                    growth[K - 1] = 1.0
                    waits[K - 1] = 0.0
                    flags[K - 1] = 0
                    K -= 1
                    counters[1] += 1
        row += 1

    for j in range(K):
        _fold(j, state, D, decay, growth)
        if waits[j] != 0.0:
            for i in range(D):
                e[j, i] = 0.0
            if cholesky:
                _cholesky_pass(factor, j, waits[j], t, e, u, diagonal)
            else:
                _precision_pass(factor, j, waits[j], t, e, u, diagonal)
    return row, K, code


@jit(**_SUMS)
def block_steps(
    S, weights, state, age, n_updates, counters, D, w_out, c_out, F, threshold,
    max_components, igmn, hard, v_min, sp_min, forgetting, p_min,
):  # fmt: skip
    """The scalar part of learning a block of b points with K components.

    ``S[j, l, m] = e_l' P_j e_m`` for the deviations of the block's points from the
    mean. After point i these become the products for the new mean and the new P by a
    rank-two change of S, so no vector of length D is touched. The change of the
    products ``g_m = P e_m`` is ``g_m -= F[j, m, i] g_i``.

    Returns
    -------
    m : int
        Points that were learned.
    novel : bool
        Whether point m founds a component; else, if m < b, one has to be pruned.
    """
    scale, log_det, count = state[0], state[1], state[2]
    K, b = S.shape[0], S.shape[1]
    d2 = np.empty(K)
    joint = np.empty(K)
    p = np.empty(K)
    q = np.empty(b)
    for i in range(b):
        s = weights[i]
        for j in range(K):
            w_out[j, i] = 0.0
            c_out[j, i] = 0.0
        if s == 0.0:
            continue
        novel = True
        for j in range(K):
            d2[j] = S[j, i, i] * scale[j]
            joint[j] = math.log(count[j]) - 0.5 * (d2[j] + log_det[j])
            if d2[j] < threshold:
                novel = False
        if novel and max_components > K:
            return i, True
        posterior(joint, K, hard, p)
        prune = False
        for j in range(K):
            age[j] += 1
            count[j] *= forgetting
            if p[j] >= p_min:
                count[j] += s * p[j]
                w = min(s * p[j] / count[j], _LARGEST_STEP)
                k, gave_way = step_size(w, d2[j], igmn)
                counters[2] += gave_way
                growth = 1.0 + k * d2[j]
                c = k * scale[j] / growth
                log_det[j] += D * math.log1p(-w) + math.log(growth)
                scale[j] /= 1.0 - w
                n_updates[j] += 1
                w_out[j, i] = w
                c_out[j, i] = c
                Sj = S[j]
                sii = Sj[i, i]
                for m in range(i + 1, b):
                    q[m] = Sj[i, m] - w * sii
                    F[j, m, i] = w + c * q[m]
                for l in range(i + 1, b):
                    # (e_l - w e_i)' (P - c t t') (e_m - w e_i)
                    left = w * Sj[i, l]
                    cq = w + c * q[l]
                    for m in range(i + 1, b):
                        Sj[l, m] -= left + cq * q[m]
            prune |= age[j] > v_min and count[j] < sp_min
        if v_min >= 0 and prune and K > 1:
            return i + 1, False
    return b, False


# Rows that are taken together: they fill vector registers whatever D is, and their
# sums over rows cost little beside them.
_LANES = 64
# Below rounding of any mass: rows that a component does not claim are free.
_UNCLAIMED = 1e-16


@jit(inline="always")
def _load(X, start, rows, lanes):
    """Rows of X as columns of `lanes` (D, lanes)."""
    for r in range(rows):
        for i in range(lanes.shape[0]):
            lanes[i, r] = X[start + r, i]


@jit(inline="always", **_SUMS)
def _lane_distances(lanes, mean, factor, E, z, total):
    """Deviations `E` (D, lanes) from a mean and their squared distances `total`."""
    D = mean.size
    for r in range(_LANES):
        total[r] = 0.0
    for i in range(D):
        m = mean[i]
        for r in range(_LANES):
            E[i, r] = lanes[i, r] - m
    for m in range(D):
        for r in range(_LANES):
            z[r] = 0.0
        for i in range(D):
            f = factor[i, m]
            if f != 0.0:
                for r in range(_LANES):
                    z[r] += E[i, r] * f
        for r in range(_LANES):
            total[r] += z[r] * z[r]


@jit(**_SUMS)
def row_distances(X, means, factors, out):
    """``out[r, j] = ||F_j' (x_r - m_j)||^2`` for few features.

    Many rows go through a triangle at once, so that small matrices cost neither a call
    of BLAS nor temporary arrays.
    """
    n, D = X.shape
    lanes, E = np.zeros((D, _LANES)), np.empty((D, _LANES))
    z, total = np.empty(_LANES), np.empty(_LANES)
    for start in range(0, n, _LANES):
        rows = min(_LANES, n - start)
        _load(X, start, rows, lanes)
        for j in range(means.shape[0]):
            _lane_distances(lanes, means[j], factors[j], E, z, total)
            for r in range(rows):
                out[start + r, j] = total[r]


@jit(**_SUMS)
def expectation(
    X, sample_weight, offsets, means, factors, largest, masses, shifts, scatters
):
    """Add the expected sums of ``r``, ``r e`` and ``r e e'`` for few features.

    ``offsets[j] - d2 / 2`` is the joint log-density of component j; squared distances
    are cut at `largest`. Of the symmetric scatters the lower triangles are filled.

    Returns
    -------
    log_density : float
        Weighted sum over the rows.
    """
    n, D = X.shape
    K = means.shape[0]
    lowest = math.log(_UNCLAIMED)
    lanes, R = np.zeros((D, _LANES)), np.empty((K, _LANES))
    E = np.empty((K, D, _LANES))
    z, total = np.empty(_LANES), np.empty(_LANES)
    peak, density = np.empty(_LANES), np.empty(_LANES)
    log_density = 0.0
    for start in range(0, n, _LANES):
        rows = min(_LANES, n - start)
        _load(X, start, rows, lanes)
        peak[:] = -np.inf
        for j in range(K):
            _lane_distances(lanes, means[j], factors[j], E[j], z, total)
            for r in range(_LANES):
                joint = offsets[j] - 0.5 * min(total[r], largest)
                R[j, r] = joint
                peak[r] = max(peak[r], joint)
        density[:] = 0.0
        for j in range(K):
            for r in range(rows):
                below = R[j, r] - peak[r]
                R[j, r] = math.exp(below) if below > lowest else 0.0
            R[j, rows:] = 0.0
            for r in range(_LANES):
                density[r] += R[j, r]
        for r in range(rows):
            weight = sample_weight[start + r]
            log_density += weight * (peak[r] + math.log(density[r]))
            density[r] = weight / density[r]
        for j in range(K):
            mass = 0.0
            for r in range(_LANES):
                R[j, r] *= density[r]
                mass += R[j, r]
            if mass == 0.0:
                continue
            masses[j] += mass
            for i in range(D):
                s = 0.0
                for r in range(_LANES):
                    z[r] = R[j, r] * E[j, i, r]
                    s += z[r]
                shifts[j, i] += s
                for m in range(i + 1):
                    s = 0.0
                    for r in range(_LANES):
                        s += z[r] * E[j, m, r]
                    scatters[j, i, m] += s
    return log_density


@jit(**_SUMS)
def factor_inverses(covariances, factors, log_dets):
    """Triangular F with ``(F F')^-1`` each covariance, for few features.

    Returns False where a matrix is not positive definite.
    """
    K, D, _ = covariances.shape
    L = np.empty((D, D))
    for j in range(K):
        log_det = 0.0
        for i in range(D):
            for m in range(i + 1):
                s = covariances[j, i, m]
                for l in range(m):
                    s -= L[i, l] * L[m, l]
                if m < i:
                    L[i, m] = s / L[m, m]
                elif s > 0.0:
                    L[i, i] = math.sqrt(s)
                    log_det += math.log(s)
                else:
                    return False
        log_dets[j] = log_det
        # F is the transpose of the inverse of L.
        for m in range(D):
            for i in range(m):
                factors[j, m, i] = 0.0
            factors[j, m, m] = 1.0 / L[m, m]
            for i in range(m + 1, D):
                s = 0.0
                for l in range(m, i):
                    s -= L[i, l] * factors[j, m, l]
                factors[j, m, i] = s / L[i, i]
    return True
