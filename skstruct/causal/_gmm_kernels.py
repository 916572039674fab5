"""Loops of the penalised fit of generalised cumulants.

Notation of the solver: p variables, q latents, P = p + q components (noises first),
effects = [T, T Lam] with T = (I - B)^-1. Moments are covariances between *sides*, the
uncorrelated combinations W x of the variables; A = W effects. The moments c (K,) are
sorted by block: block 0 is the covariance, block i (1..p) the real and block p + i the
imaginary part of the covariance tilted by variable i - 1; moment k of block b is the
entry (ea[k], eb[k]). D[b, s] is the weight of component s in block b, so that the model
of moment k is ``sum_s D[b, s] A[ea, s] A[eb, s]``.

Parameters in order: edges and loadings (row by row of their masks), the noise variances
k2, then for every block b >= 1 the weights of the components that reach its variable.
The Jacobian is kept transposed (m, K); the rows of weights are zero outside of their
block, which every product uses.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit

_FAST = {"reassoc", "contract"}
# Least noise variance of a standardised variable: that of a pair which counts as
# collinear.
_LEAST_VARIANCE = 1e-8


@jit()
def reach_of(mask_B, mask_L):
    """reach[s, i]: whether component s reaches variable i (directed paths)."""
    p, q = mask_L.shape
    reach = np.zeros((p + q, p), dtype=np.bool_)
    for s in range(p):
        reach[s, s] = True
    for k in range(q):
        for i in range(p):
            reach[p + k, i] = mask_L[i, k]
    changed = True
    while changed:
        changed = False
        for i in range(p):
            for j in range(p):
                if mask_B[i, j]:
                    for s in range(p + q):
                        if reach[s, j] and not reach[s, i]:
                            reach[s, i] = True
                            changed = True
    return reach


@jit()
def is_acyclic(mask_B):
    """Whether the edges j -> i of mask_B[i, j] close no directed cycle."""
    p = len(mask_B)
    left = np.ones(p, dtype=np.bool_)
    for _ in range(p):
        source = -1
        for i in range(p):
            if left[i] and not np.any(mask_B[i] & left):
                source = i
                break
        if source < 0:
            return False
        left[source] = False
    return True


@jit()
def penalty(mask_B, mask_L, price):
    """Price of edges and loadings, 1 for each free weight."""
    structural = mask_B.sum() + mask_L.sum()
    return price * structural + 2.0 * reach_of(mask_B, mask_L).sum()


@jit()
def tied(mask_B, mask_L, old_B, old_L, k2, d):
    """Weights d after a change of masks: of newly reached variables, tied ones."""
    p = len(k2)
    d = d.copy()
    reach, now = reach_of(old_B, old_L), reach_of(mask_B, mask_L)
    for s in range(now.shape[0]):
        for i in range(p):
            if now[s, i] and not reach[s, i]:
                d[i, s] = k2[s] if s < p else 1.0
                d[p + i, s] = 0.0
    return d


@jit()
def _total_effects(mask_B, B, Lam):
    """[(I - B)^-1, (I - B)^-1 Lam] by substitution along the graph."""
    p, q = Lam.shape
    A = np.zeros((p, p + q))
    done = np.zeros(p, dtype=np.bool_)
    for _ in range(p):
        for i in range(p):
            if done[i]:
                continue
            ready = True
            for j in range(p):
                if mask_B[i, j] and not done[j]:
                    ready = False
                    break
            if not ready:
                continue
            A[i, i] = 1.0
            for k in range(q):
                A[i, p + k] = Lam[i, k]
            for j in range(p):
                if mask_B[i, j]:
                    for s in range(p + q):
                        A[i, s] += B[i, j] * A[j, s]
            done[i] = True
    return A


@jit()
def _weights(reach, k2, d):
    """D (2p + 1, P): k2 and 1 in block 0; where untied, d in the others."""
    P, p = reach.shape
    D = np.zeros((2 * p + 1, P))
    for s in range(P):
        v = k2[s] if s < p else 1.0
        D[0, s] = v
        for i in range(p):
            if reach[s, i]:
                D[1 + i, s] = d[i, s]
                D[1 + p + i, s] = d[p + i, s]
            else:
                D[1 + i, s] = v
    return D


@jit(fastmath=_FAST)
def _residual(c, start, ea, eb, A, D):
    r = np.empty(c.size)
    P = A.shape[1]
    for b in range(D.shape[0]):
        for k in range(start[b], start[b + 1]):
            total = 0.0
            for s in range(P):
                total += D[b, s] * A[ea[k], s] * A[eb[k], s]
            r[k] = c[k] - total
    return r


@jit(fastmath=_FAST)
def _symmetric_product(H, r):
    out = np.empty(r.size)
    for i in range(r.size):
        total = 0.0
        for k in range(r.size):
            total += H[i, k] * r[k]
        out[i] = total
    return out


@jit(fastmath=_FAST)
def _block_row_times(H, J, r, low, high, out):
    """out = H J[r] for a row that is zero outside of [low, high)."""
    K = H.shape[0]
    for k in range(K):
        out[k] = np.float32(0.0)
    for k in range(low, high):
        w = J[r, k]
        if w != 0.0:
            for i in range(K):
                out[i] += w * H[k, i]


@jit(fastmath=_FAST)
def _dot(x, y, low, high):
    total = x[0] * 0
    for k in range(low, high):
        total += x[k] * y[k]
    return total


@jit()
def _edge_row(row, i, j, A, C, start, ea, eb):
    """Derivative of all moments by B[i, j]; C from :func:`_mixed_blocks`."""
    for b in range(C.shape[0]):
        for k in range(start[b], start[b + 1]):
            x, y = ea[k], eb[k]
            row[k] = A[x, i] * C[b, j, y] + A[y, i] * C[b, j, x]


@jit()
def _loading_row(row, i, s, A, D, start, ea, eb):
    """Derivative by the loading of component s on variable i."""
    for b in range(D.shape[0]):
        for k in range(start[b], start[b + 1]):
            x, y = ea[k], eb[k]
            row[k] = D[b, s] * (A[x, i] * A[y, s] + A[y, i] * A[x, s])


@jit()
def _mixed_blocks(effects, A, D):
    """Model covariances of the variables with the sides, of every block."""
    p, P = A.shape
    C = np.zeros((D.shape[0], p, p))
    for b in range(D.shape[0]):
        for x in range(p):
            for y in range(p):
                total = 0.0
                for s in range(P):
                    total += D[b, s] * effects[x, s] * A[y, s]
                C[b, x, y] = total
    return C


@jit()
def _row_blocks(start, reach):
    """Range [low, high) of the moments that each weight acts on."""
    P, p = reach.shape
    count = 2 * reach.sum()
    low = np.zeros(count, dtype=np.int64)
    high = np.zeros(count, dtype=np.int64)
    r = 0
    for b in range(1, 2 * p + 1):
        for s in range(P):
            if reach[s, (b - 1) % p]:
                low[r], high[r] = start[b], start[b + 1]
                r += 1
    return low, high


@jit()
def _weight_rows(J, reach, A, start, ea, eb):
    """Derivatives by the weights d, which depend on A alone; zeros are left."""
    P, p = reach.shape
    r = 0
    for b in range(1, 2 * p + 1):
        for s in range(P):
            if reach[s, (b - 1) % p]:
                for k in range(start[b], start[b + 1]):
                    J[r, k] = A[ea[k], s] * A[eb[k], s]
                r += 1


@jit()
def _dense_rows(J, mask_B, mask_L, reach, effects, A, D, start, ea, eb):
    """Derivatives by edges, loadings and noise variances."""
    p, q = mask_L.shape
    C = _mixed_blocks(effects, A, D)
    r = 0
    for i in range(p):
        for j in range(p):
            if mask_B[i, j]:
                _edge_row(J[r], i, j, A, C, start, ea, eb)
                r += 1
    for i in range(p):
        for k in range(q):
            if mask_L[i, k]:
                _loading_row(J[r], i, p + k, A, D, start, ea, eb)
                r += 1
    for s in range(p):
        for b in range(p + 1):
            # A noise variance acts on S and where its component is tied.
            if b == 0 or not reach[s, b - 1]:
                for k in range(start[b], start[b + 1]):
                    J[r, k] = A[ea[k], s] * A[eb[k], s]
        r += 1


@jit(fastmath=_FAST)
def _factor(N, scale, mu, U):
    """Upper U with U'U = N + mu diag(scale), row by row; False if not positive.

    Reads and writes the upper triangles alone.
    """
    m = N.shape[0]
    for i in range(m):
        # Loops, here and below: numba takes seconds to compile an assigned slice.
        for j in range(i, m):
            U[i, j] = N[i, j]
        U[i, i] += mu * scale[i]
        for k in range(i):
            w = U[k, i]
            for j in range(i, m):
                U[i, j] -= w * U[k, j]
        if U[i, i] <= 1e-13 * scale[i]:
            return False
        U[i, i] = np.sqrt(U[i, i])
        w = 1.0 / U[i, i]
        for j in range(i + 1, m):
            U[i, j] *= w
    return True


@jit()
def _factor_surely(N, scale, mu, U):
    """As :func:`_factor`, with as much more of the scale as a positive factor takes.

    N may have lost its digits, also on the diagonal: the scale must not be its own.
    """
    scale = np.maximum(scale, 1e-10 * max(scale.max(), 1e-300))
    while not _factor(N, scale, mu, U):
        mu *= 100


@jit(fastmath=_FAST)
def _forward(U, b):
    """b <- U'^-1 b."""
    for i in range(b.size):
        b[i] /= U[i, i]
        w = b[i]
        for k in range(i + 1, b.size):
            b[k] -= w * U[i, k]


