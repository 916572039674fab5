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
def _row_blocks(start, reach, dense, m):
    """Range [low, high) of the moments that each parameter acts on."""
    P, p = reach.shape
    low = np.zeros(m, dtype=np.int64)
    high = np.full(m, start[2 * p + 1])
    r = dense
    for b in range(1, 2 * p + 1):
        for s in range(P):
            if reach[s, (b - 1) % p]:
                low[r], high[r] = start[b], start[b + 1]
                r += 1
    return low, high


@jit()
def _weight_rows(J, reach, A, start, ea, eb, dense):
    """Derivatives by the weights d, which depend on A alone."""
    P, p = reach.shape
    r = dense
    for b in range(1, 2 * p + 1):
        for s in range(P):
            if reach[s, (b - 1) % p]:
                for k in range(start[b], start[b + 1]):
                    J[r, k] = A[ea[k], s] * A[eb[k], s]
                r += 1


@jit()
def _dense_rows(J, mask_B, mask_L, reach, A, D, start, ea, eb):
    """Derivatives by edges, loadings and noise variances."""
    p, q = mask_L.shape
    C = _model_blocks(A, D)
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


@jit()
def _products(H32, J, first, low, high, dense, HJ):
    """HJ[r] = H J[r] for the rows from `first` on (0 or `dense`)."""
    J32 = J[first:].astype(np.float32)
    if first < dense:
        _rows_times(H32, J32, dense, HJ)
    for r in range(dense, J.shape[0]):
        _block_row_times(H32, J32, r - first, low[r], high[r], HJ[r])


@jit()
def _gram(HJ, J, low, high, count, N):
    """The part of J H J' that involves the first `count` rows."""
    for r in range(J.shape[0]):
        # The second factor is the narrower one: weights only need their block.
        for s in range(min(r + 1, count)):
            N[r, s] = _dot(HJ[s], J[r], low[r], high[r])
            N[s, r] = N[r, s]


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
    _add_weights(delta[r:], reach, d)
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
def _sizes(mask_B, mask_L, reach):
    """Number of dense rows of the Jacobian, and of all."""
    dense = mask_B.sum() + mask_L.sum() + mask_B.shape[0]
    return dense, dense + 2 * reach.sum()


@jit()
def _project(
    c, H, H32, start, ea, eb, reach, A, k2, d, low, high, dense, J, HJ, N, n
):  # fmt: skip
    """Best weights d for given effects A: the moments are linear in d.

    Changes d and leaves the rows of the weights in J, HJ and N, where the next step
    needs them. Returns H times the residual and the objective.
    """
    m = J.shape[0]
    count = m - dense
    _weight_rows(J, reach, A, start, ea, eb, dense)
    _products(H32, J, dense, low, high, dense, HJ)
    # In arrays of their own: strided ones are not vectorised.
    Nd, Ld = np.empty((count, count)), np.zeros((count, count))
    for t in range(count):
        row = J[dense + t]
        for u in range(t + 1):
            value = _dot(HJ[dense + u], row, low[dense + t], high[dense + t])
            Nd[t, u] = value
            N[dense + t, dense + u] = value
            N[dense + u, dense + t] = value
    r = _residual(c, start, ea, eb, A, _weights(reach, k2, d))
    Hr = _symmetric_product(H, r)
    Q = n * _dot(r, Hr, 0, r.size)
    # A slight pull to the weights at hand: columns of A may be nearly parallel.
    if not _factor(Nd, 1e-6, Ld):
        return Hr, Q
    delta = np.empty(count)
    for t in range(count):
        delta[t] = _dot(J[dense + t], Hr, low[dense + t], high[dense + t])
    _forward(Ld, delta)
    _backward(Ld, delta)
    better = d.copy()
    _add_weights(delta, reach, better)
    r2 = _residual(c, start, ea, eb, A, _weights(reach, k2, better))
    Hr2 = _symmetric_product(H, r2)
    Q2 = n * _dot(r2, Hr2, 0, r2.size)
    if Q2 < Q:
        d[:] = better
        return Hr2, Q2
    return Hr, Q


