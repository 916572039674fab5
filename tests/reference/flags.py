"""Flags in plain numpy: dense projectors, Riemannian descent, enumeration."""

from itertools import combinations

import numpy as np


def blocks(U, flag_type):
    """Columns of each block."""
    return [U[:, a:b] for a, b in zip((0, *flag_type), flag_type)]


def projectors(U, flag_type, metric="block"):
    """Dense projectors that a distance compares."""
    if metric == "block":
        parts = blocks(U, flag_type)
    elif metric == "nested":
        parts = [U[:, :d] for d in flag_type]
    return [V @ V.T for V in parts]


def distance(U, W, flag_type, metric="block", complement=False):
    """Chordal distance from dense projectors."""
    total = sum(
        np.sum((P - Q) ** 2) / 2
        for P, Q in zip(
            projectors(U, flag_type, metric), projectors(W, flag_type, metric)
        )
    )
    if complement:
        total += np.sum((U @ U.T - W @ W.T) ** 2) / 2
    return np.sqrt(total)


def random_flags(rng, n, p, k):
    """Uniform frames."""
    return np.stack([np.linalg.qr(rng.standard_normal((p, k)))[0] for _ in range(n)])


def averaging_design(n_samples, sigmas, p=10, flag_type=(1, 3), seed=1, centre=None):
    """Frames around a centre: qr(centre + sigma * U(-1/2, 1/2)), one sigma each."""
    rng = np.random.RandomState(seed) if centre is None else seed
    if centre is None:
        centre = np.linalg.qr(rng.rand(p, flag_type[-1]) - 0.5)[0]
    frames = [
        np.linalg.qr(centre + s * (rng.rand(p, flag_type[-1]) - 0.5))[0]
        for s in np.broadcast_to(sigmas, n_samples)
    ]
    return np.stack(frames), centre


def stiefel_descent(f, gradient, U, *, max_iter=5000, tol=1e-10):
    """Riemannian gradient descent, Barzilai-Borwein steps, QR retraction, Armijo."""

    def tangent(U, G):
        S = U.T @ G
        return G - U @ (S + S.T) / 2

    def retract(V):
        Q, R = np.linalg.qr(V)
        return Q * np.where(np.diag(R) < 0, -1.0, 1.0)

    value, g = f(U), tangent(U, gradient(U))
    recent, t = [value], 1e-2
    for _ in range(max_iter):
        slope = np.sum(g**2)
        if np.sqrt(slope) <= tol * max(1.0, abs(value)):
            break
        while True:
            new = retract(U - t * g)
            new_value = f(new)
            if new_value <= max(recent[-5:]) - 1e-4 * t * slope or t < 1e-14:
                break
            t /= 2
        new_g = tangent(new, gradient(new))
        s, y = new - U, new_g - g
        U, value, g = new, new_value, new_g
        recent.append(value)
        t = np.clip(np.sum(s * s) / max(abs(np.sum(s * y)), 1e-300), 1e-8, 1e3)
    return U, value


def mean_cost(U, frames, flag_type, weights=None, metric="block"):
    """Weighted sum of squared distances."""
    w = np.ones(len(frames)) if weights is None else weights
    return sum(wj * distance(U, F, flag_type, metric) ** 2 for wj, F in zip(w, frames))


def mean_gradient(U, frames, flag_type, weights=None, metric="block"):
    """Euclidean gradient of :func:`mean_cost`."""
    w = np.ones(len(frames)) if weights is None else weights
    G = np.zeros_like(U)
    starts = (0, *flag_type)
    for wj, F in zip(w, frames):
        for i, d in enumerate(flag_type):
            c = slice(starts[i] if metric == "block" else 0, d)
            G[:, c] -= 2 * wj * F[:, c] @ (F[:, c].T @ U[:, c])
    return G


def median_cost(U, frames, flag_type, weights=None):
    """Weighted sum of distances."""
    w = np.ones(len(frames)) if weights is None else weights
    return sum(wj * distance(U, F, flag_type) for wj, F in zip(w, frames))


def median_gradient(U, frames, flag_type, weights=None):
    """Euclidean gradient of :func:`median_cost` away from the samples."""
    w = np.ones(len(frames)) if weights is None else weights
    d = np.array([distance(U, F, flag_type) for F in frames])
    return mean_gradient(U, frames, flag_type, w / (2 * d))


def robust_terms(X, U, flag_type, criterion):
    """The terms ``r_ij`` of the block criteria, shape (k, n)."""
    rows = []
    for V in blocks(U, flag_type):
        T = X @ V
        R = X - T @ V.T if criterion == "reconstruction" else T
        rows.append(np.linalg.norm(R, axis=1))
    return np.array(rows)


def averaged_projector(U, flag_type):
    """Mean of the projectors on the nested subspaces."""
    return np.mean([U[:, :d] @ U[:, :d].T for d in flag_type], axis=0)


def nested_objective(X, U, flag_type):
    """Sum of ||x - averaged projector x||."""
    return np.linalg.norm(X - X @ averaged_projector(U, flag_type), axis=1).sum()


def nested_gradient(X, U, flag_type):
    """Euclidean gradient of :func:`nested_objective`."""
    P = averaged_projector(U, flag_type)
    E = X - X @ P
    E = E / np.linalg.norm(E, axis=1, keepdims=True)
    S = -(X.T @ E + E.T @ X)
    a = np.mean(np.asarray(flag_type)[:, None] > np.arange(flag_type[-1]), axis=0)
    return (S @ U) * a


def compositions(p):
    """All tuples of positive integers with sum p."""
    for r in range(p):
        for cut in combinations(range(1, p), r):
            yield tuple(np.diff((0, *cut, p)))


def psa_criterion(eigenvalues, gamma, n, a):
    """-2 log likelihood + a * number of parameters, written out."""
    p = len(eigenvalues)
    parts = np.split(eigenvalues, np.cumsum(gamma)[:-1])
    log_det = sum(g * np.log(part.mean()) for g, part in zip(gamma, parts))
    n_params = p + len(gamma) + p * (p - 1) / 2 - sum(g * (g - 1) / 2 for g in gamma)
    return n * (p * np.log(2 * np.pi) + log_det + p) + a * n_params