@jit(fastmath=_FAST)
def _forward_many(U, V):
    """V <- U'^-1 V."""
    m, count = V.shape
    for i in range(m):
        for k in range(i):
            w = U[k, i]
            for t in range(count):
                V[i, t] -= w * V[k, t]
        w = 1.0 / U[i, i]
        for t in range(count):
            V[i, t] *= w


@jit(fastmath=_FAST)
def _backward(U, b):
    """b <- U^-1 b."""
    for i in range(b.size - 1, -1, -1):
        total = b[i]
        for k in range(i + 1, b.size):
            total -= U[i, k] * b[k]
        b[i] = total / U[i, i]


@jit()
def _ridge_start(c, start, ea, eb, A, reach, k2, d):
    """Weights of every block by least squares given A, drawn to k2 (real) and 0."""
    P, p = reach.shape
    index = np.empty(P, dtype=np.int64)
    for b in range(1, 2 * p + 1):
        i = (b - 1) % p
        real = b <= p
        count = 0
        for s in range(P):
            if reach[s, i]:
                index[count] = s
                count += 1
        N = np.zeros((count, count))
        v = np.zeros(count)
        for k in range(start[b], start[b + 1]):
            x, y = ea[k], eb[k]
            left = c[k]
            if real:
                for s in range(P):
                    base = k2[s] if s < p else 1.0
                    left -= base * A[x, s] * A[y, s]
            for t in range(count):
                w = A[x, index[t]] * A[y, index[t]]
                v[t] += w * left
                for u in range(t, count):
                    N[t, u] += w * A[x, index[u]] * A[y, index[u]]
        for t in range(count):
            N[t, t] += 1e-4
        U = np.zeros((count, count))
        if _factor(N, np.diag(N), 0.0, U):
            _forward(U, v)
            _backward(U, v)
        else:
            v[:] = 0.0
        for t in range(count):
            s = index[t]
            base = (k2[s] if s < p else 1.0) if real else 0.0
            d[b - 1, s] = base + v[t]


