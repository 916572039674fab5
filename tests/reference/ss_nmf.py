"""Structured sparse NMF in plain numpy: one formula per function, no shortcuts."""

import itertools

import numpy as np
from scipy.linalg import block_diag
from scipy.optimize import nnls


def objective(X, A, M, W=None, lam=0.0, alpha=0.0, q=1.0, delta=0.0):
    """1/2 ||X - AM||^2 + lam/2 Tr(A' Lap A) + alpha sum A^q + delta^2/2 (1 - sum)^2.

    Cells of X that are NaN are left out.
    """
    value = 0.5 * np.nansum((X - A @ M) ** 2) + alpha * np.sum(A**q)
    if W is not None:
        laplacian = np.diag(W.sum(axis=1)) - W
        value += 0.5 * lam * np.trace(A.T @ laplacian @ A)
    return value + 0.5 * delta**2 * np.sum((1 - A.sum(axis=1)) ** 2)


def sweep(A, B, G, W, lam, alpha, q, n_inner, width):
    """Blocks of pixels in turn; in one, edges are replaced by their majorisers."""
    A = A.copy()
    for first in range(0, A.shape[0], width):
        block = slice(first, first + width)
        old = A.copy()
        for n in range(*block.indices(A.shape[0])):
            inside = W[n, block].sum()
            h = np.diag(G) + lam * (W[n].sum() + inside)
            pull = lam * (W[n] @ old + inside * old[n])
            for _ in range(n_inner):
                for k in range(A.shape[1]):
                    c = B[n, k] - A[n] @ G[k] + A[n, k] * G[k, k] + pull[k]
                    if q == 1:
                        A[n, k] = max(0.0, (c - alpha) / h[k])
                    else:
                        A[n, k] = half_threshold(c / h[k], 2 * alpha / h[k])
    return A


def half_threshold(z, mu):
    """argmin over a >= 0 of (a - z)^2 + mu sqrt(a), from the stationary points.

    With a = t^2: t = 0 or 4 t^3 - 4 z t + mu = 0.
    """
    roots = np.roots([4.0, 0.0, -4.0 * z, mu])
    real = roots[np.abs(roots.imag) < 1e-7 * (1 + np.abs(roots))].real
    candidates = np.concatenate([[0.0], real[real > 0] ** 2])
    values = (candidates - z) ** 2 + mu * np.sqrt(candidates)
    return candidates[np.argmin(values)]


def quadratic_program(H, c, simplex):
    """min 1/2 a'Ha - c'a over a >= 0 (sum a = 1): every support is tried."""
    K = len(c)
    best, best_value = np.zeros(K), np.inf if simplex else 0.0
    for size in range(1, K + 1):
        for support in itertools.combinations(range(K), size):
            S = list(support)
            system, right = H[np.ix_(S, S)], c[S]
            if simplex:
                one = np.ones((size, 1))
                system = np.block([[system, one], [one.T, np.zeros((1, 1))]])
                right = np.append(right, 1.0)
            z = np.linalg.lstsq(system, right, rcond=None)[0][:size]
            if z.min() < 0:
                continue
            a = np.zeros(K)
            a[S] = z
            value = 0.5 * a @ H @ a - c @ a
            if value < best_value:
                best, best_value = a, value
    return best


def convex_abundances(X, M, W, lam, alpha, delta=0.0):
    """The exact minimiser over A >= 0 for fixed M and the lasso, all pixels at once.

    1/2 a'Ha - c'a with H = diag(G_n + delta^2 11') + lam Lap (x) I, where G_n is the
    Gram matrix of the endmembers in the known bands of pixel n, is a least squares
    problem in the Cholesky factor of H, solved by the active-set method of scipy.
    """
    N, K = X.shape[0], M.shape[0]
    laplacian = np.diag(W.sum(axis=1)) - W
    grams = [M[:, known] @ M[:, known].T + delta**2 for known in ~np.isnan(X)]
    H = block_diag(*grams) + lam * np.kron(laplacian, np.eye(K))
    c = (np.nan_to_num(X) @ M.T + delta**2 - alpha).ravel()
    L = np.linalg.cholesky(H)
    return nnls(L.T, np.linalg.solve(L, c), maxiter=100 * N * K)[0].reshape(N, K)


def window_affinity(X, shape, window, sigma="mean", kind="heat", mask=None):
    """Loop over all pairs of pixels."""
    inside = np.ones(shape, bool) if mask is None else mask
    place = np.argwhere(inside)
    N, half = len(place), window // 2
    near = np.zeros((N, N), bool)
    D = np.zeros((N, N))
    for n in range(N):
        for m in range(N):
            if n != m and np.abs(place[n] - place[m]).max() <= half:
                near[n, m] = True
                D[n, m] = np.sum((X[n] - X[m]) ** 2)
    if kind == "binary":
        return near.astype(float)
    if kind == "cosine":
        size = np.linalg.norm(X, axis=1)
        return np.where(near, (X @ X.T) / np.outer(size, size), 0.0)
    scale = D[near].mean() if sigma == "mean" else sigma
    return np.where(near, np.exp(-D / scale), 0.0)


def nnls_gap(x, a, M):
    """Duality gap of min ||x - aM||^2 / 2 over a >= 0 for non-negative M.

    The residual is lowered by a constant until no endmember correlates with it, which
    makes it feasible for max <u, x> - ||u||^2 / 2 over M u <= 0.
    """
    r = x - a @ M
    shift = max(0.0, np.max(M @ r / M.sum(axis=1)))
    u = r - shift
    return 0.5 * r @ r - (u @ x - 0.5 * u @ u)


def simplex_gap(x, a, M):
    """Frank-Wolfe gap of min ||x - aM||^2 / 2 over the simplex."""
    g = (a @ M - x) @ M.T
    return g @ a - g.min()


def small_image(seed, shape=(5, 6), K=3, L=8, noise=0.05):
    """A small non-negative image with known factors."""
    rng = np.random.default_rng(seed)
    A = rng.dirichlet(np.full(K, 0.5), size=shape[0] * shape[1])
    M = rng.random((K, L)) + 0.1
    X = np.maximum(A @ M + noise * rng.standard_normal((A.shape[0], L)), 0)
    return X, A, M
