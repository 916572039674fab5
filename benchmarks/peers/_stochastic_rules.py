"""Published update rules for canonical correlation analysis of a stream, two views.

All look for the leading eigenvectors of ``A w = lambda B w``, A the cross-covariances
and B the covariances of the views, from mini-batches of centred data. Each function
returns the stacked weights (p + q, K), or NaN if it diverged.
"""

from itertools import product

import numpy as np

STEPS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
OPTIMIZERS = ("sgd", "nesterov", "adam")
GAMMAS = (1.0, 0.1, 0.01)


def batches(X, Y, batch_size, n_epochs, rng):
    """Shuffled blocks of rows; a short last one joins the one before."""
    n = X.shape[0]
    starts = np.arange(0, n, batch_size)
    if n - starts[-1] < max(2, batch_size / 2) and starts.size > 1:
        starts = starts[:-1]
    stops = [*starts[1:], n]
    for _ in range(n_epochs):
        order = rng.permutation(n)
        P, Q = X[order], Y[order]
        for a, b in zip(starts, stops):
            yield P[a:b], Q[a:b]


class _Optimizer:
    """Plain, accelerated or adaptive steps in the direction that improves."""

    def __init__(self, kind, step):
        self.kind, self.step, self.t = kind, step, 0
        self.first = self.second = 0.0

    def __call__(self, direction):
        if self.kind == "sgd":
            return self.step * direction
        if self.kind == "nesterov":
            self.first = 0.9 * self.first + direction
            return self.step * (direction + 0.9 * self.first)
        self.t += 1
        self.first = 0.9 * self.first + 0.1 * direction
        self.second = 0.999 * self.second + 0.001 * direction**2
        first = self.first / (1 - 0.9**self.t)
        second = self.second / (1 - 0.999**self.t)
        return self.step * first / (np.sqrt(second) + 1e-8)


def _descend(X, Y, K, batch_size, n_epochs, seed, kind, step, middle):
    """``W <- W + step X_i'(Z_j - Z_i M) / m`` with the K x K matrix of a rule."""
    rng = np.random.default_rng(seed)
    p, q = X.shape[1], Y.shape[1]
    W = rng.standard_normal((p + q, K)) / np.sqrt(p + q)
    optimizer = _Optimizer(kind, step)
    direction = np.empty_like(W)
    for P, Q in batches(X, Y, batch_size, n_epochs, rng):
        m = P.shape[0]
        Z1, Z2 = P @ W[:p], Q @ W[p:]
        M = middle(Z1, Z2) / m
        direction[:p] = P.T @ (Z2 - Z1 @ M) / m
        direction[p:] = Q.T @ (Z1 - Z2 @ M) / m
        W += optimizer(direction)
        if not abs(W[0, 0]) < 1e8:
            return np.full_like(W, np.nan)
    return W


def eckart_young(X, Y, K, *, batch_size, n_epochs, seed, kind, step):
    """Gradient of ``-2 tr(W'AW) + |W'BW|^2`` (Chapman, Wells, Lawry Aguila 2024)."""

    def middle(Z1, Z2):
        return Z1.T @ Z1 + Z2.T @ Z2

    return _descend(X, Y, K, batch_size, n_epochs, seed, kind, step, middle)


def sgha(X, Y, K, *, batch_size, n_epochs, seed, kind, step):
    """``W <- W + step (A W - B W W'A W)`` (Chen, Yang, Zhao et al. 2019)."""

    def middle(Z1, Z2):
        C = Z1.T @ Z2
        return C + C.T

    return _descend(X, Y, K, batch_size, n_epochs, seed, kind, step, middle)


def gamma_eigengame(X, Y, K, *, batch_size, n_epochs, seed, gamma, step):
    """Each column plays against those before it (Gemp, Chen, McWilliams 2022)."""
    rng = np.random.default_rng(seed)
    p, q = X.shape[1], Y.shape[1]
    V = rng.standard_normal((p + q, K))
    V /= np.linalg.norm(V, axis=0)
    before = np.tri(K, k=-1)
    AV, BV, memory = np.empty_like(V), np.empty_like(V), None
    for P, Q in batches(X, Y, batch_size, n_epochs, rng):
        m = P.shape[0]
        Z1, Z2 = P @ V[:p], Q @ V[p:]
        AV[:p], AV[p:] = P.T @ Z2 / m, Q.T @ Z1 / m
        BV[:p], BV[p:] = P.T @ Z1 / m, Q.T @ Z2 / m
        memory = BV.copy() if memory is None else memory + gamma * (BV - memory)
        size = np.sqrt(np.maximum((V * memory).sum(axis=0), 1e-10))
        Yv, BY = V / size, memory / size
        vAv, vBv = (V * AV).sum(axis=0), (V * BV).sum(axis=0)
        penalty = before * (AV.T @ Yv)
        gradient = (
            AV * vBv
            - BV * vAv
            - BY @ (penalty * vBv[:, None]).T
            + BV * (penalty * (V.T @ BY)).sum(axis=1)
        )
        V = V + step * gradient
        norm = np.linalg.norm(V, axis=0)
        if not np.all(norm > 0) or not np.all(np.isfinite(norm)):
            return np.full_like(V, np.nan)
        V /= norm
    return V


RULES = {
    "Eckart-Young": (
        eckart_young,
        [{"kind": k, "step": s} for k, s in product(OPTIMIZERS, STEPS)],
    ),
    "SGHA": (sgha, [{"kind": k, "step": s} for k, s in product(OPTIMIZERS, STEPS)]),
    "gamma-EigenGame": (
        gamma_eigengame,
        [{"gamma": g, "step": s} for g, s in product(GAMMAS, STEPS)],
    ),
}