@jit()
def _unpack(delta, mask_B, mask_L, B, Lam, k2):
    """Add a step to copies of the parameters; False if it leaves the bounds."""
    p, q = mask_L.shape
    r = 0
    inside = True
    for i in range(p):
        for j in range(p):
            if mask_B[i, j]:
                B[i, j] += delta[r]
                inside = inside and abs(B[i, j]) <= 20.0
                r += 1
    for i in range(p):
        for k in range(q):
            if mask_L[i, k]:
                Lam[i, k] += delta[r]
                inside = inside and abs(Lam[i, k]) <= 5.0
                r += 1
    for s in range(p):
        k2[s] = max(k2[s] + delta[r], _LEAST_VARIANCE)
        r += 1
    return inside


@jit()
def _add_weights(delta, reach, d):
    P, p = reach.shape
    r = 0
    for b in range(2 * p):
        for s in range(P):
            if reach[s, b % p]:
                d[b, s] += delta[r]
                r += 1


@jit()
def _project(c, H, H32, start, ea, eb, reach, A, k2, d, low, high, J, U, n):
    """Best weights d for given effects A: the moments are linear in d.

    Changes d; leaves the derivatives by the weights in J and the factor of their
    normal equations in U, where the next step needs them. Returns H times the residual
    and the objective.
    """
    count, K = J.shape
    _weight_rows(J, reach, A, start, ea, eb)
    J32 = J.astype(np.float32)
    HJ = np.empty((count, K), dtype=np.float32)
    for r in range(count):
        _block_row_times(H32, J32, r, low[r], high[r], HJ[r])
    N = np.dot(HJ, J32.T).astype(np.float64)
    r1 = _residual(c, start, ea, eb, A, _weights(reach, k2, d))
    Hr = _symmetric_product(H, r1)
    # A slight pull to the weights at hand: columns of A may be nearly parallel.
    _factor_surely(N, np.diag(N), 1e-6, U)
    delta = np.empty(count)
    for t in range(count):
        delta[t] = _dot(J[t], Hr, low[t], high[t])
    _forward(U, delta)
    _backward(U, delta)
    better = d.copy()
    _add_weights(delta, reach, better)
    r2 = _residual(c, start, ea, eb, A, _weights(reach, k2, better))
    # No second product with H: the rounding of HJ vanishes with delta.
    Hr2 = Hr - np.dot(delta.astype(np.float32), HJ)
    Q, Q2 = n * _dot(r1, Hr, 0, K), n * _dot(r2, Hr2, 0, K)
    if Q2 < Q:
        for b in range(d.shape[0]):
            for s in range(d.shape[1]):
                d[b, s] = better[b, s]
        return Hr2, Q2
    return Hr, Q


