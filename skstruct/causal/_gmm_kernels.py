"""Loops of the penalised fit of generalised cumulants.

Notation of the solver: p variables, q latents, P = p + q components (noises first),
A = [T, T Lam] with T = (I - B)^-1. The moments c (K,) are sorted by block: block 0 is
the covariance S, block i (1..p) the real and block p + i the imaginary part of the
tilted covariance of variable i - 1; moment k of block b is the entry (ea[k], eb[k]).
D[b, s] is the weight of component s in block b, so that the model of moment k is
``sum_s D[b, s] A[ea, s] A[eb, s]``.

Parameters in order: edges and loadings (row by row of their masks), the noise variances
k2, then for every block b >= 1 the weights of the components that reach its variable.
The Jacobian is kept transposed (m, K); the rows of weights are zero outside of their
block, which every product uses.
"""

# SPDX-License-Identifier: BSD-3-Clause

import numpy as np

from .._jit import jit

_FAST = {"reassoc", "contract"}


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
def _total_effects(mask_B, B, Lam):
    """A = [(I - B)^-1, (I - B)^-1 Lam] by substitution along the graph."""
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
def _rows_times(H, J, rows, out):
    """out[r] = H J[r] for the first `rows` dense rows, four at a time."""
    K = H.shape[0]
    full = rows - rows % 4
    for i in range(K):
        for r in range(0, full, 4):
            t0, t1 = np.float32(0.0), np.float32(0.0)
            t2, t3 = np.float32(0.0), np.float32(0.0)
            for k in range(K):
                h = H[i, k]
                t0 += h * J[r, k]
                t1 += h * J[r + 1, k]
                t2 += h * J[r + 2, k]
                t3 += h * J[r + 3, k]
            out[r, i], out[r + 1, i] = t0, t1
            out[r + 2, i], out[r + 3, i] = t2, t3
        for r in range(full, rows):
            t0 = np.float32(0.0)
            for k in range(K):
                t0 += H[i, k] * J[r, k]
            out[r, i] = t0


@jit(fastmath=_FAST)
def _block_row_times(H, J, r, low, high, out):
    """out[r] = H J[r] for a row that is zero outside of [low, high)."""
    K = H.shape[0]
    for k in range(K):
        out[r, k] = np.float32(0.0)
    for k in range(low, high):
        w = J[r, k]
        if w != 0.0:
            for i in range(K):
                out[r, i] += w * H[k, i]


@jit(fastmath=_FAST)
def _dot(x, y, low, high):
    total = 0.0
    for k in range(low, high):
        total += x[k] * y[k]
    return total


@jit()
def _edge_row(row, i, j, A, C, start, ea, eb):
    """Derivative of all moments by B[i, j]; T is the first p columns of A."""
    for b in range(C.shape[0]):
        for k in range(start[b], start[b + 1]):
            x, y = ea[k], eb[k]
            row[k] = A[x, i] * C[b, j, y] + A[y, i] * C[b, x, j]


@jit()
def _loading_row(row, i, s, A, D, start, ea, eb):
    """Derivative by the loading of component s on variable i."""
    for b in range(D.shape[0]):
        for k in range(start[b], start[b + 1]):
            x, y = ea[k], eb[k]
            row[k] = D[b, s] * (A[x, i] * A[y, s] + A[y, i] * A[x, s])


@jit()
def _model_blocks(A, D):
    p, P = A.shape
    C = np.zeros((D.shape[0], p, p))
    for b in range(D.shape[0]):
        for x in range(p):
            for y in range(x + 1):
                total = 0.0
                for s in range(P):
                    total += D[b, s] * A[x, s] * A[y, s]
                C[b, x, y] = total
                C[b, y, x] = total
    return C


@jit()
def _jacobian(mask_B, mask_L, reach, A, D, start, ea, eb, m):
    """Rows of the Jacobian, their blocks [low, high) and the number of dense rows."""
    p, q = mask_L.shape
    P = p + q
    K = ea.size
    C = _model_blocks(A, D)
    J = np.zeros((m, K))
    low = np.zeros(m, dtype=np.int64)
    high = np.full(m, K)
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
    dense = r
    for b in range(1, 2 * p + 1):
        i = (b - 1) % p
        for s in range(P):
            if reach[s, i]:
                low[r], high[r] = start[b], start[b + 1]
                for k in range(start[b], start[b + 1]):
                    J[r, k] = A[ea[k], s] * A[eb[k], s]
                r += 1
    return J, low, high, dense


