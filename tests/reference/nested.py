"""Slow twins of the nested matrix-tensor family, straight from the formulas."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal

from skstruct.random_matrix import _edge_margin, marchenko_pastur_median


def paper_design(seed, shape=(150, 300, 60), mu=1.5, h=1.0):
    """The published design: fair +-1 labels, random x and view gains.

    Returns X (n, p, m), labels, unit view profile.
    """
    p, n, m = shape
    rng = np.random.default_rng(seed)
    y = rng.choice([-1, 1], n)
    x = rng.standard_normal(p)
    z = rng.standard_normal(m)
    x, z = x / np.linalg.norm(x), z / np.linalg.norm(z)
    M = mu * np.outer(y / np.sqrt(n), x) + rng.standard_normal((n, p)) / np.sqrt(n + p)
    X = rng.standard_normal((n, p, m)) / np.sqrt(n + p + m)
    X += h * M[:, :, None] * z
    return X, y, z, x


def accuracy(found, labels):
    """Agreement of two-class labels, whichever way round."""
    same = np.mean((np.asarray(found) > np.min(found)) == (labels > np.min(labels)))
    return max(same, 1 - same)


def projection(X):
    """Equal view noise: profile, weighted mean and its SVD by plain calls."""
    n, p, m = X.shape
    T3 = np.stack([X[:, :, k].ravel() for k in range(m)])
    z = np.linalg.svd(T3, full_matrices=False)[0][:, 0]
    z = z * np.sign(z.sum())
    A = sum(z[k] * X[:, :, k] for k in range(m))
    noise = (np.sum(X**2) - np.sum(A**2)) / (n * p * (m - 1))
    return z, A, noise


def one_factor_steps(H, fills, power_steps, steps, floor):
    """Expectation-maximisation of ``H ~ g g' + diag(noise)``, H a correlation."""
    g, filled = H[np.argmax((H**2).sum(axis=0))], H
    for _ in range(fills):
        for _ in range(power_steps):
            g = filled @ (g / np.linalg.norm(g))
        value = np.linalg.norm(g) - 1
        g = np.sqrt(max(value, 0)) * g / np.linalg.norm(g)
        filled = H + np.diag(np.minimum(g**2, 1))
    noise = np.maximum(1 - g**2, 1e-3)
    for _ in range(steps):
        C = np.outer(g, g) + np.diag(noise)
        # The factor given a row x of second moments H: mean w'x, variance v.
        w = np.linalg.solve(C, g)
        v = 1 - g @ w
        g = H @ w / (w @ H @ w + v)
        noise = np.maximum(np.diag(H) - g * (H @ w), floor)
    return g, noise


def noise_and_rank(s, energy, shape):
    """Median level, sharpened by the energy beside the spikes, and their number."""
    small, large = shape
    beta = small / large
    edge = _edge_margin(shape, None) * (np.sqrt(small) + np.sqrt(large))
    tau = np.median(s) / np.sqrt(large * marchenko_pastur_median(beta))

    def count():
        return int(np.sum(s > max(edge * tau, 1e-7 * s[0])))

    rank = count()
    for _ in range(10):
        if tau == 0:
            break
        y = s[:rank] / (tau * np.sqrt(large))
        t = y**2 - beta - 1
        if not np.all(y > 1 + np.sqrt(beta)):
            break
        theta2 = (t + np.sqrt(t**2 - 4 * beta)) / 2
        freedom = small * large - large * np.sum(1 + beta + beta / theta2)
        left = energy - np.sum(s[:rank] ** 2)
        if freedom < 0.25 * small * large or left <= 0:
            break
        before, tau = (rank, tau), np.sqrt(left / freedom)
        rank = count()
        if rank == before[0] and abs(tau - before[1]) <= 1e-10 * tau:
            break
    return tau, rank


def power_iteration(X, u, v, w, n_iter=500):
    """Alternating power iteration for the best rank-one approximation."""
    for _ in range(n_iter):
        u = np.einsum("jik,j,k->i", X, v, w)
        u /= np.linalg.norm(u)
        v = np.einsum("jik,i,k->j", X, u, w)
        v /= np.linalg.norm(v)
        w = np.einsum("jik,i,j->k", X, u, v)
        value = np.linalg.norm(w)
        w /= value
    return value, u, v, w


def mixture_log_density(X, priors, centers, weights, loadings, tau2, noises):
    """Density of whole samples as Gaussians of n_features * n_views dimensions.

    The covariance over views is that of the noises, with the weighted mean's variance
    replaced by tau2.
    """
    n, p, _ = X.shape
    D = np.diag(noises)
    # t = w'x has variance tau2; x given t is that of the noise alone.
    noise_of_mean = weights @ D @ weights
    C = D + np.outer(loadings, loadings) * (tau2 - noise_of_mean)
    parts = []
    for prior, center in zip(priors, centers):
        mean = np.outer(center, loadings).ravel()
        covariance = np.kron(np.eye(p), C)
        parts.append(
            np.log(prior)
            + multivariate_normal(mean, covariance).logpdf(X.reshape(n, -1))
        )
    return np.logaddexp.reduce(np.atleast_2d(parts), axis=0)


def _resolvent(shape, beta_T, xi, n_iter=20_000):
    c1, c2, c3 = np.array(shape) / sum(shape)
    g = np.array([1j, 1j, 1j])
    for _ in range(n_iter):
        gamma = beta_T**2 * (1 - g[2] ** 2 / c3) / (c1 + c2)
        new = np.array(
            [
                c1 / (-g[1] - g[2] - gamma * g[1] - xi),
                c2 / (-g[0] - g[2] - gamma * g[0] - xi),
                c3 / (-g[0] - g[1] - xi),
            ]
        )
        if np.abs(new - g).max() < 1e-13:
            break
        g = new
    return new, beta_T**2 * (1 - new[2] ** 2 / c3) / (c1 + c2)


def _excess(shape, beta_T, beta_M, xi):
    c = np.array(shape) / sum(shape)
    g, gamma = _resolvent(shape, beta_T, xi)
    if np.abs(g.imag).max() > 1e-6:
        return np.nan, None
    g, gamma = g.real, gamma.real
    q = 1 - np.array([1 + gamma, 1 + gamma, 1]) * g**2 / c
    if q.min() < 0:
        return np.nan, None
    value = xi + (1 + gamma) * g.sum() - gamma * g[2]
    return value - beta_T * beta_M * np.sqrt(q.prod()), np.sqrt(q)


def rank_one_theory(shape, beta_T, beta_M, low, high, n_grid=60):
    """Fixed point at every xi of a grid, root by bracketing; scanned downwards."""
    before = None
    for xi in np.linspace(high, low, n_grid):
        value, _ = _excess(shape, beta_T, beta_M, xi)
        if np.isnan(value):
            return None
        if before is not None and before[1] > 0 >= value:
            root = brentq(
                lambda t: _excess(shape, beta_T, beta_M, t)[0],
                xi,
                before[0],
                xtol=1e-12,
            )
            return root, _excess(shape, beta_T, beta_M, root)[1]
        before = xi, value
    return None
