"""Matrix estimation in plain numpy: one formula per function, no shortcuts."""

import numpy as np


def zero_filled(X, center=True):
    """Centred matrix with zeros in the holes, and the centre."""
    mean = np.nanmean(X, axis=0) if center else np.zeros(X.shape[1])
    return np.where(np.isnan(X), 0.0, X - mean), mean


def svt_estimate(X, rank, center=True):
    """Truncated SVD of the zero-filled matrix over the observed fraction."""
    Z, mean = zero_filled(X, center)
    U, s, Vt = np.linalg.svd(Z, full_matrices=False)
    share = np.mean(~np.isnan(X))
    return (U[:, :rank] * s[:rank]) @ Vt[:rank] / share + mean


def soft_objective(X, Z, alpha):
    """1/2 ||P(X - Z)||^2 + alpha ||Z||_*."""
    residual = np.where(np.isnan(X), 0.0, X - Z)
    return 0.5 * np.sum(residual**2) + alpha * np.linalg.norm(Z, "nuc")


def soft_impute(X, alpha, n_iter=5000, tol=1e-14):
    """Proximal gradient with full SVDs from zero; X is already centred."""
    observed = ~np.isnan(X)
    Z = np.zeros(X.shape)
    for _ in range(n_iter):
        filled = np.where(observed, X, Z)
        U, s, Vt = np.linalg.svd(filled, full_matrices=False)
        new = (U * np.maximum(s - alpha, 0.0)) @ Vt
        if np.sum((new - Z) ** 2) <= tol**2 * np.sum(new**2):
            return new
        Z = new
    return Z


def soft_dual_bound(X, Z, alpha):
    """A lower bound of the optimum from the residual at Z (weak duality)."""
    R = np.where(np.isnan(X), 0.0, X - Z)
    R = R * min(1.0, alpha / np.linalg.norm(R, 2))
    return np.nansum(R * X) - 0.5 * np.sum(R**2)


def fold_in(x, V, ridge):
    """Ridge regression of one row's observed entries on the columns of V."""
    known = ~np.isnan(x)
    A = V[known]
    c = np.linalg.solve(A.T @ A + np.diag(ridge), A.T @ x[known])
    return V @ c


def debiased_values(X, U, V):
    """Least squares of the observed entries on the products u_ik v_jk."""
    i, j = np.nonzero(~np.isnan(X))
    return np.linalg.lstsq(U[i] * V[j], X[i, j], rcond=None)[0]


def screenot_scan(s, shape, k, n_grid=400_001):
    """Threshold where F crosses -4, by scanning a fine grid above the noise."""
    small, large = sorted(shape)
    f = np.sort(s)[::-1].copy()
    top, low = f[k], f[2 * k]
    for position in range(k):
        weight = (1 - (position / k) ** (2 / 3)) / (2 ** (2 / 3) - 1)
        f[position] = top + weight * (top - low)
    gamma = small / large
    y = f.max() * (1 + np.geomspace(1e-8, 10, n_grid))
    values = np.empty(n_grid)
    for a in range(0, n_grid, 10_000):
        b = y[a : a + 10_000, None]
        phi = np.mean(b / (b**2 - f**2), axis=1)
        dphi = -np.mean((b**2 + f**2) / (b**2 - f**2) ** 2, axis=1)
        b = b[:, 0]
        other = gamma * phi + (1 - gamma) / b
        dother = gamma * dphi - (1 - gamma) / b**2
        values[a : a + 10_000] = b * (dphi / phi + dother / other)
    return y[np.argmax(values > -4)]


def planted(seed, n=200, p=40, rank=5, noise=0.3, missing=0.5):
    """Low-rank truth, and noisy observations of a part of its entries."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, p))
    truth /= np.sqrt(rank)
    X = truth + noise * rng.standard_normal(truth.shape)
    X[rng.random(X.shape) < missing] = np.nan
    return X, truth