@jit()
def _normal_matrix(H32, J, low, high, dense):
    """J H J'."""
    m, K = J.shape
    J32 = J.astype(np.float32)
    HJ = np.empty((m, K), dtype=np.float32)
    _rows_times(H32, J32, dense, HJ)
    for r in range(dense, m):
        _block_row_times(H32, J32, r, low[r], high[r], HJ)
    N = np.empty((m, m))
    for r in range(m):
        # The second factor is the narrower one: weights only need their block.
        for s in range(r + 1):
            N[r, s] = _dot(HJ[s], J[r], low[r], high[r])
            N[s, r] = N[r, s]
    return N


@jit(fastmath=_FAST)
def _factor(N, mu, L):
    """Lower Cholesky factor of N + mu diag(N) into L; False if not positive."""
    m = N.shape[0]
    for i in range(m):
        for j in range(i + 1):
            total = N[i, j] * (1.0 + mu if i == j else 1.0)
            for k in range(j):
                total -= L[i, k] * L[j, k]
            if i == j:
                if total <= 1e-13 * N[i, i]:
                    return False
                L[i, i] = np.sqrt(total)
            else:
                L[i, j] = total / L[j, j]
    return True


@jit(fastmath=_FAST)
def _forward(L, b):
    for i in range(b.size):
        total = b[i]
        for k in range(i):
            total -= L[i, k] * b[k]
        b[i] = total / L[i, i]


@jit(fastmath=_FAST)
def _backward(L, b):
    for i in range(b.size - 1, -1, -1):
        b[i] /= L[i, i]
        for k in range(i):
            b[k] -= L[i, k] * b[i]


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
                for u in range(t + 1):
                    N[t, u] += w * A[x, index[u]] * A[y, index[u]]
        for t in range(count):
            N[t, t] += 1e-4
            for u in range(t):
                N[u, t] = N[t, u]
        L = np.zeros((count, count))
        if _factor(N, 0.0, L):
            _forward(L, v)
            _backward(L, v)
        else:
            v[:] = 0.0
        for t in range(count):
            s = index[t]
            base = (k2[s] if s < p else 1.0) if real else 0.0
            d[b - 1, s] = base + v[t]


@jit()
def _unpack(delta, mask_B, mask_L, reach, B, Lam, k2, d):
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
        k2[s] = max(k2[s] + delta[r], 0.02)
        r += 1
    for b in range(2 * p):
        for s in range(p + q):
            if reach[s, b % p]:
                d[b, s] += delta[r]
                r += 1
    return inside


@jit()
def _size(mask_B, mask_L, reach):
    return mask_B.sum() + mask_L.sum() + mask_B.shape[0] + 2 * reach.sum()


@jit()
def fit(
    c, H, H32, start, ea, eb, mask_B, mask_L, B, Lam, k2, d, n, jump, steps, tol, target
):  # fmt: skip
    """Levenberg-Marquardt from (B, Lam, k2, d); returns Q and the parameters.

    With `jump` the weights d start from least squares. The fit is abandoned when its
    predicted optimum stays above `target`.
    """
    B, Lam, k2, d = B.copy(), Lam.copy(), k2.copy(), d.copy()
    reach = reach_of(mask_B, mask_L)
    m = _size(mask_B, mask_L, reach)
    A = _total_effects(mask_B, B, Lam)
    if jump:
        _ridge_start(c, start, ea, eb, A, reach, k2, d)
    D = _weights(reach, k2, d)
    r = _residual(c, start, ea, eb, A, D)
    Hr = _symmetric_product(H, r)
    Q = n * _dot(r, Hr, 0, r.size)
    mu = 1e-3
    L = np.zeros((m, m))
    g = np.empty(m)
    taken = 0
    while taken < steps:
        taken += 1
        J, low, high, dense = _jacobian(mask_B, mask_L, reach, A, D, start, ea, eb, m)
        N = _normal_matrix(H32, J, low, high, dense)
        for t in range(m):
            g[t] = _dot(J[t], Hr, low[t], high[t])
        gain = -1.0
        for _ in range(6):
            if not _factor(N, mu, L):
                mu = max(mu * 10, 1e-8)
                continue
            delta = g.copy()
            _forward(L, delta)
            _backward(L, delta)
            promised = n * _dot(g, delta, 0, m)
            if taken > 1 and Q - 1.5 * promised - 1.0 > target:
                return Q - promised, B, Lam, k2, d, taken
            B2, Lam2, k22, d2 = B.copy(), Lam.copy(), k2.copy(), d.copy()
            if _unpack(delta, mask_B, mask_L, reach, B2, Lam2, k22, d2):
                A2 = _total_effects(mask_B, B2, Lam2)
                D2 = _weights(reach, k22, d2)
                r2 = _residual(c, start, ea, eb, A2, D2)
                Hr2 = _symmetric_product(H, r2)
                Q2 = n * _dot(r2, Hr2, 0, r2.size)
                if Q2 < Q:
                    gain = Q - Q2
                    B, Lam, k2, d = B2, Lam2, k22, d2
                    A, D, r, Hr, Q = A2, D2, r2, Hr2, Q2
                    mu /= 10
                    break
            mu *= 10
        if gain < tol:
            break
    return Q, B, Lam, k2, d, taken