@jit()
def fit(
    c, H, H32, start, ea, eb, mask_B, mask_L, B, Lam, k2, d, n, jump, steps, tol, target
):  # fmt: skip
    """Levenberg-Marquardt from (B, Lam, k2, d); returns Q and the parameters.

    With `jump` the weights d start from least squares. After every step they are set
    to their optimum for the new effects. The fit is abandoned when its predicted
    optimum stays above `target`.
    """
    B, Lam, k2, d = B.copy(), Lam.copy(), k2.copy(), d.copy()
    reach = reach_of(mask_B, mask_L)
    dense, m = _sizes(mask_B, mask_L, reach)
    low, high = _row_blocks(start, reach, dense, m)
    A = _total_effects(mask_B, B, Lam)
    if jump:
        _ridge_start(c, start, ea, eb, A, reach, k2, d)
    J, HJ = np.zeros((m, c.size)), np.empty((m, c.size), dtype=np.float32)
    N, L = np.zeros((m, m)), np.zeros((m, m))
    J2, HJ2, N2 = J.copy(), HJ.copy(), N.copy()
    Hr, Q = _project(
        c, H, H32, start, ea, eb, reach, A, k2, d, low, high, dense, J, HJ, N, n
    )
    mu = 1e-3
    g = np.empty(m)
    taken = 0
    while taken < steps:
        taken += 1
        D = _weights(reach, k2, d)
        _dense_rows(J, mask_B, mask_L, reach, A, D, start, ea, eb)
        _products(H32, J[:dense], 0, low, high, dense, HJ)
        _gram(HJ, J, low, high, dense, N)
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
                Hr2, Q2 = _project(
                    c, H, H32, start, ea, eb, reach, A2, k22, d2, low, high, dense,
                    J2, HJ2, N2, n,
                )  # fmt: skip
                if Q2 < Q:
                    gain = Q - Q2
                    B, Lam, k2, d = B2, Lam2, k22, d2
                    A, Hr, Q = A2, Hr2, Q2
                    J, J2, HJ, HJ2, N, N2 = J2, J, HJ2, HJ, N2, N
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
    dense, m = _sizes(mask_B, mask_L, reach)
    low, high = _row_blocks(start, reach, dense, m)
    A = _total_effects(mask_B, B, Lam)
    D = _weights(reach, k2, d)
    r = _residual(c, start, ea, eb, A, D)
    Hr = _symmetric_product(H, r)
    J, HJ = np.zeros((m, K)), np.empty((m, K), dtype=np.float32)
    N, L = np.zeros((m, m)), np.zeros((m, m))
    _dense_rows(J, mask_B, mask_L, reach, A, D, start, ea, eb)
    _weight_rows(J, reach, A, start, ea, eb, dense)
    _products(H32, J, 0, low, high, dense, HJ)
    _gram(HJ, J, low, high, m, N)
    mu = 1e-10
    while not _factor(N, mu, L):
        mu *= 100
    C = _model_blocks(A, D)
    present = dense - p
    count = p * (p - 1) + p * q - present
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
    # One substitution for all: unit vectors of what is present, then J H c.
    V = np.zeros((m, present + count))
    for t in range(present):
        V[t, t] = 1.0
    for s in range(m):
        for t in range(count):
            V[s, present + t] = _dot(J[s], Hc[t], low[s], high[s])
    _forward_many(L, V)
    size = np.zeros(present + count)
    for s in range(m):
        for t in range(present + count):
            size[t] += V[s, t] * V[s, t]
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
    for t in range(count):
        u = _dot(cand[t], Hr, 0, K)
        h = _dot(cand[t], Hc[t], 0, K)
        total = h - size[present + t]
        if total > 1e-6 * h:
            gain[where[t, 0], where[t, 1]] = n * u * u / total
            step[where[t, 0], where[t, 1]] = u / total
    return wald_B, wald_L, gain, step


@jit(fastmath=_FAST)
def _forward_many(L, V):
    """V <- L^-1 V."""
    m, count = V.shape
    for i in range(m):
        for k in range(i):
            w = L[i, k]
            for t in range(count):
                V[i, t] -= w * V[k, t]
        w = 1.0 / L[i, i]
        for t in range(count):
            V[i, t] *= w


@jit()
def jacobian(start, ea, eb, mask_B, mask_L, B, Lam, k2, d):
    """Jacobian (m, K) and model moments (K,) at a point, in float64."""
    reach = reach_of(mask_B, mask_L)
    dense, m = _sizes(mask_B, mask_L, reach)
    A = _total_effects(mask_B, B, Lam)
    D = _weights(reach, k2, d)
    model = -_residual(np.zeros(ea.size), start, ea, eb, A, D)
    J = np.zeros((m, ea.size))
    _dense_rows(J, mask_B, mask_L, reach, A, D, start, ea, eb)
    _weight_rows(J, reach, A, start, ea, eb, dense)
    return J, model, A
