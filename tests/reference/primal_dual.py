"""Primal-dual sparse CCA in plain numpy: one formula per function, no shortcuts."""

import numpy as np


def center_kernel(K):
    H = np.eye(len(K)) - 1 / len(K)
    return H @ K @ H


def penalties(X, K, k, tau=0.5, alpha=1.0, alpha_dual=1.0):
    """mu and gamma from the start point e = unit vector k."""
    mu = alpha * np.mean(np.abs(2 * tau * (1 - tau) * X.T @ K[:, k]))
    g = np.abs(2 * (1 - tau) ** 2 * K @ K[:, k])
    g[k] = 0
    return mu, alpha_dual * np.mean(g)


def objective(X, K, k, w, e, mu, gamma, tau=0.5):
    r = tau * X @ w - (1 - tau) * K @ e
    return r @ r + mu * np.abs(w).sum() + gamma * np.delete(e, k).sum()


def dual_objective(X, K, k, theta, mu, gamma, tau=0.5):
    """Value of the dual at theta, which must satisfy ``tau |X' theta| <= mu``."""
    assert np.abs(tau * X.T @ theta).max() <= mu * (1 + 1e-9)
    pull = gamma - (1 - tau) * np.delete(K, k, axis=0) @ theta
    linear = (1 - tau) * theta @ K[:, k]
    return -theta @ theta / 4 - linear + np.minimum(0, pull).sum()


def duality_gap(X, K, k, w, e, mu, gamma, tau=0.5):
    theta = 2 * (tau * X @ w - (1 - tau) * K @ e)
    largest = np.abs(tau * X.T @ theta).max()
    theta = theta * min(1.0, mu / largest) if largest > 0 else theta
    return objective(X, K, k, w, e, mu, gamma, tau) - dual_objective(
        X, K, k, theta, mu, gamma, tau
    )


def one_pass(X, K, w, e, r, chosen, mu, gamma, tau):
    """Each coordinate of w, then each chosen one of e, minimised in turn."""
    w, e, r = w.copy(), e.copy(), r.copy()
    for j in range(X.shape[1]):
        L = 2 * tau**2 * X[:, j] @ X[:, j]
        z = L * w[j] - 2 * tau * X[:, j] @ r
        new = np.sign(z) * max(abs(z) - mu, 0) / L if L > 0 else 0.0
        r += tau * (new - w[j]) * X[:, j]
        w[j] = new
    for j in chosen:
        L = 2 * (1 - tau) ** 2 * K[:, j] @ K[:, j]
        new = e[j] + (2 * (1 - tau) * K[:, j] @ r - gamma) / L
        new = min(max(new, 0), 1)
        r -= (1 - tau) * (new - e[j]) * K[:, j]
        e[j] = new
    return w, e, r


def solve(X, K, k, mu, gamma, tau=0.5, tol=1e-10, n_pass=20_000):
    """Coordinate descent over all coordinates until the gap is small."""
    w, e = np.zeros(X.shape[1]), np.zeros(len(K))
    e[k] = 1
    r = -(1 - tau) * K[:, k]
    others = np.delete(np.arange(len(K)), k)
    for i in range(n_pass):
        w, e, r = one_pass(X, K, w, e, r, others, mu, gamma, tau)
        if i % 10 == 0:
            gap = duality_gap(X, K, k, w, e, mu, gamma, tau)
            if gap <= tol * objective(X, K, k, w, e, mu, gamma, tau):
                return w, e
    raise AssertionError("the reference did not converge")


def fit(X, K, seeds, tau=0.5, alpha=1.0, alpha_dual=1.0):
    """All components with explicit deflation, and the mapping to the first views.

    `X` has centred columns and `K` is centred.
    """
    X0, K0 = X, K
    coef, dual, A, B, T, S, correlations = [], [], [], [], [], [], []
    for k in seeds:
        w, e = solve(X, K, k, *penalties(X, K, k, tau, alpha, alpha_dual), tau)
        w, e = w / np.linalg.norm(X @ w), e / np.linalg.norm(K @ e)
        correlations.append(X @ w @ K @ e)
        a, b = X.T @ X @ w, K @ e
        t, s = X @ a, K @ b
        X = X - np.outer(t, t @ X) / (t @ t)
        P = np.eye(len(K)) - np.outer(s, s) / (s @ s)
        K = P @ K @ P
        for store, item in zip((coef, dual, A, B, T, S), (w, e, a, b, t, s)):
            store.append(item)
    coef, dual, A, B, T, S = (
        np.column_stack(store) for store in (coef, dual, A, B, T, S)
    )
    L = X0.T @ T / (T * T).sum(axis=0)
    W = A @ np.linalg.inv(L.T @ A)
    G = (S.T @ K0) / (S * S).sum(axis=0)[:, None]
    Z = B @ np.linalg.inv(G @ B)
    W = W / np.linalg.norm(X0 @ W, axis=0)
    Z = Z / np.linalg.norm(K0 @ Z, axis=0)
    Z = Z * np.sign(np.sum((X0 @ W) * (K0 @ Z), axis=0))
    return coef, dual, W, Z, np.array(correlations)


def planted(seed, n=60, p=40, q=30, rank=2, block=5, loading=1.5):
    """Views with `rank` disjoint blocks of columns that share a variable."""
    rng = np.random.default_rng(seed)
    shared = loading * np.repeat(rng.standard_normal((n, rank)), block, axis=1)
    X, y = rng.standard_normal((n, p)), rng.standard_normal((n, q))
    X[:, : rank * block] += shared
    y[:, : rank * block] += shared
    return X, y