@jit()
def moves(c, H, H32, start, ea, eb, mask_B, mask_L, B, Lam, k2, d, n):
    """Wald statistics of what is present, score gains and steps of what is absent.

    Returns squared Wald statistics of edges (p, p) and loadings (p, q), then gains
    and steps of absent edges and loadings; infinite, respectively zero, elsewhere.
    """
    p, q = mask_L.shape
    K = c.size
    reach = reach_of(mask_B, mask_L)
    m = _size(mask_B, mask_L, reach)
    A = _total_effects(mask_B, B, Lam)
    D = _weights(reach, k2, d)
    r = _residual(c, start, ea, eb, A, D)
    Hr = _symmetric_product(H, r)
    J, low, high, dense = _jacobian(mask_B, mask_L, reach, A, D, start, ea, eb, m)
    N = _normal_matrix(H32, J, low, high, dense)
    L = np.zeros((m, m))
    mu = 1e-10
    while not _factor(N, mu, L):
        mu *= 100
    wald_B, wald_L = np.full((p, p), np.inf), np.full((p, q), np.inf)
    t = 0
    for i in range(p):
        for j in range(p):
            if mask_B[i, j]:
                wald_B[i, j] = B[i, j] ** 2 * n / _inverse_entry(L, t)
                t += 1
    for i in range(p):
        for k in range(q):
            if mask_L[i, k]:
                wald_L[i, k] = Lam[i, k] ** 2 * n / _inverse_entry(L, t)
                t += 1
    C = _model_blocks(A, D)
    count = p * (p - 1) - mask_B.sum() + p * q - mask_L.sum()
    cand = np.zeros((count, K))
    where = np.zeros((count, 2), dtype=np.int64)
    t = 0
    for i in range(p):
        for j in range(p + q):
            if j < p:
                if i == j or mask_B[i, j]:
                    continue
                _edge_row(cand[t], i, j, A, C, start, ea, eb)
            else:
                if mask_L[i, j - p]:
                    continue
                _loading_row(cand[t], i, j, A, D, start, ea, eb)
            where[t, 0], where[t, 1] = i, j
            t += 1
    Hc = np.empty((count, K), dtype=np.float32)
    _rows_times(H32, cand.astype(np.float32), count, Hc)
    gain, step = np.zeros((p, p + q)), np.zeros((p, p + q))
    v = np.empty(m)
    for t in range(count):
        u = _dot(cand[t], Hr, 0, K)
        h = _dot(cand[t], Hc[t], 0, K)
        total = h
        for s in range(m):
            v[s] = _dot(J[s], Hc[t], low[s], high[s])
        _forward(L, v)
        total -= _dot(v, v, 0, m)
        if total > 1e-6 * h:
            gain[where[t, 0], where[t, 1]] = n * u * u / total
            step[where[t, 0], where[t, 1]] = u / total
    return wald_B, wald_L, gain, step


@jit()
def _inverse_entry(L, t):
    """Diagonal entry t of (L L')^-1."""
    m = L.shape[0]
    e = np.zeros(m)
    e[t] = 1.0
    total = 0.0
    for i in range(t, m):
        value = e[i]
        for k in range(t, i):
            value -= L[i, k] * e[k]
        e[i] = value / L[i, i]
        total += e[i] * e[i]
    return total


@jit()
def jacobian(start, ea, eb, mask_B, mask_L, B, Lam, k2, d):
    """Jacobian (m, K) and model moments (K,) at a point, in float64."""
    reach = reach_of(mask_B, mask_L)
    m = _size(mask_B, mask_L, reach)
    A = _total_effects(mask_B, B, Lam)
    D = _weights(reach, k2, d)
    model = -_residual(np.zeros(ea.size), start, ea, eb, A, D)
    J, _, _, _ = _jacobian(mask_B, mask_L, reach, A, D, start, ea, eb, m)
    return J, model, A
