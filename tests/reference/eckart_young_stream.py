"""The streaming solver with every matrix written out, in float64.

The stacked weights W (P, K) of all views, and matrices of all P columns: A between the
views, S within them, one for each batch. The memories follow the recursion
``E <- A_b W_new + (1 - a) (E - A_b W)`` as Cutkosky and Orabona (2019) write it.
"""

from types import SimpleNamespace

import numpy as np


def cuts_of(views):
    stops = np.cumsum([X.shape[1] for X in views])
    return [slice(stop - X.shape[1], stop) for X, stop in zip(views, stops)]


def blocks_of(views):
    """Mean products of the rows of views: those between views and those within."""
    X = np.hstack(views)
    whole = X.T @ X / len(X)
    within = np.zeros_like(whole)
    for cut in cuts_of(views):
        within[cut, cut] = whole[cut, cut]
    return whole - within, within


def ridge_start(views, regs, K):
    """Ridge canonical correlation of the warm-up rows, shrunk towards the mean."""
    axes, R, shrinkages = [], [], []
    for X, c in zip(views, regs):
        n, p = X.shape
        d, V = np.linalg.eigh(X.T @ X / (n - 1))
        kept = d > (1e-7 if p > n else 1e-9) * d.max()
        d, V = d[kept], V[:, kept]
        tau = 0.5 * p / (n + p)
        D = (1 - c) * ((1 - tau) * d + tau * d.sum() / p) + c
        axes.append(V / np.sqrt(D))
        R.append(X @ axes[-1] / np.sqrt(n - 1))
        shrinkages.append((d[::-1], V[:, ::-1], tau))
    M = np.hstack(R).T @ np.hstack(R)
    for cut in cuts_of(R):
        M[cut, cut] = 0.0
    U = np.linalg.eigh(M)[1][:, ::-1][:, :K]
    W = [a @ U[cut] for a, cut in zip(axes, cuts_of(R))]
    return np.vstack(W), shrinkages


def preconditioner(views, variances, regs, shrinkages, rank=64):
    """``(diag(g) + Y Y')^-1`` of every view, as one block-diagonal matrix."""
    cuts = cuts_of(views)
    P = np.eye(cuts[-1].stop)
    for X, v, c, (d, V, tau), cut in zip(views, variances, regs, shrinkages, cuts):
        if c == 1:
            continue
        Y = V[:, :rank] * np.sqrt((1 - c) * (1 - tau) * d[:rank])
        explained = np.diag(Y @ Y.T)
        warm = np.sum(X**2, axis=0) / (len(X) - 1)
        v = np.maximum(v, v.mean())
        g = c + np.maximum((1 - c) * np.maximum(v, warm) - explained, tau * (1 - c) * v)
        P[cut, cut] = np.linalg.inv(np.diag(g) + Y @ Y.T)
    return P


def curvature(batch, P, directions, regs, top_eigenvalue):
    """Bound of the curvature of a batch; two power steps move the directions."""
    tops = []
    for X, x, cut in zip(batch, directions, cuts_of(batch)):
        G = X.T @ X / len(X)
        first = P[cut, cut] @ G @ x
        second = P[cut, cut] @ G @ first
        # Rayleigh quotient of P G in the metric of G: <G second, ...> as G first.
        below = first @ G @ first
        tops.append(second @ G @ first / below if below > 0 else 0.0)
        x[:] = second / np.linalg.norm(second) + 1e-3 * x / np.linalg.norm(x)
    L = max((1 - c) * h + c for h, c in zip(tops, regs))
    if max(regs) > 0:
        h2, h1 = sorted(tops)[-2:]
        L = max(L, (len(batch) - 1) * np.sqrt(h1 * h2) / max(top_eigenvalue, 1e-12))
    return max(1.0, L)