@jit()
def _reduced(X, H32, J, U):
    """Inner products of the rows X after the weights have followed.

    X (m, K) are derivatives by parameters other than the weights, J (count, K) those
    by the weights with the factor U of their normal equations. Returns N = X H X',
    V (count, m), with which the reduced products are N - V'V.
    """
    X32 = X.astype(np.float32)
    HX = np.dot(X32, H32)
    N = np.dot(HX, X32.T).astype(np.float64)
    V = np.dot(J.astype(np.float32), HX.T).astype(np.float64)
    _forward_many(U, V)
    return N, V


@jit()
def fit(
    c, H, H32, W, start, ea, eb, mask_B, mask_L, B, Lam, k2, d, n, jump, steps, tol,
    target,
):  # fmt: skip
    """Levenberg-Marquardt from (B, Lam, k2, d); returns Q and the parameters.

    With `jump` the weights d start from least squares. In every step they are
    eliminated, and then set to their optimum for the new effects (variable
    projection). The fit ends when the next step is expected to gain less than `tol`;
    it is abandoned when its predicted optimum stays above `target`.
    """
    B, Lam, k2, d = B.copy(), Lam.copy(), k2.copy(), d.copy()
    reach = reach_of(mask_B, mask_L)
    low, high = _row_blocks(start, reach)
    m, count = mask_B.sum() + mask_L.sum() + k2.size, low.size
    effects = _total_effects(mask_B, B, Lam)
    A = np.dot(W, effects)
    if jump:
        _ridge_start(c, start, ea, eb, A, reach, k2, d)
    J, U = np.zeros((count, c.size)), np.zeros((count, count))
    J2, U2 = J.copy(), U.copy()
    Hr, Q = _project(c, H, H32, start, ea, eb, reach, A, k2, d, low, high, J, U, n)
    X, R = np.zeros((m, c.size)), np.zeros((m, m))
    u, g = np.empty(count), np.empty(m)
    mu = 1e-3
    before = 0.0
    taken = 0
    while taken < steps:
        taken += 1
        D = _weights(reach, k2, d)
        X[:] = 0.0
        _dense_rows(X, mask_B, mask_L, reach, effects, A, D, start, ea, eb)
        N, V = _reduced(X, H32, J, U)
        S = N - np.dot(V.T, V)
        for t in range(count):
            u[t] = _dot(J[t], Hr, low[t], high[t])
        _forward(U, u)
        for t in range(m):
            g[t] = _dot(X[t], Hr, 0, c.size)
        g -= np.dot(u, V)
        gain = -1.0
        for _ in range(6):
            if not _factor(S, np.diag(N), mu, R):
                mu = max(mu * 10, 1e-8)
                continue
            delta = g.copy()
            _forward(R, delta)
            _backward(R, delta)
            promised = n * (_dot(g, delta, 0, m) + _dot(u, u, 0, count))
            if Q - (1.5 if taken > 1 else 3.0) * promised - 1.0 > target:
                return Q - promised, B, Lam, k2, d, taken
            follow = u - np.dot(V, delta)
            _backward(U, follow)
            B2, Lam2, k22, d2 = B.copy(), Lam.copy(), k2.copy(), d.copy()
            _add_weights(follow, reach, d2)
            if _unpack(delta, mask_B, mask_L, B2, Lam2, k22):
                effects2 = _total_effects(mask_B, B2, Lam2)
                A2 = np.dot(W, effects2)
                Hr2, Q2 = _project(
                    c, H, H32, start, ea, eb, reach, A2, k22, d2, low, high, J2, U2, n
                )
                if Q2 < Q:
                    gain = Q - Q2
                    B, Lam, k2, d = B2, Lam2, k22, d2
                    effects, A, Hr, Q = effects2, A2, Hr2, Q2
                    J, J2, U, U2 = J2, J, U2, U
                    mu /= 10
                    break
            mu *= 10
        # Gains fall by a constant factor near the optimum.
        if gain < tol or gain * min(gain / max(before, 1e-300), 1.0) < 0.5 * tol:
            break
        before = gain
    return Q, B, Lam, k2, d, taken