def cut_batch(batch, variances, seen):
    """Rows of an absurd batch, cut to the mean length of the rows before."""
    m = len(batch[0])
    ratios = [np.sum(X**2) / m / v.sum() for X, v in zip(batch, variances)]
    if max(ratios) <= max(10.0, 0.25 * seen / m):
        return batch
    return [
        X * np.minimum(1.0, np.sqrt(v.sum()) / np.linalg.norm(X, axis=1))[:, None]
        for X, v in zip(batch, variances)
    ]


def stream(warm, batches, regs, K, *, batch_size, learning_rate=0.4):
    """The state after every batch: W, E = A W, F = Cov W and the eigenvalues l."""
    n_w, cuts, M = len(warm[0]), cuts_of(warm), len(warm)
    c = np.concatenate([np.full(X.shape[1], r) for X, r in zip(warm, regs)])[:, None]
    W, shrinkages = ridge_start(warm, regs, K)
    A, S = blocks_of(warm)
    E, F = A @ W, S @ W
    variances = [np.mean(X**2, axis=0) for X in warm]
    P = preconditioner(warm, variances, regs, shrinkages)
    l = np.ones(K)

    def score_space_solve():
        V = W.T @ ((1 - c) * F + c * W)
        C = W.T @ E
        d, Q = np.linalg.eigh((V + V.T) / 2)
        if not d[0] > 1e-6 * d[-1]:
            return None
        T = Q / np.sqrt(d)
        l, O = np.linalg.eigh(T.T @ (C + C.T) @ T / 2)
        if max(regs) == 0 and l[-1] > 1.25 * (M - 1):
            return None
        return T @ O[:, ::-1], l[::-1]

    G, l = score_space_solve()
    W, E, F = W @ G, E @ G, F @ G
    snapshot, seen, seen_at_snapshot, hold = W.copy(), n_w, n_w, 0

    directions = [X[0] + 1e-3 * max(np.abs(X[0]).max(), 1.0) for X in warm]
    m = min(batch_size, n_w)
    for _ in range(3):
        curvature([X[:m] for X in warm], P, directions, regs, l[0])
    past = [
        curvature([X[s : s + m] for X in warm], P, directions, regs, l[0])
        for s in np.linspace(0, n_w - m, 16).astype(int)
    ]

    for batch in batches:
        batch = cut_batch(batch, variances, seen)
        m = len(batch[0])
        if hold <= 0:
            solved = score_space_solve()
            if solved is None:
                W, E, F = snapshot.copy(), np.zeros_like(E), np.zeros_like(F)
                learning_rate /= 2
                hold, seen, seen_at_snapshot = n_w // 2, 0, n_w // 2
            else:
                G, l = solved
                W, E, F = W @ G, E @ G, F @ G
                if seen >= 1.5 * seen_at_snapshot:
                    snapshot, seen_at_snapshot = W.copy(), seen
                    P = preconditioner(warm, variances, regs, shrinkages)
        a = m / (seen + m)
        if hold > 0:
            hold -= m
            W_new = W
        else:
            BW = (1 - c) * F + c * W
            D = (E - BW * l) / np.maximum(np.maximum(l, 0.2 * l[0]), 1e-12)
            mean_L = np.sum(np.square(past)) / np.sum(past)
            eta = min(learning_rate / mean_L, 4 * m / (seen + m))
            W_new = W + eta * P @ D
            past.append(curvature(batch, P, directions, regs, l[0]))
        A, S = blocks_of(batch)
        E = A @ W_new + (1 - a) * (E - A @ W)
        F = S @ W_new + (1 - a) * (F - S @ W)
        W = W_new
        variances = [
            v + a * (np.mean(X**2, axis=0) - v) for v, X in zip(variances, batch)
        ]
        seen += m
        yield SimpleNamespace(
            W=[W[cut] for cut in cuts], E=[E[cut] for cut in cuts],
            F=[F[cut] for cut in cuts], eigenvalues=l, rate=learning_rate,
        )  # fmt: skip