@jit()
def moves(c, H, H32, W, start, ea, eb, mask_B, mask_L, B, Lam, k2, d, n):
    """Wald statistics of what is present, score gains and steps of what is absent.

    Returns squared Wald statistics of edges (p, p) and loadings (p, q), then gains
    and steps of absent edges and loadings; infinite, respectively zero, elsewhere.
    """
    p, q = mask_L.shape
    K = c.size
    reach = reach_of(mask_B, mask_L)
    low, high = _row_blocks(start, reach)
    count = low.size
    present = mask_B.sum() + mask_L.sum()
    m, total = present + p, p * (p + q)
    effects = _total_effects(mask_B, B, Lam)
    A = np.dot(W, effects)
    J, U = np.zeros((count, K)), np.zeros((count, count))
    d = d.copy()
    Hr, _ = _project(c, H, H32, start, ea, eb, reach, A, k2, d, low, high, J, U, n)
    D = _weights(reach, k2, d)
    # The rows of the model, then those of all absent edges and loadings.
    X = np.zeros((total, K))
    _dense_rows(X, mask_B, mask_L, reach, effects, A, D, start, ea, eb)
    C = _mixed_blocks(effects, A, D)
    where = np.zeros((total, 2), dtype=np.int64)
    t = m
    for i in range(p):
        for j in range(p + q):
            if j < p:
                if i == j or mask_B[i, j]:
                    continue
                _edge_row(X[t], i, j, A, C, start, ea, eb)
            else:
                if mask_L[i, j - p]:
                    continue
                _loading_row(X[t], i, j, A, D, start, ea, eb)
            where[t, 0], where[t, 1] = i, j
            t += 1
    N, V = _reduced(X, H32, J, U)
    # What the weights can take up leaves hardly a digit.
    scale = np.diag(N)[:m].copy()
    N -= np.dot(V.T, V)
    R = np.zeros((m, m))
    _factor_surely(N[:m, :m], scale, 1e-8, R)
    # One substitution for all: unit vectors of what is present, then X H X'.
    Y = np.zeros((m, present + total - m))
    for t in range(present):
        Y[t, t] = 1.0
    for s in range(m):
        for t in range(present, Y.shape[1]):
            Y[s, t] = N[s, m + t - present]
    _forward_many(R, Y)
    size = np.zeros(Y.shape[1])
    for s in range(m):
        for t in range(Y.shape[1]):
            size[t] += Y[s, t] * Y[s, t]
    wald_B, wald_L = np.full((p, p), np.inf), np.full((p, q), np.inf)
    t = 0
    for i in range(p):
        for j in range(p):
            if mask_B[i, j]:
                wald_B[i, j] = B[i, j] ** 2 * n / size[t]
                t += 1
    for i in range(p):
        for k in range(q):
            if mask_L[i, k]:
                wald_L[i, k] = Lam[i, k] ** 2 * n / size[t]
                t += 1
    gain, step = np.zeros((p, p + q)), np.zeros((p, p + q))
    for t in range(m, total):
        u = _dot(X[t], Hr, 0, K)
        left = N[t, t] - size[t - p]
        if left > 1e-6 * N[t, t]:
            gain[where[t, 0], where[t, 1]] = n * u * u / left
            step[where[t, 0], where[t, 1]] = u / left
    return wald_B, wald_L, gain, step


@jit()
def jacobian(W, start, ea, eb, mask_B, mask_L, B, Lam, k2, d):
    """Jacobian (m, K) and model moments (K,) at a point, in float64."""
    reach = reach_of(mask_B, mask_L)
    dense = mask_B.sum() + mask_L.sum() + k2.size
    effects = _total_effects(mask_B, B, Lam)
    A = np.dot(W, effects)
    D = _weights(reach, k2, d)
    model = -_residual(np.zeros(ea.size), start, ea, eb, A, D)
    J = np.zeros((dense + 2 * reach.sum(), ea.size))
    _dense_rows(J[:dense], mask_B, mask_L, reach, effects, A, D, start, ea, eb)
    _weight_rows(J[dense:], reach, A, start, ea, eb)
    return J, model, effects
